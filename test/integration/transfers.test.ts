// Transfers: two accounts of two partitions, one debit, one credit, exactly once.

import { describe, expect, it } from 'vitest';
import type { Update } from '../../src/shared/updates/update.ts';
import { keyIn, openEngine } from '../support/engine.ts';
import {
  accountsOf,
  amounts,
  creditIds,
  expectZero,
  inTransit,
  ledger,
  pageOf,
  withPoints,
} from '../support/transfers.ts';

describe('a transfer', () => {
  it('takes points from one account and gives them to the other', async () => {
    const engine = await openEngine();
    const sluice = await engine.producer();
    await engine.worker();
    const { from, to } = accountsOf(engine);
    const points = sluice.points('loyalty');
    await points.credit(from, 100, { id: 'start' });
    const receipt = await points.transfer(from, to, 10, { id: 'gift-9', reason: 'why', metadata: { a: 1 } });
    expect(receipt).toMatchObject({ value: 90, duplicate: false });
    await receipt.credited();
    expect(await points.balance(from)).toBe(90);
    expect(await points.balance(to)).toBe(10);
    const [, debit] = await ledger(engine, from);
    const [credit] = await ledger(engine, to);
    expect(debit).toMatchObject({ id: 'gift-9', amount: -10, balance: 90, other: to });
    expect(credit).toMatchObject({ id: `\0${debit!.transfer}`, amount: 10, balance: 10, other: from });
    expect(credit!.transfer).toBe(debit!.transfer);
    expect(await inTransit(engine)).toEqual([]);
    await expectZero(engine);
    for (const account of [from, to])
      expect(await engine.compare('p', 'loyalty', account)).toMatchObject({
        live: account === from ? 90 : 10,
        expected: account === from ? 90 : 10,
      });
  });

  it('goes with other updates in one call, and a repetition changes nothing', async () => {
    const engine = await openEngine();
    const sluice = await engine.producer();
    await engine.worker();
    const { from, to } = accountsOf(engine);
    const transfer = { points: 'loyalty', from, to, amount: 30, id: 'x' };
    const updates: Update[] = [
      { points: 'loyalty', account: from, amount: 100, id: 'start' },
      transfer,
      transfer,
      { ...transfer, to: 'somebody else' },
      { ...transfer, id: 'too much', amount: 71 },
      { counter: 'views', key: 'k' },
    ];
    const results = await sluice.apply(updates);
    expect(results).toMatchObject([
      { ok: true, value: 100 },
      { ok: true, value: 70, duplicate: false },
      { ok: true, value: 70, duplicate: true },
      { ok: false, error: { code: 'IDEMPOTENCY_KEY_REUSED' } },
      { ok: false, error: { code: 'INSUFFICIENT_POINTS' } },
      { ok: true },
    ]);
    for (const result of results.slice(1, 3)) if (result.ok) await result.credited!();
    expect(await amounts(engine, to)).toEqual([30]);
    expect(await amounts(engine, from)).toEqual([100, -30]);
  });

  it('is refused before anything is written if it is malformed', async () => {
    const engine = await openEngine();
    const sluice = await engine.producer();
    const points = sluice.points('loyalty');
    const wrong: [Promise<unknown>, string][] = [
      [points.transfer('a', 'a', 1, { id: 'x' }), 'INVALID_ACCOUNT'],
      [points.transfer('a', '', 1, { id: 'x' }), 'INVALID_ACCOUNT'],
      [points.transfer('a', 'b', 0, { id: 'x' }), 'INVALID_AMOUNT'],
      [points.transfer('a', 'b', -1, { id: 'x' }), 'INVALID_AMOUNT'],
      [points.transfer('a', 'b', 1.5, { id: 'x' }), 'INVALID_AMOUNT'],
      [points.transfer('a', 'b', 1, { id: '\0x' }), 'INVALID_ID'],
      [points.transfer('a', 'b', 1, {} as { id: string }), 'MISSING_ID'],
      [points.credit('a', 1, { id: '\0x' }), 'INVALID_ID'],
      [points.debit('a', 1, { id: '\0' }), 'INVALID_ID'],
    ];
    for (const [call, code] of wrong) await expect(call).rejects.toMatchObject({ code });
    const updates = [
      { points: 'nothing', from: 'a', to: 'b', amount: 1, id: 'x' },
      { points: 'loyalty', from: 'a', to: 'b', account: 'c', amount: 1, id: 'x' },
      { points: 'loyalty', from: 'a', amount: 1, id: 'x' },
    ];
    expect(await sluice.apply(updates as unknown as Update[])).toMatchObject([
      { error: { code: 'UNKNOWN_PROGRAM' } },
      { error: { code: 'INVALID_UPDATE' } },
      { error: { code: 'INVALID_ACCOUNT' } },
    ]);
    for (const { pendingUpdates } of await engine.inspector.all()) expect(pendingUpdates).toBe(0);
  });

  it('between two accounts of one partition takes the same path', async () => {
    const { engine, points, from } = await withPoints(await openEngine());
    await engine.worker();
    const to = keyIn(engine.keys, 0, 'same');
    await (await points.transfer(from, to, 7, { id: 'x' })).credited();
    expect(await amounts(engine, from)).toEqual([100, -7]);
    expect(await ledger(engine, to)).toMatchObject([{ amount: 7, other: from }]);
    await expectZero(engine);
  });

  it('chains: points that came in can go out at once', async () => {
    const { engine, points, from, to } = await withPoints(await openEngine());
    await engine.worker();
    await (await points.transfer(from, to, 50, { id: 'x' })).credited();
    await (await points.transfer(to, keyIn(engine.keys, 2, 'third'), 50, { id: 'x' })).credited();
    expect(await points.balance(to)).toBe(0);
    await expectZero(engine);
  });
});

