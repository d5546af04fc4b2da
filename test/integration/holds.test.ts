// Holds: points that are kept for one use, posted, voided or expired, exactly once.

import { describe, expect, it } from 'vitest';
import { openEngine, until } from '../support/engine.ts';
import { expectNoDrift, holdRows, withAccount } from '../support/holds.ts';
import { dropAllLive } from '../support/live.ts';
import { ledger } from '../support/transfers.ts';

const open = async () => withAccount(await openEngine({ partitions: 1 }));

describe('a hold', () => {
  it('keeps points from debits, transfers and other holds, and a post takes a part of them', async () => {
    const { engine, points } = await open();
    const receipt = await points.hold('a', 60, { id: 'order' });
    expect(receipt).toMatchObject({ value: 100, held: 60, duplicate: false });
    expect(await points.account('a')).toEqual({ balance: 100, held: 60, available: 40 });
    const refusal = { code: 'INSUFFICIENT_POINTS', balance: 100, held: 60 };
    await expect(points.debit('a', 41, { id: 'd1' })).rejects.toMatchObject(refusal);
    await expect(points.transfer('a', 'b', 41, { id: 't1' })).rejects.toMatchObject(refusal);
    await expect(points.hold('a', 41, { id: 'other' })).rejects.toMatchObject(refusal);
    await points.debit('a', 40, { id: 'd2' });
    expect(await points.post('a', 'order', 25, { reason: 'shipped' })).toMatchObject({ value: 35, held: 0 });
    expect(await points.account('a')).toEqual({ balance: 35, held: 0, available: 35 });
    await expectNoDrift(engine, 'a');
    await engine.drain();
    await receipt.persisted();
    expect(await holdRows(engine, 'a')).toEqual({ order: { amount: 60, status: 'posted', posted: 25 } });
    expect((await ledger(engine, 'a')).map(({ amount, balance }) => [amount, balance])).toEqual([
      [100, 100],
      [-40, 60],
      [-25, 35],
    ]);
    expect(await engine.balanceInMysql('loyalty', 'a')).toBe(35);
    await expectNoDrift(engine, 'a');
    const [post] = await points.history('a');
    expect(post).toMatchObject({ amount: -25, hold: 'order', reason: 'shipped', persisted: true });
  });

  it('is freed by a void, and is written whatever shares its batch', async () => {
    const { engine, points } = await open();
    await points.hold('a', 60, { id: 'h1' });
    await engine.drain();
    await expectNoDrift(engine, 'a');
    await points.hold('a', 40, { id: 'h2' });
    expect(await points.void('a', 'h1')).toMatchObject({ value: 100, held: 40 });
    await points.void('a', 'h2');
    await engine.drain();
    expect(await holdRows(engine, 'a')).toEqual({
      h1: { amount: 60, status: 'voided', posted: 0 },
      h2: { amount: 40, status: 'voided', posted: 0 },
    });
    expect(await points.account('a')).toMatchObject({ balance: 100, held: 0 });
    expect(await engine.balanceInMysql('loyalty', 'a')).toBe(100);
  });

  it('takes no place in a history, however many of them are pending above an entry', async () => {
    const { points } = await open();
    await points.credit('a', 1, { id: 'pending' });
    await points.hold('a', 1, { id: 'h' });
    expect(await points.history('a', { limit: 1 })).toMatchObject([{ id: 'pending', persisted: false }]);
    await points.void('a', 'h');
    const ids = Array.from({ length: 50 }, (_, at) => `h${at}`);
    await Promise.all(ids.map(id => points.hold('a', 1, { id })));
    const all = [{ id: 'pending' }, { id: 'start' }];
    expect(await points.history('a')).toMatchObject(all);
    expect(await points.history('a', { limit: 1 })).toMatchObject(all.slice(0, 1));
    expect(await points.history('a', { limit: 1, before: 'pending' })).toMatchObject(all.slice(1));
  });

  it('is the same wherever it is: pending, in flight, in MySQL, live or cold', async () => {
    const { engine, points } = await open();
    const everywhere = async (expected: object, hold: object) => {
      await expectNoDrift(engine, 'a');
      expect(await points.account('a')).toMatchObject(expected);
      expect(await points.findHold('a', 'h')).toEqual(hold);
      await dropAllLive(engine, 0);
      expect(await points.findHold('a', 'h')).toEqual(hold);
      expect(await points.account('a')).toMatchObject(expected);
      await expectNoDrift(engine, 'a');
    };
    const begun = { amount: 30, status: 'open', posted: 0, expiresAt: null };
    await points.hold('a', 30, { id: 'h' });
    await everywhere({ balance: 100, held: 30 }, begun);
    engine.crashAt('written');
    await engine.flusher.flush(0).catch(() => {});
    await everywhere({ balance: 100, held: 30 }, begun);
    await points.post('a', 'h');
    const posted = { amount: 30, status: 'posted', posted: 30, expiresAt: null };
    await everywhere({ balance: 70, held: 0 }, posted);
    engine.crashAt('committed');
    await engine.flusher.flush(0).catch(() => {});
    await everywhere({ balance: 70, held: 0 }, posted);
    engine.crashAt(undefined);
    await engine.drain();
    await everywhere({ balance: 70, held: 0 }, posted);
  });
});

