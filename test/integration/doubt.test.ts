// Redis was set back, so entries of MySQL are pending again: no cold read may add them up until the flush.

import { describe, expect, it } from 'vitest';
import type { Settings } from '../../src/shared/config/settings.ts';
import { backUpRedis, openWithCommand } from '../support/backup.ts';
import { type Engine, until } from '../support/engine.ts';
import { dropLive } from '../support/live.ts';

/** Account 1 has 10 - 4 points in MySQL, with both entries pending again in Redis; account 2 has 3 points. */
async function forgetful(settings: Partial<Settings> = {}) {
  const { engine, sluice } = await openWithCommand(settings);
  const points = sluice.points('loyalty');
  await points.credit('2', 3, { id: 'a' });
  await engine.drain();
  await points.credit('1', 10, { id: 'b' });
  await points.debit('1', 4, { id: 'c' });
  await sluice.counter('views').increment('k', 5);
  const restore = await backUpRedis(engine);
  await engine.drain();
  await restore();
  expect(await engine.inspector.partition(0)).toMatchObject({ pendingUpdates: 3 });
  return { engine, points, views: sluice.counter('views') };
}

const doubt = {
  code: 'READ_UNSETTLED',
  retryable: true,
  message: expect.stringMatching(/may already have wait for their flush/),
};

async function expectFlushed(engine: Engine, balance: () => Promise<number>) {
  await engine.drain();
  expect(await balance()).toBe(6);
  expect(await engine.balanceInMysql('loyalty', '1')).toBe(6);
  expect(await engine.compare('p', 'loyalty', '1')).toMatchObject({ live: 6, expected: 6 });
}

describe('entries that MySQL may have already', () => {
  it('are not added up after a Redis that is behind was aligned, and delay nothing else', async () => {
    const { engine, points, views } = await forgetful();
    expect(await engine.aligner.align(0)).toBe('adopted');
    // This account cannot spend anything meanwhile; another account and a new one can.
    await expect(points.debit('1', 1, { id: 'd' })).rejects.toMatchObject(doubt);
    await expect(engine.compare('p', 'loyalty', '1')).rejects.toMatchObject(doubt);
    expect((await points.debit('2', 1, { id: 'e' })).value).toBe(2);
    expect((await points.credit('3', 1, { id: 'f' })).value).toBe(1);
    // A counter's updates are written twice, and the surplus is declared.
    expect(await views.get('k')).toBe(10);
    const waiting = points.balance('1');
    await engine.drain();
    expect(await waiting).toBe(6);
    expect(await engine.counterInMysql('views', 'k')).toBe(10);
    await expectFlushed(engine, () => points.balance('1'));
    expect([await points.balance('2'), await points.balance('3')]).toEqual([2, 1]);
  });

  it('take no hold of another account down that is sent with one of theirs', async () => {
    const { engine, points } = await forgetful();
    await engine.aligner.align(0);
    const holds = ['1', '2'].map(account => points.hold(account, 1, { id: `h${account}` }));
    expect(await Promise.allSettled(holds)).toMatchObject([
      { status: 'rejected', reason: doubt },
      { status: 'fulfilled', value: { value: 3, held: 1 } },
    ]);
    await engine.drain();
    expect(await points.hold('1', 1, { id: 'h1' })).toMatchObject({ value: 6, held: 1, duplicate: false });
  });

  it('are not added up while some of them wait behind a rewound batch', async () => {
    const { engine, points } = await forgetful({ batchEntries: 1 });
    // The first of them is claimed again as a batch.
    const batch = (await engine.flight.claim(0))!;
    const result = await engine.store.commit(batch);
    expect(result).toMatchObject({ decision: 'rewind', late: 1 });
    if ('outcome' in result) await engine.flight.ack(batch, result.outcome);
    await expect(points.balance('1')).rejects.toMatchObject(doubt);
    await expectFlushed(engine, () => points.balance('1'));
  });

  it('are read as soon as they are flushed, and later entries are read at once', async () => {
    const { engine, points } = await forgetful();
    await engine.aligner.align(0);
    const waiting = points.balance('1');
    await engine.worker();
    expect(await waiting).toBe(6);
    await points.debit('1', 6, { id: 'g' });
    await expect(points.debit('1', 1, { id: 'h' })).rejects.toMatchObject({ code: 'INSUFFICIENT_POINTS' });
    const isFlushed = async () => (await engine.balanceInMysql('loyalty', '1')) === 0;
    await until(isFlushed, 'the debit in MySQL');
    await dropLive(engine, 'p', 'loyalty:1');
    expect(await points.balance('1')).toBe(0);
  });
});

describe('an end that MySQL leaves out', () => {
  it('is not taken for the end of its hold between the commit and the acknowledgement', async () => {
    const { engine, sluice } = await openWithCommand();
    const points = sluice.points('loyalty');
    await points.credit('1', 100, { id: 'a' });
    await engine.drain();
    await expect(points.void('1', 'h')).rejects.toMatchObject({ code: 'UNKNOWN_HOLD' });
    const restore = await backUpRedis(engine);
    await points.hold('1', 20, { id: 'h' });
    await engine.drain();
    await restore();
    // Redis knows no such hold: the id is used again, and more of it is posted than MySQL holds.
    await points.hold('1', 50, { id: 'h' });
    await points.post('1', 'h', 40);
    const batch = (await engine.flight.claim(0))!;
    const result = await engine.store.commit(batch);
    const leftOut = ['ployalty:1', 'h9:loyalty:1h'];
    expect(result).toMatchObject({ decision: 'rewind', outcome: { reload: [...leftOut, ...leftOut] } });
    await expect(points.void('1', 'h')).rejects.toMatchObject(doubt);
    if ('outcome' in result) await engine.flight.ack(batch, result.outcome);
    expect(await points.account('1')).toEqual({ balance: 100, held: 20, available: 80 });
    await points.void('1', 'h');
    await engine.drain();
    expect(await points.account('1')).toEqual({ balance: 100, held: 0, available: 100 });
  });
});

describe('a debit that Redis has forgotten', () => {
  it('can be spent again, and an account below its floor is counted', async () => {
    const { engine, sluice } = await openWithCommand();
    const points = sluice.points('loyalty');
    for (const account of ['1', '2']) await points.credit(account, 10, { id: 'a' });
    const restore = await backUpRedis(engine);
    for (const account of ['1', '2']) await points.debit(account, 8, { id: 'b' });
    await engine.drain();
    await restore();
    // Nobody has found yet that Redis is behind: both accounts pay again, and one of them gets a credit.
    await points.debit('1', 9, { id: 'c' });
    await points.debit('2', 9, { id: 'c' });
    await points.credit('2', 20, { id: 'd' });
    await engine.drain();
    expect(await engine.balanceInMysql('loyalty', '1')).toBe(-7);
    expect(await engine.balanceInMysql('loyalty', '2')).toBe(13);
    const { values } = await engine.metrics.belowFloor.get();
    expect(values).toMatchObject([{ value: 1, labels: { program: 'loyalty' } }]);
  });
});