describe('in one transaction for several partitions', () => {
  it('debits and credits are written together', async () => {
    const engine = await openEngine({ partitions: 16 });
    const points = (await engine.producer()).points('loyalty');
    const driver = engine.driver();
    const accounts = [0, 4, 8, 12].map(partition => keyIn(engine.keys, partition));
    const flush = async () => {
      const failed: unknown[] = [];
      const listener = { failed: (_: number, error: unknown) => failed.push(error), wake: () => {} };
      await engine.flusher.flushGroup([0, 4, 8, 12], listener);
      expect(failed).toEqual([]);
      await expectZero(engine);
    };
    for (const account of accounts) await points.credit(account, 100, { id: 'start' });
    await flush();
    const next = (at: number) => accounts[(at + 1) % accounts.length]!;
    for (const [at, account] of accounts.entries())
      await points.transfer(account, next(at), at + 1, { id: 'x' });
    await flush();
    expect((await inTransit(engine)).map(({ amount }) => amount).sort()).toEqual([1, 2, 3, 4]);
    await driver.once();
    for (const account of accounts) await points.debit(account, 50, { id: 'y' });
    await flush();
    expect(await inTransit(engine)).toEqual([]);
    for (const [at, account] of accounts.entries())
      expect(await amounts(engine, account)).toEqual([100, -(at + 1), at === 0 ? 4 : at, -50]);
  });

  it('a credit without its row goes alone and is left out', async () => {
    const engine = await openEngine({ partitions: 16 });
    const { points, from, driver } = await withPoints(engine);
    const to = keyIn(engine.keys, 4);
    await points.balance(to);
    await points.transfer(from, to, 7, { id: 'x' });
    await engine.drain();
    await driver.once();
    expect(await points.balance(to)).toBe(7);
    await engine.database.query('DELETE FROM sluice_transfers');
    await points.credit(from, 1, { id: 'y' });
    await engine.flusher.flushGroup([0, 4, 8, 12], { failed: () => {}, wake: () => {} });
    await engine.drain();
    expect(await amounts(engine, to)).toEqual([]);
    expect(await amounts(engine, from)).toEqual([100, -7, 1]);
    expect(await points.balance(to)).toBe(0);
    expect(await creditIds(engine, 4)).toBe(0);
  });
});

it('a row has the partition of its destination, whatever the account', async () => {
  const engine = await openEngine({ partitions: 16 });
  const { points, from } = await withPoints(engine);
  const accounts = ['a', 'Ä', '\u0000\u0001', '"', '\\', '🙂', 'x'.repeat(255), 'a b', "'"];
  for (const [at, to] of accounts.entries()) await points.transfer(from, to, 1, { id: `${at}` });
  await engine.drain();
  const rows = await engine.database.query('SELECT to_account, to_partition FROM sluice_transfers');
  expect(rows.map(row => String(row.to_account)).sort()).toEqual([...accounts].sort());
  for (const row of rows)
    expect(Number(row.to_partition)).toBe(engine.keys.partitionOf(String(row.to_account)));
  await engine.driver().once();
  await engine.drain();
  for (const to of accounts) expect(await ledger(engine, to)).toMatchObject([{ amount: 1, other: from }]);
  expect((await pageOf(engine, 1)).transfers).toEqual([]);
});