describe('an end', () => {
  it('counts once: the same again is a duplicate, another one is told what ended the hold', async () => {
    const { engine, points } = await open();
    const check = async () => {
      expect(await points.post('a', 'h', 20)).toMatchObject({ duplicate: true, value: 80, held: 0 });
      await expect(points.post('a', 'h', 30)).rejects.toMatchObject({
        code: 'HOLD_ENDED',
        status: 'posted',
        posted: 20,
      });
      await expect(points.void('a', 'h')).rejects.toMatchObject({ code: 'HOLD_ENDED', status: 'posted' });
      expect(await points.hold('a', 50, { id: 'h' })).toMatchObject({ duplicate: true });
      await expect(points.hold('a', 51, { id: 'h' })).rejects.toMatchObject({
        code: 'IDEMPOTENCY_KEY_REUSED',
      });
    };
    await points.hold('a', 50, { id: 'h' });
    await expect(points.post('a', 'h', 51)).rejects.toMatchObject({ code: 'HOLD_EXCEEDED', amount: 50 });
    await points.post('a', 'h', 20);
    await check();
    await engine.drain();
    await check();
    // Long after: Redis knows neither ids nor records.
    await dropAllLive(engine, 0);
    await engine.redis.del(engine.keys.of(0, 'ids'));
    await check();
    expect(await engine.balanceInMysql('loyalty', 'a')).toBe(80);
    await engine.drain();
    expect(await points.account('a')).toMatchObject({ balance: 80, held: 0 });
  });

  it('keeps its place among the updates of its account, although only MySQL knows that its id is new', async () => {
    const { engine, points } = await open();
    const outcome = (call: Promise<{ value: number | null }>) =>
      call.then(
        ({ value }) => value,
        error => error.code,
      );
    await points.balance('a');
    const calls = [
      points.hold('a', 60, { id: 'h' }),
      points.debit('a', 60, { id: 'd' }),
      points.post('a', 'h', 50),
      points.credit('a', 7, { id: 'c' }),
      points.credit('b', 1, { id: 'other' }),
    ];
    expect(await Promise.all(calls.map(outcome))).toEqual([100, 'INSUFFICIENT_POINTS', 50, 57, 1]);
    await engine.drain();
    expect((await ledger(engine, 'a')).map(({ amount }) => amount)).toEqual([100, -50, 7]);
    await expectNoDrift(engine, 'a');
  });

  it('of no hold is refused, and a hold does not share its id with an entry', async () => {
    const { points } = await open();
    await expect(points.post('a', 'start')).rejects.toMatchObject({ code: 'UNKNOWN_HOLD' });
    await expect(points.void('b', 'none')).rejects.toMatchObject({ code: 'UNKNOWN_HOLD' });
    expect(await points.hold('a', 5, { id: 'start' })).toMatchObject({ duplicate: false });
    expect(await points.post('a', 'start')).toMatchObject({ value: 95 });
  });

  it('of a hundred at once counts once each', async () => {
    const { engine, points } = await open();
    const ids = Array.from({ length: 100 }, (_, at) => `h${at}`);
    const held = await Promise.allSettled(ids.map(id => points.hold('a', 2, { id })));
    expect(held.filter(({ status }) => status === 'fulfilled')).toHaveLength(50);
    expect(await points.account('a')).toEqual({ balance: 100, held: 100, available: 0 });
    const ended = await Promise.allSettled(
      ids
        .slice(0, 50)
        .flatMap(id => [points.post('a', id, 1), points.void('a', id), points.post('a', id, 1)]),
    );
    expect(ended.filter(({ status }) => status === 'rejected')).toHaveLength(50);
    expect(await points.account('a')).toMatchObject({ balance: 50, held: 0 });
    await engine.drain();
    expect(await engine.balanceInMysql('loyalty', 'a')).toBe(50);
    await expectNoDrift(engine, 'a');
  });
});

describe('a hold past its time', () => {
  it('is ended by whoever asks first, and by the workers', async () => {
    const { engine, points } = await open();
    await points.hold('a', 30, { id: 'asked', expiresInMs: 1 });
    await points.hold('a', 30, { id: 'swept', expiresInMs: 1 });
    // A post above the hold changes nothing while its time is not over.
    await until(async () => (await points.post('a', 'asked', 31).catch(error => error)).status === 'expired');
    expect(await points.account('a')).toMatchObject({ balance: 100, held: 30 });
    await engine.drain();
    expect(await holdRows(engine, 'a')).toMatchObject({
      asked: { status: 'expired' },
      swept: { status: 'open' },
    });
    await until(async () => {
      await engine.expiry().once();
      return (await points.account('a')).held === 0;
    });
    await expectNoDrift(engine, 'a');
    await expect(points.void('a', 'swept')).rejects.toMatchObject({ code: 'HOLD_ENDED', status: 'expired' });
    await engine.drain();
    expect(await holdRows(engine, 'a')).toMatchObject({ swept: { status: 'expired', posted: 0 } });
    expect(await points.account('a')).toEqual({ balance: 100, held: 0, available: 100 });
  });
});
