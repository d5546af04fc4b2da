// Peer 2, first form: a BullMQ job per update, and a worker that runs one statement per job. BullMQ's guide
// shows a concurrency of 50 for jobs that wait for a database; the best one for this machine is tried once.

import { measureQueue, Tuned } from '../peer.ts';
import type { Rig } from '../rig.ts';
import type { Load, Scenario } from '../scenario.ts';

const concurrency = new Tuned(50, 100, 300);

async function measure(rig: Rig, load: Load, jobs: number) {
  const measurement = await measureQueue(rig, load, {
    producer: 'job-producer',
    producerOptions: { callers: 100, callSize: 1 },
    worker: 'job-worker',
    workerOptions: { concurrency: jobs, connections: Math.min(jobs, 64), collects: false },
  });
  return { ...measurement, details: { ...measurement.details, concurrency: jobs } };
}

export const bullmqJobs: Scenario = {
  name: 'bullmq-jobs',
  title: 'peer: one BullMQ job for each update, one upsert for each job',
  unit: 'updates/s',
  run: async (rig, load) => {
    const best = await concurrency.best(load, (jobs, short) => measure(rig, short, jobs));
    return measure(rig, load, best);
  },
};
