// Drops and edits of quarantined updates under load: values stay exact, and each decision takes effect once.

import { describe, expect, it } from 'vitest';
import { openAmender } from '../../src/producer/amend.ts';
import { take } from '../../src/replay/take.ts';
import { openQueue } from '../../src/shared/redis/queue.ts';
import type { AmendmentContent } from '../../src/shared/updates/record.ts';
import { Crash, type Engine, openEngine } from '../support/engine.ts';
import { dropLive } from '../support/live.ts';

/** Makes MySQL refuse entries of 7 points, until `mend`. */
async function openPoisoned() {
  const engine = await openEngine();
  await engine.database.query(
    "CREATE TRIGGER refuse_sevens BEFORE INSERT ON sluice_entries FOR EACH ROW IF NEW.amount = 7 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no sevens'; END IF",
  );
  const queue = openQueue(engine.own.redis, engine.keys);
  engine.onClose(() => queue.close());
  const { own, keys, settings, aligner, log } = engine;
  const amend = await openAmender({ redis: own.redis, address: 'test', keys, settings, aligner, queue, log });
  const sluice = await engine.producer();
  const send = async (account: string, delta: number, content: AmendmentContent) => {
    await take(engine.database, content.quarantine, content.operation);
    await amend({
      partition: engine.keys.partitionOf(account),
      kind: 'p',
      name: 'loyalty',
      key: account,
      delta,
      content,
    });
  };
  return { engine, sluice, send, mend: () => engine.database.query('DROP TRIGGER refuse_sevens') };
}

async function quarantined(engine: Engine) {
  const rows = await engine.database.query(
    'SELECT id, amount, error_code FROM sluice_quarantine ORDER BY id',
  );
  return rows.map(row => ({ id: Number(row.id), amount: Number(row.amount), code: String(row.error_code) }));
}

async function expectNoDrift(engine: Engine, account: string, balance: number) {
  const { live, expected } = await engine.compare('p', 'loyalty', account);
  expect({ live: live ?? expected, expected }).toEqual({ live: balance, expected: balance });
}

async function outcomes(engine: Engine) {
  const rows = await engine.database.query(
    'SELECT operation_id, quarantine_id, outcome FROM sluice_operation_items ORDER BY operation_id, quarantine_id',
  );
  return rows.map(row => [Number(row.operation_id), String(row.outcome)]);
}

describe('a dropped entry', () => {
  it('leaves quarantine, and the balance goes down at once', async () => {
    const { engine, sluice, send } = await openPoisoned();
    await sluice.points('loyalty').credit('a', 10, { id: 'x' });
    await sluice.points('loyalty').credit('a', 7, { id: 'y' });
    await engine.drain();
    const [row] = await quarantined(engine);
    await expectNoDrift(engine, 'a', 17);

    await send('a', -7, { amendment: 'drop', quarantine: row!.id, operation: 1 });
    expect(await sluice.points('loyalty').balance('a')).toBe(10);
    await expectNoDrift(engine, 'a', 10);
    await sluice.points('loyalty').credit('a', 1, { id: 'z' });
    expect((await sluice.points('loyalty').history('a')).map(entry => entry.id)).toEqual(['z', 'x']);
    await engine.drain();
    expect(await quarantined(engine)).toEqual([]);
    await expectNoDrift(engine, 'a', 11);
    expect(await engine.balanceInMysql('loyalty', 'a')).toBe(11);
    expect(await outcomes(engine)).toEqual([[1, 'dropped']]);
  });

  it('is dropped once, however many operations ask for it', async () => {
    const { engine, sluice, send } = await openPoisoned();
    await sluice.points('loyalty').credit('a', 7, { id: 'y' });
    await engine.drain();
    const [row] = await quarantined(engine);
    // The same operation twice, and another operation.
    for (const operation of [1, 1, 2])
      await send('a', -7, { amendment: 'drop', quarantine: row!.id, operation });
    await engine.drain();
    // The second operation changed the live value without taking the update, so its batch deleted the value.
    expect(await sluice.points('loyalty').balance('a')).toBe(0);
    await expectNoDrift(engine, 'a', 0);
    expect(await outcomes(engine)).toEqual([[1, 'dropped']]);
  });

  it.each(['claimed', 'locked', 'written', 'recorded', 'committed'] as const)(
    'is dropped once, though its worker is killed when %s',
    async step => {
      const { engine, sluice, send } = await openPoisoned();
      await sluice.points('loyalty').credit('a', 7, { id: 'y' });
      await engine.drain();
      const [row] = await quarantined(engine);
      await send('a', -7, { amendment: 'drop', quarantine: row!.id, operation: 1 });
      engine.crashAt(step);
      await expect(engine.flusher.flush(engine.keys.partitionOf('a'))).rejects.toThrow(Crash);
      engine.crashAt(undefined);
      await expectNoDrift(engine, 'a', 0);
      await engine.drain();
      expect(await sluice.points('loyalty').balance('a')).toBe(0);
      await expectNoDrift(engine, 'a', 0);
      expect(await outcomes(engine)).toEqual([[1, 'dropped']]);
    },
  );
});

