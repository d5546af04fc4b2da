// The engine from end to end: a producer process, Redis, a worker process, MySQL, all on this machine.
// The clock runs from the first call until nothing is pending; then every sum in MySQL is compared.

import type { ProducerPlan } from '../../scripts/load/producer-process.ts';
import { compare, readJournal } from '../../scripts/load/tally.ts';
import { Watch } from '../../scripts/load/watch.ts';
import type { Rig } from '../rig.ts';
import type { Load, Measurement, Scenario } from '../scenario.ts';

const drainLimit = 120_000;
const counters = { counterKeys: 100_000, accounts: 1, pointsShare: 0, seed: 1 };
const entries = { counterKeys: 1, accounts: 10_000, pointsShare: 1, seed: 1 };

type Shape = Pick<ProducerPlan, 'traffic' | 'mode' | 'callSize' | 'inFlight'>;

async function measure(rig: Rig, load: Load, shape: Shape) {
  return rig.withSite(async site => {
    await site.worker();
    const limit = (seconds: number) => ({ updates: load.updates, ms: seconds * 1000 });
    const producer = await site.producer({
      ...shape,
      limit: limit(load.seconds),
      warmUp: limit(load.warmUpSeconds),
      settings: { callTimeoutMs: 20_000 },
    });
    const watch = await Watch.open(site.place.redisUrl, site.place.namespace);
    try {
      await drained(watch);
      const before = await readJournal(site.database);
      watch.start();
      const started = performance.now();
      producer.push();
      const pushed = await producer.result;
      await drained(watch);
      const seconds = (performance.now() - started) / 1000;
      const { difference } = await compare(site.database, pushed.tally);
      const after = await readJournal(site.database);
      const updates = pushed.acknowledged - pushed.warmUp;
      const refused = Object.values(pushed.refused).reduce((sum, number) => sum + number, 0);
      const details = {
        updates,
        seconds,
        acknowledgedPerSecond: updates / (pushed.elapsedMs / 1000),
        callP50Ms: pushed.callMs.p50,
        callP99Ms: pushed.callMs.p99,
        flushLagP50Ms: watch.percentile(0.5) * 1000,
        flushLagP99Ms: watch.percentile(0.99) * 1000,
        batches: after.batches - before.batches,
        rows: after.rows - before.rows,
        refused,
      };
      return { perSecond: updates / seconds, difference: difference + refused, details };
    } finally {
      await watch.stop();
    }
  });
}

async function drained(watch: Watch): Promise<void> {
  if (!(await watch.drained(drainLimit)))
    throw new Error('the worker did not keep up: updates are still pending');
}

/** Of single calls the rate is that of answers: what a caller waits for. */
async function measureCalls(rig: Rig, load: Load, inFlight: number): Promise<Measurement> {
  const result = await measure(rig, load, { traffic: counters, mode: 'increment', callSize: 1, inFlight });
  return { ...result, perSecond: result.details.acknowledgedPerSecond };
}

export const countersEndToEnd: Scenario = {
  name: 'counters',
  title: 'counters in micro-batches, until in MySQL',
  unit: 'updates/s',
  target: 80_000,
  run: (rig, load) => measure(rig, load, { traffic: counters, mode: 'apply', callSize: 1000, inFlight: 4 }),
};

export const singleCalls: Scenario = {
  name: 'single-calls',
  title: 'single increment() calls, 500 under way, until acknowledged',
  unit: 'calls/s',
  target: 30_000,
  run: (rig, load) => measureCalls(rig, load, 500),
};

export const pointsEndToEnd: Scenario = {
  name: 'points',
  title: 'points entries, until in the ledger',
  unit: 'entries/s',
  run: (rig, load) => measure(rig, load, { traffic: entries, mode: 'apply', callSize: 1000, inFlight: 4 }),
};
