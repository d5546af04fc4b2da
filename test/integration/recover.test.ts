// `sluice recover` after MySQL was restored from a backup: what it shows, does and declares.

import { describe, expect, it } from 'vitest';
import { Sides } from '../../src/recovery/evidence.ts';
import { Recovery } from '../../src/recovery/recover.ts';
import {
  backUpMysql,
  contents,
  declared,
  openWithCommand,
  operations,
  recoveryOf,
} from '../support/backup.ts';
import { Crash, type Engine, until } from '../support/engine.ts';
import { expectOpenSums, holdRows } from '../support/holds.ts';

const request = { operator: 'test' };
const flush = (engine: Engine) => engine.flusher.flush(0).catch(error => error);

/** Ten updates of one counter and two accounts in the backup, four after it. */
async function restoreMysql(engine: Engine, sluice: Awaited<ReturnType<Engine['producer']>>) {
  const loyalty = sluice.points('loyalty');
  for (let i = 0; i < 8; i++) await sluice.counter('views').increment('k');
  await loyalty.credit('1', 100, { id: 'kept' });
  await loyalty.credit('2', 7, { id: 'kept' });
  await engine.drain();
  const restore = await backUpMysql(engine);
  await sluice.counter('views').increment('k', 50);
  await engine.drain();
  await sluice.counter('views').increment('gone', 9);
  await loyalty.credit('1', 1000, { id: 'gone' });
  await loyalty.debit('2', 7, { id: 'gone' });
  await engine.drain();
  return restore;
}

