// Calls of several partitions in one call of apply.lua: each part stands and fails by itself.

import { expect, it } from 'vitest';
import { RedisProxies } from '../../scripts/torture/redis-proxies.ts';
import { pause } from '../../src/shared/clock.ts';
import { defineScript } from '../../src/shared/redis/script.ts';
import { cleanUp } from '../support/cleanup.ts';
import { type Engine, keyIn, openEngine } from '../support/engine.ts';
import { quietRedis } from '../support/servers.ts';

/** One key of each partition, by the partition's number. */
function keysOf({ keys }: Engine): string[] {
  return Array.from({ length: keys.partitions }, (_, partition) => keyIn(keys, partition));
}

/** No flush job is due while calls are counted: to add one is a call too. */
const QUIET = { flushIntervalMs: 10_000, leaseMs: 30_000, stuckAfterMs: 30_000 };

/** Calls of scripts that the server has run. */
async function scriptCalls({ redis }: Engine): Promise<number> {
  const stats = await redis.info('commandstats');
  return Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1] ?? 0);
}

it('calls of one turn for several partitions are one call of Redis, and the next ones too', async () => {
  const engine = await openEngine({ ...QUIET, partitions: 16 }, { redisUrl: await quietRedis() });
  const views = (await engine.producer()).counter('views');
  const keys = keysOf(engine);
  const each = () => Promise.all(keys.map(key => views.increment(key)));
  await each();
  const before = await scriptCalls(engine);
  for (let round = 0; round < 10; round++) await each();
  expect(await scriptCalls(engine)).toBe(before + 10);
  await engine.drain();
  for (const key of keys) expect(await engine.counterInMysql('views', key)).toBe(11);
});

it('a call is not larger than a micro-batch: more partitions make another', async () => {
  const engine = await openEngine(
    { ...QUIET, partitions: 16, microBatch: 20 },
    { redisUrl: await quietRedis() },
  );
  const views = (await engine.producer()).counter('views');
  const keys = keysOf(engine);
  await Promise.all(keys.map(key => views.increment(key)));
  const before = await scriptCalls(engine);
  await Promise.all(keys.map(key => views.increment(key)));
  // A partition counts as eight updates, so two fit.
  expect(await scriptCalls(engine)).toBe(before + 8);
});

it('a part that fails changes nothing for the others', async () => {
  const engine = await openEngine();
  const views = (await engine.producer()).counter('views');
  const keys = keysOf(engine);
  await Promise.all(keys.map(key => views.increment(key)));
  await engine.redis.hset(engine.keys.state(1), 'deployment', 'other');
  // A key that holds another type fails inside the script.
  await engine.redis.set(`${engine.keys.state(2).replace(/state$/, '')}counters`, 'no hash');
  const settled = await Promise.allSettled(keys.map(key => views.increment(key)));
  expect(settled.map(one => (one.status === 'rejected' ? one.reason.code : one.status))).toEqual([
    'fulfilled',
    'REDIS_UNSUITABLE',
    'REDIS_UNAVAILABLE',
    'fulfilled',
  ]);
});

it('a part whose partition has no state goes again', async () => {
  const engine = await openEngine();
  const views = (await engine.producer()).counter('views');
  const keys = keysOf(engine);
  await Promise.all(keys.map(key => views.increment(key)));
  await engine.drain();
  await engine.redis.del(engine.keys.state(1), engine.keys.state(3));
  await Promise.all(keys.map(key => views.increment(key)));
  await engine.drain();
  for (const key of keys) expect(await engine.counterInMysql('views', key)).toBe(2);
});

it('a call that is sent twice applies each part once', async () => {
  const engine = await openEngine({ partitions: 16 });
  const proxies = new RedisProxies();
  cleanUp(() => proxies.close());
  const through = new URL(engine.redisUrl);
  through.port = String(await proxies.announce(Number(through.port)));
  const views = (await engine.producer({ redisUrl: through.toString() })).counter('views');
  const keys = keysOf(engine);
  for (const when of ['before', 'after'] as const) {
    await Promise.all(keys.map(key => views.increment(key)));
    const cut = proxies.producers.cutNext('evalsha', when, 0, 10_000);
    await Promise.all(keys.map(key => views.increment(key)));
    expect(await cut).toBe(true);
  }
  await engine.drain();
  for (const key of keys) expect(await engine.counterInMysql('views', key)).toBe(4);
});

it('the state knows when the oldest update was accepted', async () => {
  const engine = await openEngine({ partitions: 1, batchKeys: 2, batchEntries: 2 });
  const { redis, keys, flight } = engine;
  const inspect = defineScript<unknown[]>(
    redis,
    'inspect',
    new URL('../../src/shared/redis/inspect.lua', import.meta.url),
  );
  const sluice = await engine.producer();
  const check = async () => {
    const times = (await redis.hmget(keys.state(0), 'pendingSince', 'flightOldest')).map(Number);
    const known = times.filter(time => time > 0);
    const oldest = (await inspect(keys.state(0), ''))[8];
    expect(known.length === 0 ? 0 : Math.min(...known)).toBe(oldest);
  };
  const flushOne = async () => {
    const batch = await flight.claim(0);
    await check();
    if (!batch) return false;
    await engine.store.commit(batch);
    await flight.ack(batch, { late: [], quarantined: 0 });
    await check();
    return true;
  };
  for (let round = 0; round < 6; round++) {
    for (let n = 0; n <= round; n++) {
      await sluice.counter('views').increment(`${round}-${n}`);
      if (round % 2 === 0) await sluice.points('loyalty').credit(`${round}-${n}`, 1, { id: `${round}-${n}` });
      await pause(2);
      await check();
    }
    await flushOne();
  }
  while (await flushOne());
  expect(await redis.hget(keys.state(0), 'pendingSince')).toBe('0');
});
