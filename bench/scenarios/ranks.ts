// What ranks cost. An update of a ranked name, beside one without ranks, by the longest calls that producers make,
// one at a time; and questions about a board of 1,000,000 members in 16 partitions, one at a time. The members are
// written into Redis as a build writes them, without MySQL.

import { Redis } from 'ioredis';
import { pino } from 'pino';
import { definitions as plain } from '../../scripts/load/traffic.ts';
import { createProducer } from '../../src/producer/producer.ts';
import { defineConfig } from '../../src/shared/config/definitions.ts';
import { Keys } from '../../src/shared/redis/keys.ts';
import type { Site } from '../rig.ts';
import type { Scenario } from '../scenario.ts';
import { sized } from '../trial.ts';

const MEMBERS = sized(1_000_000, 10_000);
const PARTITIONS = 16;
const CHUNK = 10_000;
const QUESTIONS = sized(1000, 50);
const CALLS = sized(200, 2);
const keyOf = (at: number) => `/some/page/${at}`;
const definitions = defineConfig({
  counters: { ranked: { ranked: true }, plain: {} },
  points: plain.points,
});

export const ranks: Scenario = {
  name: 'ranks',
  title: 'rank of a key among 1,000,000 in 16 partitions, one question at a time',
  unit: 'ms, p99',
  run: rig =>
    rig.withSite(
      async site => {
        const details = await measure(site);
        return { value: details.rankMs!, difference: 0, details };
      },
      { partitions: PARTITIONS },
    ),
};

/** Writes the board of every partition, and marks it as ready. @returns bytes for each member */
async function fill(redis: Redis, keys: Keys): Promise<number> {
  const used = async () => Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))![1]);
  const before = await used();
  for (let from = 0; from < MEMBERS; from += CHUNK) {
    const byPartition = Map.groupBy(
      Array.from({ length: CHUNK }, (_, at) => keyOf(from + at)),
      key => keys.partitionOf(key),
    );
    for (const [partition, some] of byPartition) {
      const scored = some.flatMap(key => [Math.floor(Math.random() * 100_000), key]);
      await redis.zadd(keys.ofBoard(partition, 'ranks:<board>', 'cranked'), ...scored);
    }
  }
  const bytes = ((await used()) - before) / MEMBERS;
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const epoch = await redis.hget(keys.state(partition), 'epoch');
    await redis.hset(keys.state(partition), 'boards', `cranked ready 0 1 ${epoch}`);
  }
  return bytes;
}

/** Microseconds of CPU that Redis' main thread has used. */
async function cpuOf(redis: Redis): Promise<number> {
  const info = await redis.info('cpu');
  const parts = [...info.matchAll(/^used_cpu_(?:user|sys)_main_thread:([\d.]+)/gm)];
  return parts.reduce((sum, [, seconds]) => sum + 1e6 * Number(seconds), 0);
}

/** Microseconds of Redis for each update, in whole micro-batches of one partition. */
async function microsOfUpdate(redis: Redis, send: (call: number) => Promise<unknown>, size: number) {
  const before = await cpuOf(redis);
  for (let call = 0; call < CALLS; call++) await send(call);
  return ((await cpuOf(redis)) - before) / (CALLS * size);
}

/** Microseconds of Redis for a bare ZINCRBY of the same members, as a script sends it: the least that a score costs. */
async function microsOfBare(redis: Redis, board: string, members: readonly string[], size: number) {
  const script =
    "for _, member in ipairs(ARGV) do redis.call('ZINCRBY', KEYS[1], 1, member) end return redis.status_reply('OK')";
  const send = (call: number) =>
    redis.eval(script, 1, board, ...members.slice(call * size, (call + 1) * size));
  return microsOfUpdate(redis, send, size);
}

/** Times of a question, sorted, ms. */
async function timesOf(ask: (at: number) => Promise<{ exact: boolean }>): Promise<number[]> {
  const took: number[] = [];
  for (let at = 0; at < QUESTIONS; at++) {
    const begin = performance.now();
    const { exact } = await ask(at);
    took.push(performance.now() - begin);
    if (!exact) throw new Error('an answer was not exact');
  }
  return took.sort((a, b) => a - b);
}
const p50 = (took: readonly number[]) => took[Math.floor(0.5 * took.length)]!;
const p99 = (took: readonly number[]) => took[Math.floor(0.99 * took.length)]!;

async function measure({ deployment, settings }: Site): Promise<Record<string, number>> {
  const redis = new Redis(deployment.redisUrl);
  const keys = new Keys(deployment.namespace, settings.partitions);
  const servers = { redis: deployment.redisUrl, mysql: deployment.mysqlUrl, namespace: deployment.namespace };
  const sluice = await createProducer({ ...servers, definitions, settings, log: pino({ level: 'silent' }) });
  try {
    const memberBytes = await fill(redis, keys);
    const { board } = sluice.counter('ranked');
    const random = () => keyOf(Math.floor(Math.random() * MEMBERS));
    const pages: string[] = [];
    for (let at = 0; pages.length < CALLS * settings.microBatch && at < MEMBERS; at++)
      if (keys.partitionOf(keyOf(at)) === 0) pages.push(keyOf(at));
    const size = Math.floor(pages.length / CALLS);
    const send = (counter: 'ranked' | 'plain') => (call: number) =>
      sluice.apply(pages.slice(call * size, (call + 1) * size).map(key => ({ counter, key })));
    for (const counter of ['plain', 'ranked'] as const) await send(counter)(0);
    const plainMicros = await microsOfUpdate(redis, send('plain'), size);
    const rankedMicros = await microsOfUpdate(redis, send('ranked'), size);
    const zincrbyMicros = await microsOfBare(redis, keys.ofBoard(0, 'ranks:<board>', 'cranked'), pages, size);
    const rank = await timesOf(() => board.rank(random()));
    const top = await timesOf(() => board.top(100));
    const around = await timesOf(() => board.around(random(), 10));
    return {
      ...{ rankMs: p99(rank), topMs: p99(top), aroundMs: p99(around) },
      ...{ rankP50Ms: p50(rank), topP50Ms: p50(top), aroundP50Ms: p50(around) },
      memberBytes,
      plainMicros,
      rankedMicros,
      // A trial measures for a moment, so that the difference may be below 0 there.
      rankMicros: Math.max(0, rankedMicros - plainMicros),
      zincrbyMicros,
    };
  } finally {
    await sluice.close();
    redis.disconnect();
  }
}