describe('an edited entry', () => {
  it('goes into the ledger as it was edited', async () => {
    const { engine, sluice, send } = await openPoisoned();
    await sluice.points('loyalty').credit('a', 7, { id: 'y', reason: 'bonus' });
    await engine.drain();
    const [row] = await quarantined(engine);
    const to: AmendmentContent = {
      amendment: 'edit',
      quarantine: row!.id,
      operation: 3,
      to: { amount: 6, payload: '["loyalty","a","y",6,"bonus, mended",{"by":"op"}]' },
    };
    await send('a', -1, to);
    await expectNoDrift(engine, 'a', 6);
    await engine.drain();
    await expectNoDrift(engine, 'a', 6);
    expect(await engine.balanceInMysql('loyalty', 'a')).toBe(6);
    expect(await sluice.points('loyalty').history('a')).toMatchObject([
      {
        id: 'y',
        amount: 6,
        balanceAfter: 6,
        reason: 'bonus, mended',
        metadata: { by: 'op' },
        persisted: true,
      },
    ]);
    expect(await outcomes(engine)).toEqual([[3, 'edited']]);
  });

  it('goes back into quarantine as edited if MySQL refuses it again, and its neighbours do not', async () => {
    const { engine, sluice, send, mend } = await openPoisoned();
    for (const id of ['x', 'y']) await sluice.points('loyalty').credit('a', 7, { id, reason: id });
    await engine.drain();
    const [first, second] = await quarantined(engine);
    const edit = (quarantine: number, id: string, amount: number) =>
      send('a', amount - 7, {
        amendment: 'edit',
        quarantine,
        operation: 4,
        to: { amount, payload: JSON.stringify(['loyalty', 'a', id, amount, 'again', null]) },
      });
    await edit(first!.id, 'x', 5);
    await edit(second!.id, 'y', 7);
    await sluice.points('loyalty').credit('a', 1, { id: 'z' });
    await engine.drain();
    expect(await quarantined(engine)).toEqual([{ id: second!.id, amount: 7, code: 'ER_SIGNAL_EXCEPTION' }]);
    await expectNoDrift(engine, 'a', 13);
    expect(await engine.balanceInMysql('loyalty', 'a')).toBe(6);
    expect((await outcomes(engine)).toSorted()).toEqual([
      [4, 'edited'],
      [4, 'refused:ER_SIGNAL_EXCEPTION'],
    ]);
    await mend();
    await send('a', 0, {
      amendment: 'edit',
      quarantine: second!.id,
      operation: 5,
      to: { amount: 7, payload: '["loyalty","a","y",7,"again",null]' },
    });
    await engine.drain();
    await expectNoDrift(engine, 'a', 13);
    expect(await engine.balanceInMysql('loyalty', 'a')).toBe(13);
  });
});

it('counters are dropped and edited in the same way', async () => {
  const { engine, sluice } = await openPoisoned();
  const { own, keys, settings, aligner, log } = engine;
  const queue = openQueue(own.redis, keys);
  engine.onClose(() => queue.close());
  const amend = await openAmender({ redis: own.redis, address: 'test', keys, settings, aligner, queue, log });
  const limit = Number.MAX_SAFE_INTEGER;
  await sluice.counter('views').increment('k', limit - 5);
  await engine.drain();
  // The value is cold, so only the table can refuse the amendment.
  await dropLive(engine, 'c', 'views:k');
  await sluice.counter('views').increment('k', 100);
  await engine.drain();
  const [row] = await quarantined(engine);
  expect(row!.amount).toBe(100);
  const request = { partition: keys.partitionOf('k'), kind: 'c', name: 'views', key: 'k' } as const;
  await take(engine.database, row!.id, 1);
  await amend({
    ...request,
    delta: -97,
    content: { amendment: 'edit', quarantine: row!.id, operation: 1, to: { amount: 3 } },
  });
  await engine.drain();
  expect(await engine.counterInMysql('views', 'k')).toBe(limit - 2);
  expect(await sluice.counter('views').get('k')).toBe(limit - 2);

  await dropLive(engine, 'c', 'views:k');
  await sluice.counter('views').increment('k', 50);
  await engine.drain();
  const [second] = await quarantined(engine);
  await take(engine.database, second!.id, 2);
  await amend({
    ...request,
    delta: -50,
    content: { amendment: 'drop', quarantine: second!.id, operation: 2 },
  });
  await engine.drain();
  expect(await quarantined(engine)).toEqual([]);
  expect(await sluice.counter('views').get('k')).toBe(limit - 2);
});
