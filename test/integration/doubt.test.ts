// Redis forgets that entries went to MySQL, and has them pending once more: until their flush, a cold read must not add them up.

import { describe, expect, it } from 'vitest';
import type { Settings } from '../../src/shared/config/settings.ts';
import { backUpRedis, openWithCommand } from '../support/backup.ts';
import { type Engine, until } from '../support/engine.ts';

/** Account 1 has 10 - 4 points in MySQL, and Redis has both entries pending again; account 2 has 3 and nothing pending. */
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
  message: expect.stringMatching(/may have already wait for their flush/),
};

async function expectSettled(engine: Engine, balance: () => Promise<number>) {
  await engine.drain();
  expect(await balance()).toBe(6);
  expect(await engine.balanceInMysql('loyalty', '1')).toBe(6);
  expect(await engine.compare('p', 'loyalty', '1')).toMatchObject({ live: 6, expected: 6 });
}

describe('entries that MySQL may have already', () => {
  it('are not added up after a Redis that was behind is adopted, and hold up nothing else', async () => {
    const { engine, points, views } = await forgetful();
    expect(await engine.aligner.align(0)).toBe('adopted');
    // Nothing of the account can be spent meanwhile; of another, and of a new one, it can.
    await expect(points.debit('1', 1, { id: 'd' })).rejects.toMatchObject(doubt);
    await expect(engine.compare('p', 'loyalty', '1')).rejects.toMatchObject(doubt);
    expect((await points.debit('2', 1, { id: 'e' })).value).toBe(2);
    expect((await points.credit('3', 1, { id: 'f' })).value).toBe(1);
    // A counter that comes twice is written twice, and declared.
    expect(await views.get('k')).toBe(10);
    const waiting = points.balance('1');
    await engine.drain();
    expect(await waiting).toBe(6);
    expect(await engine.counterInMysql('views', 'k')).toBe(10);
    await expectSettled(engine, () => points.balance('1'));
    expect([await points.balance('2'), await points.balance('3')]).toEqual([2, 1]);
  });

  it('are not added up while the rest of them waits behind a batch that was rewound', async () => {
    const { engine, points } = await forgetful({ batchEntries: 1 });
    // In place of what Redis had claimed when it was lost.
    const batch = (await engine.flight.claim(0))!;
    const result = await engine.store.commit(batch);
    expect(result).toMatchObject({ decision: 'rewind', late: 1 });
    if ('outcome' in result) await engine.flight.ack(batch, result.outcome);
    await expect(points.balance('1')).rejects.toMatchObject(doubt);
    await expectSettled(engine, () => points.balance('1'));
  });

  it('are read as soon as they are flushed, and what comes later is never in doubt', async () => {
    const { engine, points } = await forgetful();
    await engine.aligner.align(0);
    const waiting = points.balance('1');
    await engine.worker();
    expect(await waiting).toBe(6);
    await points.debit('1', 6, { id: 'g' });
    await expect(points.debit('1', 1, { id: 'h' })).rejects.toMatchObject({ code: 'INSUFFICIENT_POINTS' });
    const isFlushed = async () => (await engine.balanceInMysql('loyalty', '1')) === 0;
    await until(isFlushed, 'the debit in MySQL');
    await engine.redis.del(`${engine.keys.livePattern(0, 'p', (await engine.watermark(0)).epoch)}loyalty:1`);
    expect(await points.balance('1')).toBe(0);
  });
});

describe('a debit that Redis has forgotten', () => {
  it('may be spent once more, and the account that stands below its floor is counted', async () => {
    const { engine, sluice } = await openWithCommand();
    const points = sluice.points('loyalty');
    for (const account of ['1', '2']) await points.credit(account, 10, { id: 'a' });
    const restore = await backUpRedis(engine);
    for (const account of ['1', '2']) await points.debit(account, 8, { id: 'b' });
    await engine.drain();
    await restore();
    // Before anybody has found that Redis is behind: one account pays again, the other has a credit on its way.
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