describe('MySQL restored from a backup', () => {
  it('is shown without a change, then accepted as it is, and lost updates are declared', async () => {
    const { engine, sluice, command } = await openWithCommand();
    const restore = await restoreMysql(engine, sluice);
    await restore();
    // Producers continue with what they know.
    await sluice.counter('views').increment('new', 3);
    expect(await flush(engine)).toMatchObject({ code: 'DATABASE_WENT_BACK', message: /docs\/recovery\.md/ });

    const before = await contents(engine);
    const look = await command('recover');
    expect({ code: look.code, stderr: look.stderr }).toEqual({ code: 1, stderr: '' });
    expect(look.stdout).toMatch(/DATABASE_WENT_BACK/);
    expect(look.stdout).toMatch(/With --yes the database is accepted as it is: 4 updates lost at most\./);
    const json = await command('recover', '--json');
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject([
      {
        partition: 0,
        verdict: 'DATABASE_WENT_BACK',
        redis: { sequence: 4, inFlight: 1, updates: 15, claimed: 15, pendingKeys: 0, pendingEntries: 0 },
        database: { sequence: 1, updates: 10, journal: { oldest: 1, newest: 1, batches: 1 } },
        damage: { kind: 'lost', updates: 4, isExact: true },
      },
    ]);
    expect(await contents(engine)).toEqual(before);

    const done = await command('recover', '--yes', '--operator', 'ada', '--reason', 'restored to 04:00');
    expect({ code: done.code, stderr: done.stderr }).toEqual({ code: 0, stderr: '' });
    expect(done.stdout).toMatch(/recovered \(operation \d+\): .*4 updates lost at most, declared/);
    const [operation] = await operations(engine);
    expect(operation).toMatchObject({
      action: 'recover',
      operator: 'ada',
      reason: 'restored to 04:00',
      done: true,
    });
    const audit = await command('failed', 'audit', '--json');
    expect(JSON.parse(audit.stdout).operations).toMatchObject([
      { action: 'recover', filter: { partition: 0 } },
    ]);
    expect(await declared(engine)).toEqual([{ kind: 'lost', cause: `recover-${operation!.id}`, updates: 4 }]);
    expect((await command('recover')).code).toBe(0);

    // The batch in flight is applied, and the partition flushes again.
    await engine.drain();
    expect((await engine.metrics.rewinds.get()).values[0]!.value).toBe(0);
    const views = sluice.counter('views');
    expect(await views.getMany(['k', 'gone', 'new'])).toEqual([8, 0, 3]);
    expect(await engine.counterInMysql('views', 'new')).toBe(3);
    await views.increment('k');
    await engine.drain();
    expect(await engine.counterInMysql('views', 'k')).toBe(9);
    expect((await command('verify')).code).toBe(0);
  });

  it('brings holds back as the backup has them: an ended one is open again, a new one is gone', async () => {
    const { engine, sluice, command } = await openWithCommand();
    const loyalty = sluice.points('loyalty');
    await loyalty.credit('1', 100, { id: 'kept' });
    await loyalty.hold('1', 40, { id: 'posted since' });
    await loyalty.hold('1', 20, { id: 'voided later' });
    await engine.drain();
    const restore = await backUpMysql(engine);
    await loyalty.post('1', 'posted since', 15);
    await loyalty.hold('1', 10, { id: 'new' });
    await engine.drain();
    // Both ends are pending when the database goes back.
    await loyalty.void('1', 'voided later');
    await loyalty.void('1', 'new');
    await restore();
    expect(await flush(engine)).toMatchObject({ code: 'DATABASE_WENT_BACK' });
    expect((await command('recover', '--yes')).code).toBe(0);
    await engine.drain();
    expect(await loyalty.account('1')).toEqual({ balance: 100, held: 40, available: 60 });
    expect(await expectOpenSums(engine)).toMatchObject([{ holds: 1, points: 40 }]);
    await expect(loyalty.post('1', 'new', 10)).rejects.toMatchObject({ code: 'UNKNOWN_HOLD' });
    expect(await loyalty.hold('1', 10, { id: 'new' })).toMatchObject({ duplicate: false });
    expect(await loyalty.post('1', 'posted since', 15)).toMatchObject({ duplicate: false, value: 85 });
    await expect(loyalty.post('1', 'voided later')).rejects.toMatchObject({ code: 'HOLD_ENDED' });
    await engine.drain();
    expect(await holdRows(engine, '1')).toEqual({
      'posted since': { amount: 40, status: 'posted', posted: 15 },
      'voided later': { amount: 20, status: 'voided', posted: 0 },
      new: { amount: 10, status: 'open', posted: 0 },
    });
    expect(await expectOpenSums(engine)).toMatchObject([{ holds: 1, points: 10 }]);
    expect((await command('verify')).code).toBe(0);
  });

  it('takes lost entries again with their ids, and counts kept ones once', async () => {
    const { engine, sluice, command } = await openWithCommand();
    const restore = await restoreMysql(engine, sluice);
    await restore();
    expect(await engine.aligner.align(0).catch(error => error)).toMatchObject({ code: 'DATABASE_WENT_BACK' });
    expect(await recoveryOf(engine).recover(0, request)).toMatchObject({ damage: { updates: 4 } });
    const loyalty = sluice.points('loyalty');
    expect(await loyalty.balance('1')).toBe(100);
    expect(await loyalty.credit('1', 1000, { id: 'gone' })).toMatchObject({ duplicate: false });
    await loyalty.credit('1', 100, { id: 'kept' });
    expect(await loyalty.debit('2', 7, { id: 'gone' })).toMatchObject({ duplicate: false, value: 0 });
    await engine.drain();
    expect(await loyalty.balance('1')).toBe(1100);
    expect(await engine.balanceInMysql('loyalty', '1')).toBe(1100);
    expect(await engine.balanceInMysql('loyalty', '2')).toBe(0);
    expect((await engine.redis.lrange(`{${engine.name}:0}:entryIds`, 0, -1)).length).toBe(3);
    expect((await command('verify')).code).toBe(0);
  });

  it('reports an upper bound if the backup does not say how many updates it has', async () => {
    const { engine, sluice } = await openWithCommand();
    const restore = await restoreMysql(engine, sluice);
    await restore();
    await engine.database.query('UPDATE sluice_partitions SET updates = 0');
    expect(await recoveryOf(engine).recover(0, request)).toMatchObject({
      damage: { updates: 14, isExact: false },
    });
    expect(await declared(engine)).toMatchObject([{ updates: 14 }]);
    const [row] = await engine.database.query('SELECT updates FROM sluice_partitions');
    expect(Number(row!.updates)).toBe(14);
  });

  it('flushes again by itself if a worker runs', async () => {
    const { engine, sluice } = await openWithCommand({
      stuckAfterMs: 300,
      sweepIntervalMs: 50,
      backoffCapMs: 500,
    });
    const restore = await restoreMysql(engine, sluice);
    await restore();
    const worker = await engine.worker();
    await sluice.counter('views').increment('new', 3);
    await until(
      async () =>
        (await worker.metrics.flushErrors.get()).values.some(
          ({ labels, value }) => labels.class === 'halted' && value > 0,
        ),
      'the worker to find the halt',
    );
    expect(await recoveryOf(engine).recover(0, request)).toBeDefined();
    await until(async () => (await engine.counterInMysql('views', 'new')) === 3, 'the batch in flight');
    await (await sluice.counter('views').increment('k')).persisted();
    expect(await engine.counterInMysql('views', 'k')).toBe(9);
  });

  it.each(['declared', 'moved'] as const)(
    'is accepted once and declared once after a crash when %s',
    async step => {
      const { engine, sluice } = await openWithCommand();
      const restore = await restoreMysql(engine, sluice);
      await restore();
      await sluice.counter('views').increment('new', 3);
      await flush(engine);
      await expect(recoveryOf(engine, step).recover(0, request)).rejects.toBeInstanceOf(Crash);
      expect(await flush(engine)).toMatchObject({ code: 'DATABASE_WENT_BACK' });
      await recoveryOf(engine).recover(0, request);
      expect(await declared(engine)).toMatchObject([{ kind: 'lost', updates: 4 }]);
      expect(await operations(engine)).toMatchObject([{ done: true }]);
      await engine.drain();
      expect(await sluice.counter('views').getMany(['k', 'gone', 'new'])).toEqual([8, 0, 3]);
      expect(await engine.counterInMysql('views', 'new')).toBe(3);
    },
  );
});

