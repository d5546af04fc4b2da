// Peer 2, second form: jobs added with addBulk, and a worker that collects all jobs in flight into one
// upsert. The concurrency limits a collection, so it is the largest that BullMQ's author calls usual.

import { measureQueue } from '../peer.ts';
import type { Scenario } from '../scenario.ts';

export const bullmqBulk: Scenario = {
  name: 'bullmq-bulk',
  title: 'peer: BullMQ jobs by addBulk, collected into multi-row upserts',
  unit: 'updates/s',
  run: (rig, load) =>
    measureQueue(rig, load, {
      producer: 'job-producer',
      producerOptions: { callers: 2, callSize: 500 },
      worker: 'job-worker',
      workerOptions: { concurrency: 300, connections: 4, collects: true },
    }),
};
