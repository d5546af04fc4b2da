// A steady rate for long, with regular samples of every process.

import { setTimeout as delay } from 'node:timers/promises';
import { compare } from '../scripts/load/tally.ts';
import { drained, limitOf, refusals, type Shape, times } from './engine.ts';
import { RedisMeter } from './redis-meter.ts';
import type { Rig } from './rig.ts';
import type { Load, Measurement } from './scenario.ts';
import { CpuMeter, residentMb } from './usage.ts';

const sampleEverySeconds = 10;
/** Short trial runs take as many samples. */
const leastSamples = 8;

type Series = Record<string, number[]>;

/** Means of the first and the last quarter of each series. */
export function quarters(series: Series): Record<string, { first: number; last: number }> {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return Object.fromEntries(
    Object.entries(series).map(([name, values]) => {
      const quarter = Math.max(1, Math.floor(values.length / 4));
      return [name, { first: mean(values.slice(0, quarter)), last: mean(values.slice(-quarter)) }];
    }),
  );
}

/** `value` is the largest growth of any process except MySQL. */
export function measureSoak(rig: Rig, load: Load, shape: Shape): Promise<Measurement> {
  return rig.withSite(async site => {
    const worker = await site.worker(rig.compiled());
    const producer = await site.producer({
      ...shape,
      limit: limitOf(load, load.seconds),
      warmUp: limitOf(load, load.warmUpSeconds),
    });
    const watch = await site.watch();
    const redis = await RedisMeter.open(site.deployment.redisUrl);
    const series: Series = { producer: [], worker: [], redis: [], redisResident: [], mysql: [] };
    const sample = async () => {
      series.producer!.push(residentMb(producer.pid).now);
      series.worker!.push(residentMb(worker.pid).now);
      series.redis!.push(await redis.usedMemoryMb());
      series.redisResident!.push(residentMb(rig.redisPid).now);
      series.mysql!.push(residentMb(rig.mysqlPid).now);
    };
    try {
      await drained(watch);
      await redis.start();
      watch.start();
      const cpu = new CpuMeter({
        producer: [producer.pid],
        worker: [worker.pid],
        redis: [rig.redisPid],
        mysql: [rig.mysqlPid],
      });
      const started = performance.now();
      producer.push();
      const every = Math.min(sampleEverySeconds, load.seconds / leastSamples) * 1000;
      let over = false;
      const pushing = producer.result.finally(() => {
        over = true;
      });
      pushing.catch(() => {});
      for (let due = started + every; !over; due += every) {
        await Promise.race([pushing, delay(Math.max(0, due - performance.now()))]);
        if (!over || series.producer!.length === 0) await sample();
      }
      const pushed = await pushing;
      await drained(watch);
      const seconds = (performance.now() - started) / 1000;
      const updates = pushed.acknowledged - pushed.warmUp;
      const cpuTaken = cpu.taken(updates);
      const { difference } = await compare(site.database, pushed.tally);
      const refused = refusals(pushed);
      const means = quarters(series);
      const details = {
        updates,
        seconds,
        ...times(pushed, watch),
        refused,
        ...cpuTaken,
        ...Object.fromEntries(
          Object.entries(means).flatMap(([name, { first, last }]) => [
            [`${name}FirstMb`, first],
            [`${name}LastMb`, last],
          ]),
        ),
        ...(await redis.delays()),
      };
      const growth = ['producer', 'worker', 'redis'].map(name => means[name]!.last / means[name]!.first);
      return { value: Math.max(...growth), difference: difference + refused, details, series };
    } finally {
      redis.close();
      await watch.stop();
    }
  });
}
