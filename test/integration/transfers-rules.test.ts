// Each rule of transfers by itself: without it a credit is written twice, is lost, or makes a live value wrong.

import { expect, it, vi } from 'vitest';
import { creditOf } from '../../src/worker/credits.ts';
import { openEngine } from '../support/engine.ts';
import { loyalty, ranked, ready, scoresOf } from '../support/ranks.ts';
import {
  accountsOf,
  amounts,
  creditIds,
  expectZero,
  inTransit,
  pageOf,
  refuseCredits,
  withPoints,
} from '../support/transfers.ts';

/** An engine with one transfer in transit, whose destination is live. */
async function withTransfer(settings: Parameters<typeof openEngine>[0] = {}) {
  const opened = await withPoints(await openEngine(settings));
  const { engine, points, from, to } = opened;
  expect(await points.balance(to)).toBe(0);
  await points.transfer(from, to, 10, { id: 'x' });
  await engine.flusher.flush(0);
  return opened;
}

it('a late copy of a sent credit is refused', async () => {
  const { engine, points, to, driver } = await withTransfer();
  const { watermark, transfers } = await pageOf(engine, 1);
  const send = () => engine.credits.send(1, watermark, transfers, creditOf);
  expect(await send()).toMatchObject({ status: 'sent', accepted: 1 });
  // Its id is known while it waits.
  expect(await send()).toMatchObject({ status: 'sent', accepted: 0, taken: transfers });
  await engine.drain();
  expect(await creditIds(engine, 1)).toBe(0);
  expect(await send()).toEqual({ status: 'again', why: 'ahead' });
  await driver.once();
  await engine.drain();
  expect(await points.balance(to)).toBe(10);
  expect(await amounts(engine, to)).toEqual([10]);
});

it('a credit is refused if the watermark is ahead of Redis, or of another epoch', async () => {
  const { engine } = await withTransfer();
  const { watermark, transfers } = await pageOf(engine, 1);
  const sequence = watermark.sequence + 1;
  expect(await engine.credits.send(1, { ...watermark, sequence }, transfers, creditOf)).toEqual({
    status: 'again',
    why: 'behind',
  });
  expect(await engine.credits.send(1, { ...watermark, epoch: 'other' }, transfers, creditOf)).toEqual({
    status: 'again',
    why: 'epoch',
  });
  expect((await engine.inspector.partition(1))!.pendingUpdates).toBe(0);
});

it('a late debit makes no second row', async () => {
  const { engine, points, from, to, driver } = await withTransfer();
  await engine.redis.del(engine.keys.of(0, 'ids'));
  expect(await points.transfer(from, to, 10, { id: 'x' })).toMatchObject({ value: 80, duplicate: false });
  await engine.drain();
  expect(await inTransit(engine)).toHaveLength(1);
  await driver.once();
  await engine.drain();
  expect(await amounts(engine, to)).toEqual([10]);
  expect(await points.balance(from)).toBe(90);
  await expectZero(engine);
});

it('a credit whose row is gone is left out, and its live value ends', async () => {
  const { engine, points, from, to, driver } = await withTransfer();
  await driver.once();
  await points.credit(to, 1, { id: 'own' });
  expect(await points.balance(to)).toBe(11);
  // The state after a restore of MySQL to a moment before the debit.
  await engine.database.query('DELETE FROM sluice_transfers');
  await engine.drain();
  expect(await amounts(engine, to)).toEqual([1]);
  expect(await engine.compare('p', 'loyalty', to)).toEqual({
    ...{ kind: 'p', name: 'loyalty', key: to },
    ...{ live: undefined, expected: 1 },
  });
  expect(await points.balance(to)).toBe(1);
  expect(await creditIds(engine, 1)).toBe(0);
  expect(await amounts(engine, from)).toEqual([100, -10]);
});

it('a credit for an account that is no longer the destination is left out', async () => {
  const { engine, points, to, driver } = await withTransfer();
  await driver.once();
  await engine.database.query("UPDATE sluice_transfers SET to_account = 'other'");
  await engine.drain();
  expect(await amounts(engine, to)).toEqual([]);
  expect(await points.balance(to)).toBe(0);
  expect(await inTransit(engine)).toMatchObject([{ to: 'other', state: 'open' }]);
});

it('a credit needs no live value of its account', async () => {
  const { engine, points, from, to, driver } = await withPoints(await openEngine());
  await points.transfer(from, to, 10, { id: 'x' });
  await engine.drain();
  await driver.once();
  expect(await engine.compare('p', 'loyalty', to)).toMatchObject({ live: undefined, expected: 10 });
  expect(await points.balance(to)).toBe(10);
  await engine.drain();
  expect(await engine.compare('p', 'loyalty', to)).toMatchObject({ live: 10, expected: 10 });
});

