// Runs the whole engine: producer processes, Redis, worker processes and MySQL, all on this machine. The
// clock runs from the first call until nothing is pending; then every sum in MySQL is compared.

import { setTimeout as delay } from 'node:timers/promises';
import type { ProducerProcess } from '../scripts/load/processes.ts';
import type { ProducerPlan, PushResult } from '../scripts/load/producer-plan.ts';
import { compare, readJournal, type Tally } from '../scripts/load/tally.ts';
import { definitionsOf } from '../scripts/load/traffic.ts';
import type { Watch } from '../scripts/load/watch.ts';
import type { Settings } from '../src/shared/config/settings.ts';
import type { Database } from '../src/shared/mysql/database.ts';
import { RedisMeter } from './redis-meter.ts';
import type { Rig, Site } from './rig.ts';
import type { Load, Measurement } from './scenario.ts';
import { sized } from './trial.ts';
import { CpuMeter } from './usage.ts';

/** Longest wait for the workers, ms. */
export const drainLimit = 300_000;

/** Zipf's law over 100,000 keys, as for page views. */
export const zipfCounters = { counterKeys: sized(100_000, 1000), accounts: 1, pointsShare: 0, seed: 1 };
/** 1,000,000 equally likely keys, so that little is summed up. */
export const uniformCounters = { ...zipfCounters, counterKeys: sized(1_000_000, 10_000), exponent: 0 };
export const entries = { counterKeys: 1, accounts: sized(10_000, 1000), pointsShare: 1, seed: 1 };
/** Calls of `apply` that keep a producer busy. */
export const microBatches = { mode: 'apply', callSize: 1000, inFlight: 4 } as const;

export type Shape = Pick<ProducerPlan, 'traffic' | 'mode' | 'callSize' | 'inFlight' | 'perSecond' | 'reads'>;

export interface Staff {
  /** Number of processes of each kind; one by default. */
  workers?: number;
  producers?: number;
  /** Settings of all of them, beside those of the whole run. */
  settings?: Partial<Settings>;
}

/** `value` is the rate of updates that reached MySQL. */
export function measureEngine(rig: Rig, load: Load, shape: Shape, staff: Staff = {}): Promise<Measurement> {
  return rig.withSite(
    async site => {
      const workers = await Promise.all(Array.from({ length: staff.workers ?? 1 }, () => site.worker()));
      const producers = await startProducers(site, load, shape, staff.producers);
      const watch = await site.watch();
      const redis = await RedisMeter.open(site.deployment.redisUrl);
      try {
        await drained(watch);
        const before = await readJournal(site.database);
        await redis.start();
        watch.start();
        const cpu = new CpuMeter({
          producer: producers.map(({ pid }) => pid),
          worker: workers.map(({ pid }) => pid),
          redis: [rig.redisPid],
          mysql: [rig.mysqlPid],
        });
        const started = performance.now();
        for (const producer of producers) producer.push();
        const pushed = merge(await Promise.all(producers.map(producer => producer.result)));
        await drained(watch);
        // A version from before transfers, which is compared with this one, has no table of them.
        if (shape.traffic.transfers) await credited(site.database, watch);
        const seconds = (performance.now() - started) / 1000;
        const updates = pushed.acknowledged - pushed.warmUp;
        const cpuTaken = cpu.taken(updates);
        const { difference } = await compare(site.database, pushed.tally, shape.traffic.values !== undefined);
        const after = await readJournal(site.database);
        const rows = after.rows - before.rows;
        const refused = refusals(pushed);
        const details = {
          updates,
          warmUpUpdates: pushed.warmUp,
          seconds,
          ...times(pushed, watch),
          batches: after.batches - before.batches,
          rows,
          rowsPerSecond: rows / seconds,
          refused,
          ...(pushed.reads > 0 ? { reads: pushed.reads, staleReads: pushed.staleReads } : {}),
          ...cpuTaken,
          ...(await redis.delays()),
        };
        // A read that lacks an acknowledged update fails the run as a lost update does.
        const wrong = difference + refused + pushed.staleReads;
        return { value: updates / seconds, difference: wrong, details };
      } finally {
        redis.close();
        await watch.stop();
      }
    },
    staff.settings,
    definitionsOf(shape.traffic),
  );
}

