// States of format 4, whose live values were keys of their own: this version takes them over, and processes
// of the former version are refused from then on, wherever they are in a flush.

import { describe, expect, it } from 'vitest';
import { checkRedis } from '../../src/shared/redis/check.ts';
import { defineScript } from '../../src/shared/redis/script.ts';
import { Rotation } from '../../src/worker/rotation.ts';
import { backUpMysql, recoveryOf } from '../support/backup.ts';
import { type Engine, keyIn, openEngine, until } from '../support/engine.ts';

/** Makes the states and the record as the former version left them, with a live value of that version. */
async function makeFormer({ redis, keys }: Engine): Promise<void> {
  for (let partition = 0; partition < keys.partitions; partition++) {
    const state = keys.state(partition);
    if ((await redis.exists(state)) === 0) continue;
    await redis.hset(state, 'deployment', keys.deployment);
    await redis.hdel(state, 'rotated');
    await redis.unlink(keys.of(partition, 'live:young'), keys.of(partition, 'live:old'));
  }
  await redis.hset(keys.format, { deployment: keys.deployment, partitions: keys.partitions, format: 4 });
}

const owners = ({ redis, keys }: Engine) =>
  Promise.all([0, 1].map(partition => redis.hget(keys.state(partition), 'deployment')));

async function openWithBatch() {
  const engine = await openEngine({ partitions: 1 });
  const sluice = await engine.producer();
  await sluice.counter('views').increment('k', 3);
  await sluice.points('loyalty').credit('a', 5, { id: '1' });
  const batch = (await engine.flight.claim(0))!;
  await sluice.counter('views').increment('k', 4);
  return { engine, sluice, batch };
}

describe('a batch in flight that the former version has claimed', () => {
  it('gets another token if MySQL lacks it: that version can neither write nor acknowledge it', async () => {
    const { engine, sluice, batch } = await openWithBatch();
    await makeFormer(engine);
    expect(await engine.aligner.align(0)).toBe('adopted');
    expect(await engine.flight.inFlight(batch)).toBe(false);
    expect(await engine.flight.rewind(batch, batch.sequence, 'another')).toBe(false);
    expect(await engine.store.commit(batch)).toEqual({ decision: 'stop' });
    expect(await engine.flight.ack(batch, { late: [], quarantined: 0 })).toMatchObject({
      acknowledged: false,
    });
    expect(await sluice.counter('views').get('k')).toBe(7);
    await engine.drain();
    expect(await engine.counterInMysql('views', 'k')).toBe(7);
    expect(await engine.balanceInMysql('loyalty', 'a')).toBe(5);
    expect(await engine.compare('c', 'views', 'k')).toMatchObject({ live: 7, expected: 7 });
  });

  it('also if it was claimed after its partition was looked at', async () => {
    const { engine, batch } = await openWithBatch();
    await makeFormer(engine);
    const { redis, keys } = engine;
    const epoch = (await redis.hget(keys.state(0), 'epoch'))!;
    const file = new URL('../../src/shared/partition/adopt.lua', import.meta.url);
    const adopt = defineScript<number>(engine.own.redis, 'adopt', file);
    const call = (seen: string, written: string) =>
      adopt(keys.state(0), seen, `${seen}-next`, 0, 0, keys.owner, 'other', written);
    // MySQL has no batch that was claimed while its watermark is locked.
    expect(await call(epoch, 'an earlier one')).toBe(1);
    expect(await redis.hget(keys.state(0), 'token')).toBe('other');

    await redis.hset(keys.state(0), { deployment: keys.deployment, token: batch.token });
    expect(await call(`${epoch}-next`, batch.token)).toBe(1);
    expect(await redis.hget(keys.state(0), 'token')).toBe(batch.token);
  });

  it('keeps its token if MySQL has it, and either version acknowledges it', async () => {
    const { engine, sluice, batch } = await openWithBatch();
    await engine.store.commit(batch);
    await makeFormer(engine);
    expect(await engine.aligner.align(0)).toBe('adopted');
    expect(await sluice.counter('views').get('k')).toBe(7);
    expect(await engine.flight.ack(batch, { late: [], quarantined: 0 })).toMatchObject({
      acknowledged: true,
    });
    await engine.drain();
    expect(await engine.counterInMysql('views', 'k')).toBe(7);
    expect(await engine.compare('c', 'views', 'k')).toMatchObject({ live: 7, expected: 7 });
  });
});