it('a recovery does not overwrite a claim in its middle', async () => {
  const { engine, sluice } = await openWithCommand();
  const restore = await restoreMysql(engine, sluice);
  await restore();
  await sluice.counter('views').increment('new', 3);
  let claims = 0;
  const claim = engine.flight.claim.bind(engine.flight);
  const recovery = new Recovery(engine.own.redis, engine.own.database, engine.keys, step => {
    if (step === 'declared' && claims++ === 0) void claim(0);
  });
  await recovery.recover(0, request);
  expect(claims).toBeGreaterThan(0);
  expect((await operations(engine)).length).toBe(1);
  await engine.drain();
  expect(await engine.counterInMysql('views', 'new')).toBe(3);
});

it('recover tells what is in order, and what repairs itself', async () => {
  const { engine, sluice } = await openWithCommand();
  const state = engine.keys.state(0);
  const verdict = async () => (await recoveryOf(engine).look(0)).verdict;
  await engine.redis.del(state);
  expect(await verdict()).toBe('NO_STATE');
  await sluice.counter('views').increment('k');
  await engine.drain();
  expect(await verdict()).toBe('IN_ORDER');
  await sluice.counter('views').increment('k');
  const batch = await engine.flight.claim(0);
  expect(await verdict()).toBe('IN_ORDER');
  await engine.store.commit(batch!);
  expect(await verdict()).toBe('IN_ORDER');
  await engine.drain();
  await engine.database.query("UPDATE sluice_partitions SET epoch = 'other'");
  expect(await verdict()).toBe('EPOCHS_DIFFER');
  await engine.aligner.align(0);
  await engine.redis.hset(state, 'sequence', 1);
  expect(await verdict()).toBe('REDIS_BEHIND');
  expect(await recoveryOf(engine).recover(0, request)).toBeUndefined();
  await engine.database.query('DELETE FROM sluice_partitions');
  expect(await verdict()).toBe('NOT_MIGRATED');
  expect(await operations(engine)).toEqual([]);
});

it('a recovery leaves a Redis alone that has changed since it looked', async () => {
  const { engine, sluice } = await openWithCommand();
  await sluice.counter('views').increment('k');
  const { redis } = await recoveryOf(engine).look(0);
  await engine.flight.claim(0);
  const before = await contents(engine);
  const move = { epoch: 'fresh', sequence: 7, token: '', discards: true, forgetsIds: true };
  const sides = new Sides(engine.own.redis, engine.keys);
  expect(await sides.move(0, Number.MAX_SAFE_INTEGER, redis!, move, 1)).toBeUndefined();
  for (const action of ['discard', 'forget'] as const)
    expect(await sides.lighten(0, action, Number.MAX_SAFE_INTEGER, redis!, 1)).toBe(false);
  expect(await contents(engine)).toEqual(before);
});

it('a recovery forgets more ids than one call may, and goes on after a crash', async () => {
  const { engine, sluice } = await openWithCommand();
  const loyalty = sluice.points('loyalty');
  const credit = (n: number) => loyalty.credit('1', 1, { id: `${n}` });
  const restore = await backUpMysql(engine);
  for (let n = 0; n < 10; n++) await credit(n);
  await engine.drain();
  await restore();
  await credit(10);
  const ids = () => engine.redis.lrange(`{${engine.name}:0}:entryIds`, 0, -1);
  await expect(recoveryOf(engine, 'lightened', 3).recover(0, request)).rejects.toBeInstanceOf(Crash);
  expect(await flush(engine)).toMatchObject({ code: 'DATABASE_WENT_BACK' });
  expect((await ids()).length).toBe(8);
  expect(await recoveryOf(engine, undefined, 3).recover(0, request)).toMatchObject({
    damage: { updates: 10 },
  });
  expect((await ids()).length).toBe(1);
  // Until what is pending is flushed, the account is in doubt.
  await engine.drain();
  expect(await credit(4)).toMatchObject({ duplicate: false });
  expect(await credit(10)).toMatchObject({ duplicate: true });
  await engine.drain();
  expect(await engine.balanceInMysql('loyalty', '1')).toBe(2);
});