/** Latency of the calls, and how far MySQL was behind. */
export function times(pushed: PushResult, watch: Watch): Record<string, number> {
  return {
    acknowledgedPerSecond: (pushed.acknowledged - pushed.warmUp) / (pushed.elapsedMs / 1000),
    callP50Ms: pushed.callMs.p50,
    callP99Ms: pushed.callMs.p99,
    flushLagP50Ms: watch.percentile(0.5) * 1000,
    flushLagP99Ms: watch.percentile(0.99) * 1000,
    loopDelayP99Ms: pushed.loopDelayP99Ms,
  };
}

/** As `measureEngine`, with one of the details as `value`. */
export async function measureDetail(
  rig: Rig,
  load: Load,
  shape: Shape,
  detail: string,
): Promise<Measurement> {
  const measurement = await measureEngine(rig, load, shape);
  return { ...measurement, value: measurement.details[detail]! };
}

export function limitOf(load: Load, seconds: number) {
  return { updates: load.updates, ms: seconds * 1000 };
}

/** Starts producers with different seeds, so that they do not draw the same keys at the same time. */
function startProducers(site: Site, load: Load, shape: Shape, producers = 1): Promise<ProducerProcess[]> {
  return Promise.all(
    Array.from({ length: producers }, (_, at) =>
      site.producer({
        ...shape,
        traffic: { ...shape.traffic, seed: shape.traffic.seed + at },
        limit: limitOf(load, load.seconds),
        warmUp: limitOf(load, load.warmUpSeconds),
      }),
    ),
  );
}

/** Combines reports into one: sums add up, the worst latency counts. */
export function merge(results: readonly PushResult[]): PushResult {
  return results.reduce((one, other) => ({
    acknowledged: one.acknowledged + other.acknowledged,
    warmUp: one.warmUp + other.warmUp,
    refused: mergeCounts(one.refused, other.refused),
    reads: one.reads + other.reads,
    staleReads: one.staleReads + other.staleReads,
    tally: mergeTallies(one.tally, other.tally),
    elapsedMs: Math.max(one.elapsedMs, other.elapsedMs),
    callMs: {
      p50: Math.max(one.callMs.p50, other.callMs.p50),
      p99: Math.max(one.callMs.p99, other.callMs.p99),
    },
    loopDelayP99Ms: Math.max(one.loopDelayP99Ms, other.loopDelayP99Ms),
  }));
}

function mergeCounts(one: Record<string, number>, other: Record<string, number>): Record<string, number> {
  const sum = { ...one };
  for (const [code, count] of Object.entries(other)) sum[code] = (sum[code] ?? 0) + count;
  return sum;
}

function mergeTallies(one: Tally, other: Tally): Tally {
  const add = (a: Float64Array, b: Float64Array) => a.map((value, at) => value + b[at]!);
  return {
    counters: add(one.counters, other.counters),
    balances: add(one.balances, other.balances),
    entries: add(one.entries, other.entries),
  };
}

export function refusals({ refused }: PushResult): number {
  return Object.values(refused).reduce((sum, count) => sum + count, 0);
}

/** Waits until no transfer is in transit, and nothing is pending. @throws as `drained` */
async function credited(database: Database, watch: Watch): Promise<void> {
  const isAny = async () => (await database.query('SELECT 1 FROM sluice_transfers LIMIT 1')).length > 0;
  while (await isAny()) {
    await delay(10);
    await drained(watch);
  }
}

/** @throws if the workers do not drain everything in time */
export async function drained(watch: Watch): Promise<void> {
  if (!(await watch.drained(drainLimit)))
    throw new Error('the worker did not keep up: updates are still pending');
}
