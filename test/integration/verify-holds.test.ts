// `verify` checks holds: live held points with the open holds, and each hold with its entry.

import { expect, it } from 'vitest';
import { holdDifferences } from '../../src/recovery/holds.ts';
import { openHoldsDifferences } from '../../src/recovery/open-holds.ts';
import { endId } from '../../src/shared/updates/hold.ts';
import { type Engine, openEngine, until } from '../support/engine.ts';
import { author, openFailed } from '../support/failed.ts';
import { expectOpenSums, withAccount } from '../support/holds.ts';
import { refuse } from '../support/transfers.ts';

async function differences({ own }: Engine, pageSize?: number) {
  const found = [];
  for await (const one of holdDifferences(own.database, pageSize)) found.push(one);
  return found.toSorted((a, b) => (a.hold < b.hold ? -1 : 1));
}

/** Two accounts with holds that ended in each way, and with open ones. */
async function withHolds() {
  const { engine, points } = await withAccount(await openEngine({ partitions: 1 }));
  await points.credit('b', 100, { id: 'start' });
  for (const account of ['a', 'b']) {
    for (let n = 0; n < 4; n++) {
      for (const kind of ['posted', 'voided', 'open']) await points.hold(account, 3, { id: `${kind}${n}` });
      await points.post(account, `posted${n}`, 2);
      await points.void(account, `voided${n}`);
    }
    await points.hold(account, 3, { id: 'expired', expiresInMs: 1 });
    // A post above the hold changes nothing while its time is not over.
    await until(
      async () => (await points.post(account, 'expired', 4).catch(error => error)).status === 'expired',
    );
  }
  await engine.drain();
  return { engine, points };
}

it('finds nothing wrong with holds that are open, posted, voided or expired', async () => {
  const engine = await openEngine({ partitions: 1 });
  expect(await differences(engine)).toEqual([]);
  const { engine: used } = await withHolds();
  for (const pageSize of [1, 2, 3, 1000]) expect(await differences(used, pageSize)).toEqual([]);
});

it('names each hold whose entry does not fit, whatever the size of a page', async () => {
  const { engine } = await withHolds();
  const { database } = engine;
  const change = (statement: string, ...values: string[]) =>
    database.query(
      statement,
      values.map(value => Buffer.from(value)),
    );
  await change("DELETE FROM sluice_entries WHERE account = 'a' AND entry_id = ?", endId('posted1'));
  await change(
    "UPDATE sluice_entries SET amount = -3 WHERE account = 'b' AND entry_id = ?",
    endId('posted2'),
  );
  await change(
    "UPDATE sluice_holds SET status = 'voided', posted = 0 WHERE account = 'a' AND hold_id = 'posted3'",
  );
  await change("DELETE FROM sluice_holds WHERE account = 'b' AND hold_id = 'posted0'");
  // Neither a plain entry nor the credit of a transfer is a post.
  for (const id of ['\0', '\0t', '\0\x02h', 'h'])
    await change(
      `INSERT INTO sluice_entries (partition_id, ledger_no, program, account, entry_id, amount, balance_after, created_at)
       VALUES (0, ${1 + id.length}, 'loyalty', 'c', ?, 1, 1, UTC_TIMESTAMP(3))`,
      id,
    ).catch(() => {});
  const of = { program: 'loyalty' };
  const wrong = [
    { ...of, account: 'b', hold: 'posted0', problem: 'NO_HOLD', posted: 0, taken: 2 },
    { ...of, account: 'a', hold: 'posted1', problem: 'NO_ENTRY', posted: 2, taken: 0 },
    { ...of, account: 'b', hold: 'posted2', problem: 'AMOUNTS_DIFFER', posted: 2, taken: 3 },
    { ...of, account: 'a', hold: 'posted3', problem: 'NOT_POSTED', posted: 0, taken: 2 },
  ];
  for (const pageSize of [1, 2, 7, 1000]) expect(await differences(engine, pageSize)).toEqual(wrong);
});

it('accepts a post in quarantine, and what an operator dropped there', async () => {
  const { engine, points } = await withAccount(await openEngine({ partitions: 1 }));
  for (const id of ['waits', 'dropped']) await points.hold('a', 10, { id });
  const allow = await refuse(engine, 'NEW.amount < 0');
  for (const id of ['waits', 'dropped']) await points.post('a', id, 5);
  await engine.drain();
  await allow();
  expect(await differences(engine)).toEqual([]);
  const failed = await openFailed(engine);
  const numbers = new Map(
    (await engine.database.query('SELECT id, entry_id FROM sluice_quarantine')).map(row => [
      String(row.entry_id).slice(2),
      Number(row.id),
    ]),
  );
  const only = (hold: string) => ({ ids: [numbers.get(hold)!] });
  const { updates } = await failed.drop(only('dropped'), { ...author, reason: 'test' });
  expect(updates).toEqual({ accepted: 1 });
  await engine.drain();
  expect(await engine.balanceInMysql('loyalty', 'a')).toBe(100);
  for (const pageSize of [1, 1000]) expect(await differences(engine, pageSize)).toEqual([]);
  // The operator dropped that post only.
  await engine.database.query('DELETE FROM sluice_quarantine');
  expect(await differences(engine)).toMatchObject([{ hold: 'waits', problem: 'NO_ENTRY' }]);
});

it('finds sums of open holds that differ from their rows, and sets them right', async () => {
  const { engine } = await withHolds();
  const differ = (repair?: boolean) => openHoldsDifferences(engine.own.database, 1, repair);
  expect(await differ()).toEqual([]);
  await engine.database.query('UPDATE sluice_open_holds SET holds = 7, points = points + 1');
  // The program has no holds, and the partition does not exist any more.
  await engine.database.query("INSERT INTO sluice_open_holds VALUES ('gone', 0, 1, 5), ('loyalty', 4, 2, 6)");
  const wrong = [
    { program: 'gone', partition: 0, holds: 1, points: '5', expectedHolds: 0, expectedPoints: '0' },
    { program: 'loyalty', partition: 0, holds: 7, points: '25', expectedHolds: 8, expectedPoints: '24' },
    { program: 'loyalty', partition: 4, holds: 2, points: '6', expectedHolds: 0, expectedPoints: '0' },
  ];
  expect(
    (await differ()).toSorted((a, b) => a.partition - b.partition || (a.program < b.program ? -1 : 1)),
  ).toEqual(wrong);
  expect(await differ(true)).toHaveLength(3);
  expect(await differ()).toEqual([]);
  await expectOpenSums(engine);
  await engine.database.query('DELETE FROM sluice_open_holds');
  expect(await differ(true)).toMatchObject([{ holds: 0, expectedHolds: 8 }]);
  await expectOpenSums(engine);
});
