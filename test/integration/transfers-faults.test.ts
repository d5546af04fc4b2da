// What a transfer survives: a worker that dies, a Redis that forgets, a mapped table that takes no rows.

import { expect, it, vi } from 'vitest';
import { type Engine, openEngine, until } from '../support/engine.ts';
import { openShop } from '../support/mapped.ts';
import { insertWaiting } from '../support/transfer-rows.ts';
import { amounts, expectZero, inTransit, withPoints } from '../support/transfers.ts';

/** Removes everything that Redis has of a partition. */
async function empty({ redis, keys }: Engine, partition: number): Promise<void> {
  const prefix = keys.state(partition).slice(0, -'state'.length);
  await redis.unlink(await redis.keys(`${prefix}*`));
}

it('a worker that dies after the commit of a debit leaves a row, and another one sends the credit', async () => {
  const { engine, points, from, to } = await withPoints(await openEngine());
  await points.transfer(from, to, 10, { id: 'gift' });
  // The test's flusher sends no credits.
  await engine.drain();
  expect(await inTransit(engine)).toMatchObject([{ amount: 10, state: 'open' }]);
  await expectZero(engine);
  await engine.worker();
  await until(async () => (await inTransit(engine)).length === 0, 'the credit');
  expect(await amounts(engine, to)).toEqual([10]);
  expect(await points.balance(to)).toBe(10);
  await expectZero(engine);
});

it('a debit that Redis loses before its flush never was a transfer', async () => {
  const { engine, points, from, to, driver } = await withPoints(await openEngine());
  await points.transfer(from, to, 10, { id: 'gift' });
  await empty(engine, 0);
  await engine.aligner.alignAll(() => {});
  await engine.drain();
  await driver.once();
  await engine.drain();
  expect(await inTransit(engine)).toEqual([]);
  expect([await amounts(engine, from), await amounts(engine, to)]).toEqual([[100], []]);
  expect([await points.balance(from), await points.balance(to)]).toEqual([100, 0]);
  // The caller may send it again: nothing knows its id.
  expect(await points.transfer(from, to, 10, { id: 'gift' })).toMatchObject({ duplicate: false, value: 90 });
});

it('a credit that Redis loses is sent again, and written once', async () => {
  const { engine, points, from, to, driver } = await withPoints(await openEngine());
  await points.transfer(from, to, 10, { id: 'gift' });
  await engine.drain();
  await driver.once();
  expect((await engine.inspector.partition(1))!.pendingUpdates).toBe(1);
  await empty(engine, 1);
  await engine.drain();
  expect(await inTransit(engine)).toHaveLength(1);
  await vi.waitFor(async () => {
    await engine.aligner.alignAll(() => {});
    await driver.once();
    await engine.drain();
    expect(await inTransit(engine)).toEqual([]);
  }, 10_000);
  expect(await amounts(engine, to)).toEqual([10]);
  expect([await points.balance(from), await points.balance(to)]).toEqual([90, 10]);
  await expectZero(engine);
});

it('while a mapped table takes no rows, a debit is held and a credit waits in its row', async () => {
  const shop = await openShop(
    { points: { miles: { floor: 0, target: { table: 'users', key: 'id', column: 'miles' } } } },
    'CREATE TABLE users (id INT PRIMARY KEY, miles INT UNSIGNED NOT NULL DEFAULT 0)',
    'INSERT INTO users (id, miles) VALUES (1, 100), (2, 0), (3, 0)',
  );
  const miles = shop.sluice.points('miles');
  expect(await miles.balance('1')).toBe(100);
  await shop.drain();
  await shop.database.query('ALTER TABLE users RENAME COLUMN miles TO m');
  const receipt = await miles.transfer('1', '2', 10, { id: 'gift' });
  await until(async () => (await shop.held()).length === 1, 'the debit to be held');
  expect(await inTransit(shop)).toEqual([]);
  // The debit of this one was written before.
  const waiting = { transfer: 't', program: 'miles', from: '1', to: '3', amount: 7 };
  await insertWaiting(shop.database, { partitionOf: () => 0 }, waiting);
  await shop.database.query('UPDATE sluice_transfers SET driven_at = driven_at - INTERVAL 1 MINUTE');
  const driven = async () =>
    (await shop.database.query('SELECT 1 FROM sluice_transfers WHERE driven_at >= created_at')).length === 1;
  await until(driven, 'the credit to be sent');
  await shop.drain();
  expect(await inTransit(shop)).toMatchObject([{ transfer: 't', state: 'open', code: null }]);
  expect(await shop.quarantined()).toEqual([]);

  await shop.database.query('ALTER TABLE users RENAME COLUMN m TO miles');
  await receipt.credited();
  await until(async () => (await inTransit(shop)).length === 0, 'the credit');
  const rows = await shop.database.query('SELECT miles FROM users ORDER BY id');
  // The other debit never took anything from the table.
  expect(rows.map(row => Number(row.miles))).toEqual([90, 10, 7]);
  await expectZero(shop);
});
