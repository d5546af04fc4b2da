// Live values in two hashes: uses move them, rotations end those that nobody uses, new epochs end all.

import { Redis } from 'ioredis';
import { describe, expect, inject, it } from 'vitest';
import { startRedis } from '../../scripts/servers.ts';
import { liveKeys } from '../../src/shared/redis/live-keys.ts';
import { Rotation } from '../../src/worker/rotation.ts';
import { cleanUp } from '../support/cleanup.ts';
import { type Engine, openEngine, until } from '../support/engine.ts';
import { liveItems, liveValues } from '../support/live.ts';
import { temporaryFolder } from '../support/servers.ts';

/** Rotates with each call, after the first one, which only begins the time. */
async function rotationOf({ own, keys }: Engine): Promise<Rotation> {
  const rotation = new Rotation(own.redis, keys, 0);
  for (let partition = 0; partition < keys.partitions; partition++)
    expect(await rotation.rotate(partition)).toBe(false);
  return rotation;
}

describe('a rotation', () => {
  it('makes young values old, and ends old ones; each use makes a value young', async () => {
    const engine = await openEngine({ partitions: 1 });
    const sluice = await engine.producer();
    const views = sluice.counter('views');
    const loyalty = sluice.points('loyalty');
    await views.getMany(['read', 'updated', 'unused', 'repaired']);
    await loyalty.credit('1', 5, { id: 'a' });
    const rotation = await rotationOf(engine);
    await rotation.rotate(0);
    expect(await liveValues(engine, 'c', 'views:read')).toEqual([null, '0']);
    expect(await liveValues(engine, 'p', 'loyalty:1')).toEqual([null, '5']);

    await views.get('read');
    expect(await liveValues(engine, 'c', 'views:read')).toEqual(['0', null]);
    await views.increment('updated', 2);
    expect(await liveValues(engine, 'c', 'views:updated')).toEqual(['2', null]);
    await loyalty.debit('1', 2, { id: 'b' });
    expect(await liveValues(engine, 'p', 'loyalty:1')).toEqual(['3', null]);
    // A refused update is no use.
    await rotation.rotate(0);
    await expect(loyalty.debit('1', 4, { id: 'c' })).rejects.toMatchObject({ code: 'INSUFFICIENT_POINTS' });
    expect(await liveValues(engine, 'p', 'loyalty:1')).toEqual([null, '3']);
    expect((await liveItems(engine, 'c')).toSorted()).toEqual(['views:read', 'views:updated']);
    await rotation.rotate(0);
    expect(await liveItems(engine, 'c')).toEqual([]);
    expect(await views.get('updated')).toBe(2);
    expect(await loyalty.balance('1')).toBe(3);
  });

  it('comes when the live TTL has passed by the clock of Redis, and not for all partitions at once', async () => {
    const engine = await openEngine({ partitions: 2 });
    await engine.producer();
    const rotatedAt = async (partition: number) =>
      Number(await engine.redis.hget(engine.keys.state(partition), 'rotated'));
    const rotation = new Rotation(engine.own.redis, engine.keys, 3_600_000);
    for (const partition of [0, 1]) expect(await rotation.rotate(partition)).toBe(false);
    const apart = (await rotatedAt(0)) - (await rotatedAt(1));
    expect(Math.abs(apart - 1_800_000)).toBeLessThan(60_000);
    expect(await rotation.rotate(1)).toBe(false);
    const state = engine.keys.state(1);
    await engine.redis.hincrby(state, 'rotated', -1_800_000);
    expect(await rotation.rotate(1)).toBe(true);
    expect(await rotation.rotate(1)).toBe(false);
    // A clock that went back begins the time anew.
    await engine.redis.hincrby(state, 'rotated', 86_400_000);
    expect(await rotation.rotate(1)).toBe(false);
    expect(Math.abs((await rotatedAt(0)) - (await rotatedAt(1)) - 1_800_000)).toBeLessThan(60_000);
  });

  it('is made by workers, so that unused values end', async () => {
    const engine = await openEngine({ liveTtlMs: 1000, alignIntervalMs: 100, sweepIntervalMs: 50 });
    const views = (await engine.producer()).counter('views');
    await views.getMany(['a', 'b', 'c']);
    await engine.worker();
    await engine.worker();
    await until(async () => (await liveItems(engine, 'c')).length === 0, 'all live values to end');
    expect(await views.get('a')).toBe(0);
  });
});