it('a state of the former version is taken over by an update or a read, with what is pending and known', async () => {
  const engine = await openEngine({ partitions: 2 });
  const sluice = await engine.producer();
  const views = sluice.counter('views');
  const own = (partition: number) => keyIn(engine.keys, partition);
  await views.increment(own(0), 2, { id: 'x' });
  await views.increment(own(1), 5);
  await makeFormer(engine);
  // Left there, it would be read.
  await engine.redis.hset(engine.keys.of(1, 'live:young'), `cviews:${own(1)}`, 99);
  expect(await new Rotation(engine.own.redis, engine.keys, 0).rotate(0)).toBe(false);
  expect((await engine.inspector.all()).map(({ pendingUpdates }) => pendingUpdates)).toEqual([1, 1]);
  expect(await views.increment(own(0), 2, { id: 'x' })).toMatchObject({ duplicate: true });
  expect(await views.get(own(1))).toBe(5);
  expect(await owners(engine)).toEqual([engine.keys.owner, engine.keys.owner]);
  await engine.drain();
  expect(await engine.counterInMysql('views', own(0))).toBe(2);
  expect(await engine.counterInMysql('views', own(1))).toBe(5);
});

it('a start takes all partitions over, and waits for a flush that holds a watermark', async () => {
  const engine = await openEngine({ partitions: 2 });
  const sluice = await engine.producer();
  await sluice.counter('views').get('k');
  await makeFormer(engine);
  const looking = () => checkRedis(engine.own.redis, engine.keys, 'test', true);
  await expect(looking()).rejects.toMatchObject({
    code: 'REDIS_UNSUITABLE',
    message: expect.stringContaining('format 4'),
  });
  expect(await owners(engine)).toEqual([engine.keys.deployment, engine.keys.deployment]);
  let started: Promise<unknown> | undefined;
  let isStarted = false;
  // While it is not over, such a statement waits. `innodb_trx` would not do: InnoDB gives all who ask within a
  // tenth of a second the same answer, so whoever asks more often never sees a new one.
  const waits = async () =>
    (await engine.database.query('SHOW FULL PROCESSLIST')).some(
      ({ db, Info }) => db === engine.name && /FROM sluice_partitions .* FOR UPDATE$/.test(String(Info)),
    );
  await engine.database.transaction(async connection => {
    await connection.query('SELECT sequence FROM sluice_partitions WHERE partition_id = 1 FOR UPDATE');
    started = engine.producer().finally(() => {
      isStarted = true;
    });
    await until(async () => (await owners(engine))[0] === engine.keys.owner, 'partition 0 to be taken over');
    await until(async () => isStarted || (await waits()), 'the start to wait for partition 1');
    expect(isStarted).toBe(false);
  });
  await started;
  expect(await owners(engine)).toEqual([engine.keys.owner, engine.keys.owner]);
  await looking();
});

it('a state of another deployment is refused as before', async () => {
  const engine = await openEngine({ partitions: 1 });
  const sluice = await engine.producer();
  await engine.redis.hset(engine.keys.state(0), 'deployment', 'another');
  for (const call of [
    () => sluice.counter('views').increment('k'),
    () => sluice.counter('views').get('k'),
    () => engine.inspector.all(),
    () => engine.flight.claim(0),
    () => engine.aligner.align(0),
    () => engine.cold.load(0, [{ kind: 'c', name: 'views', key: 'k' }]),
  ])
    await expect(call()).rejects.toThrow(/another deployment/);
});

it('a halted partition of the former version is recovered first, then taken over', async () => {
  const engine = await openEngine({ partitions: 1 });
  const sluice = await engine.producer();
  const restore = await backUpMysql(engine);
  await sluice.counter('views').increment('k', 2);
  await engine.drain();
  await sluice.counter('views').increment('k', 3);
  await restore();
  await makeFormer(engine);
  await expect(engine.aligner.align(0)).rejects.toMatchObject({ code: 'DATABASE_WENT_BACK' });
  await expect(sluice.counter('views').increment('k')).rejects.toMatchObject({ code: 'DATABASE_WENT_BACK' });
  expect(await engine.redis.hget(engine.keys.state(0), 'deployment')).toBe(engine.keys.deployment);
  await recoveryOf(engine).recover(0, { operator: 'test' });
  expect(await engine.aligner.align(0)).toBe('adopted');
  await engine.drain();
  // The two updates that only the lost part of MySQL had are declared.
  expect(await engine.counterInMysql('views', 'k')).toBe(3);
  expect(await sluice.counter('views').get('k')).toBe(3);
});