it('a credit that would take the balance out of the range ends the live value, and goes aside', async () => {
  const { engine, points, to, driver } = await withTransfer();
  await points.credit(to, Number.MAX_SAFE_INTEGER, { id: 'all' });
  await engine.drain();
  await driver.once();
  expect(await engine.compare('p', 'loyalty', to)).toMatchObject({ live: undefined });
  await engine.drain();
  expect(await inTransit(engine)).toMatchObject([{ state: 'aside', code: expect.any(String) }]);
  expect(await points.balance(to)).toBe(Number.MAX_SAFE_INTEGER);
  expect(await engine.database.query('SELECT 1 FROM sluice_quarantine')).toEqual([]);
  await expectZero(engine);
});

it('a credit waits while the pending sum of its account would be out of range', async () => {
  const { engine, points, to, driver } = await withTransfer();
  await points.credit(to, Number.MAX_SAFE_INTEGER, { id: 'all' });
  await driver.once();
  expect((await engine.inspector.partition(1))!.pendingUpdates).toBe(1);
  expect(await inTransit(engine)).toMatchObject([{ state: 'open' }]);
});

it('a credit obeys the limit of entries, and comes once there is room', async () => {
  const { engine, points, to, driver } = await withTransfer({ pendingEntriesLimit: 2, backoffBaseMs: 1 });
  for (const id of ['1', '2']) await points.credit(to, 1, { id });
  const { watermark, transfers } = await pageOf(engine, 1);
  expect(await engine.credits.send(1, watermark, transfers, creditOf)).toMatchObject({
    refused: 1,
    accepted: 0,
  });
  await driver.once();
  await engine.drain();
  await vi.waitFor(async () => {
    await driver.once();
    await engine.drain();
    expect(await amounts(engine, to)).toEqual([1, 1, 10]);
  }, 10_000);
});

it('a refused credit goes aside and nothing into quarantine, and other entries are written', async () => {
  const { engine, points, to, driver } = await withTransfer();
  const mend = await refuseCredits(engine);
  await driver.once();
  await points.credit(to, 1, { id: 'own' });
  await engine.drain();
  expect(await inTransit(engine)).toMatchObject([{ state: 'aside', code: 'ER_SIGNAL_EXCEPTION' }]);
  expect(await engine.database.query('SELECT 1 FROM sluice_quarantine')).toEqual([]);
  expect(await amounts(engine, to)).toEqual([1]);
  expect(await points.balance(to)).toBe(1);
  expect(await creditIds(engine, 1)).toBe(0);
  await mend();
  // Only an operator opens it.
  await driver.once();
  await engine.drain();
  expect(await amounts(engine, to)).toEqual([1]);
  await expectZero(engine);
});

it('a new process of Redis is noted by a credit too, so that losses stay known', async () => {
  const { engine } = await withTransfer();
  const state = engine.keys.state(1);
  await engine.redis.hset(state, 'run', 'before', 'incarnation', 'old', 'updates', 5, 'claimed', 5);
  const { watermark, transfers } = await pageOf(engine, 1);
  expect(await engine.credits.send(1, watermark, transfers, creditOf)).toMatchObject({ accepted: 1 });
  const [incarnation, ended, updates] = await engine.redis.hmget(state, 'incarnation', 'ended', 'updates');
  expect(incarnation).not.toBe('old');
  expect(ended).toMatch(/^old 5 0/);
  expect(updates).toBe('6');
});

it('a board of ranks takes a credit as it is accepted, and notes one that is left out', async () => {
  const engine = await openEngine();
  const points = (await engine.producer({}, { definitions: ranked })).points('loyalty');
  const { from, to } = accountsOf(engine);
  await points.credit(from, 100, { id: 'start' });
  await ready(engine, loyalty);
  for (const id of ['x', 'y']) await points.transfer(from, to, 10, { id });
  await engine.flusher.flush(0);
  await engine.driver().once();
  const scores = () => scoresOf(engine, loyalty);
  expect(await scores()).toEqual(new Map(Object.entries({ [from]: 80, [to]: 20 })));
  await engine.database.query("DELETE FROM sluice_transfers WHERE entry_id = 'y'");
  await engine.drain();
  await ready(engine, loyalty);
  expect(await scores()).toEqual(new Map(Object.entries({ [from]: 80, [to]: 10 })));
});