it('an acknowledgement deletes a wrong value also if it is old', async () => {
  const engine = await openEngine({ partitions: 1, idempotencyWindowMs: 1000 });
  const loyalty = (await engine.producer()).points('loyalty');
  await loyalty.credit('1', 5, { id: 'a' });
  await engine.drain();
  await until(async () => {
    await engine.flight.trim(0);
    return (await engine.redis.exists(engine.keys.of(0, 'ids'))) === 0;
  }, 'the id to be forgotten');
  await loyalty.credit('1', 5, { id: 'a' });
  await (await rotationOf(engine)).rotate(0);
  expect(await liveValues(engine, 'p', 'loyalty:1')).toEqual([null, '10']);
  await engine.drain();
  expect(await liveValues(engine, 'p', 'loyalty:1')).toEqual([null, null]);
  expect(await loyalty.balance('1')).toBe(5);
});

it('a repair corrects an old value once, as a young one', async () => {
  const engine = await openEngine({ partitions: 1 });
  const views = (await engine.producer()).counter('views');
  await views.get('/');
  await (await rotationOf(engine)).rotate(0);
  await engine.redis.hset(engine.keys.of(0, 'live:old'), 'cviews:/', 7);
  const key = { kind: 'c', name: 'views', key: '/' } as const;
  expect(await engine.cold.repair(0, [key])).toMatchObject([{ live: 7, expected: 0 }]);
  expect(await liveValues(engine, 'c', 'views:/')).toEqual(['0', null]);
});

it('a new epoch ends young and old values', async () => {
  const engine = await openEngine({ partitions: 1 });
  const views = (await engine.producer()).counter('views');
  const ready = async () => {
    await views.get('old');
    await (await rotationOf(engine)).rotate(0);
    await views.get('young');
    expect(await liveItems(engine, 'c')).toHaveLength(2);
  };
  await ready();
  await engine.database.query("UPDATE sluice_partitions SET epoch = 'another'");
  expect(await engine.aligner.align(0)).toBe('adopted');
  expect(await liveItems(engine, 'c')).toEqual([]);

  await engine.redis.hdel(engine.keys.state(0), 'rotated');
  await ready();
  await views.increment('young');
  const batch = (await engine.flight.claim(0))!;
  expect(await engine.flight.rewind(batch, batch.sequence, 'yet another')).toBe(true);
  expect(await liveItems(engine, 'c')).toEqual([]);
});

it('a walk over live values misses none, if a rotation comes between', async () => {
  const engine = await openEngine({ partitions: 1 });
  const views = (await engine.producer()).counter('views');
  const names = Array.from({ length: 400 }, (_, n) => `/${n}`);
  const rotation = await rotationOf(engine);
  for (const rotateAt of [0, 1, 3, 7, 9]) {
    await views.getMany(names);
    const seen = new Set<string>();
    let pages = 0;
    for await (const page of liveKeys(engine.redis, engine.keys, 50)) {
      for (const { key } of page) seen.add(key);
      // All values stay live: a rotation ends none that was used since the last one.
      if (pages++ === rotateAt) {
        await views.getMany(names);
        await rotation.rotate(0);
      }
    }
    expect(seen.size, `rotated after page ${rotateAt}`).toBe(names.length);
  }
});

it('young values are a table from the first one on, after a rotation, and after a restart', async () => {
  const server = await startRedis({
    flavour: inject('redisFlavour'),
    directory: await temporaryFolder(),
    args: ['--appendonly', 'yes', '--appendfsync', 'always'],
  });
  cleanUp(() => server.discard());
  const engine = await openEngine({ partitions: 1 }, { redisUrl: server.url });
  const views = (await engine.producer()).counter('views');
  const redis = new Redis(server.url);
  cleanUp(async () => redis.disconnect());
  const encoding = () => redis.object('ENCODING', engine.keys.of(0, 'live:young'));
  await views.getMany(['a', 'b', 'c']);
  expect(await encoding()).toBe('hashtable');
  await (await rotationOf(engine)).rotate(0);
  await views.getMany(['a', 'b', 'c']);
  expect(await encoding()).toBe('hashtable');

  // Rewritten, the file has the values as a snapshot, which Redis loads as lists where it can.
  await redis.bgrewriteaof();
  await until(async () => /aof_rewrite_in_progress:0/.test(await redis.info('persistence')), 'the rewrite');
  await server.restart();
  await until(async () => (await redis.ping().catch(() => '')) === 'PONG', 'Redis to answer again');
  expect(await encoding()).toBe('hashtable');
  expect(await liveItems(engine, 'c')).toHaveLength(3);
});
