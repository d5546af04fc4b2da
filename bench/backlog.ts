// A backlog that builds up while no worker runs, and the worker that drains it.

import { compare, readBatches } from '../scripts/load/tally.ts';
import { drained, drainLimit, microBatches, refusals, uniformCounters } from './engine.ts';
import { RedisMeter } from './redis-meter.ts';
import type { Rig } from './rig.ts';
import type { Measurement } from './scenario.ts';
import { CpuMeter, residentMb } from './usage.ts';

/** Share of the rows after which a worker that has just started runs at full pace. */
const warmUpShare = 0.25;

export interface Commit {
  /** Time of the commit, as the journal has it, ms. */
  at: number;
  rows: number;
}

/** Rows per second after the first quarter of them; 0 if there is no time between commits. */
export function warmRate(commits: readonly Commit[]): number {
  const all = commits.reduce((sum, { rows }) => sum + rows, 0);
  let [written, from] = [0, Number.NaN];
  const inOrder = commits.toSorted((one, other) => one.at - other.at);
  for (const { at, rows } of inOrder) {
    if (written >= all * warmUpShare) break;
    written += rows;
    from = at;
  }
  const seconds = ((inOrder.at(-1)?.at ?? 0) - from) / 1000;
  return seconds > 0 ? (all - written) / seconds : 0;
}

/** Increments of a million equally likely keys; `value` is updates per second since the worker started. */
export function measureBacklog(rig: Rig, updates: number): Promise<Measurement> {
  return rig.withSite(async site => {
    const redis = await RedisMeter.open(site.deployment.redisUrl);
    const watch = await site.watch();
    try {
      await redis.start();
      const producer = await site.producer({
        ...microBatches,
        traffic: uniformCounters,
        limit: { updates, ms: Number.POSITIVE_INFINITY },
      });
      producer.push();
      const pushed = await producer.result;
      const redisMb = await redis.usedMemoryMb();
      const program = rig.compiled();
      const started = performance.now();
      const worker = await site.worker(program);
      await watch.atMost(pushed.acknowledged * (1 - warmUpShare), drainLimit);
      const left = watch.pending;
      const cpu = new CpuMeter({ worker: [worker.pid], redis: [rig.redisPid], mysql: [rig.mysqlPid] });
      await drained(watch);
      const cpuTaken = cpu.taken(left);
      const drainSeconds = (performance.now() - started) / 1000;
      const { peak } = residentMb(worker.pid);
      const commits = await readBatches(site.database);
      const { difference } = await compare(site.database, pushed.tally);
      const refused = refusals(pushed);
      const details = {
        updates: pushed.acknowledged,
        warmUpUpdates: Math.round(pushed.acknowledged * warmUpShare),
        measuredUpdates: Math.round(pushed.acknowledged * (1 - warmUpShare)),
        pushSeconds: pushed.elapsedMs / 1000,
        drainSeconds,
        rowsPerSecond: warmRate(commits),
        rows: commits.reduce((sum, { rows }) => sum + rows, 0),
        batches: commits.length,
        redisMb,
        workerPeakMb: peak,
        refused,
        ...cpuTaken,
        ...(await redis.delays()),
      };
      return { value: pushed.acknowledged / drainSeconds, difference: difference + refused, details };
    } finally {
      redis.close();
      await watch.stop();
    }
  });
}
