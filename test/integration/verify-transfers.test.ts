// `verify` checks every transfer: one debit, with its credit or with the row that is the right to it.

import { expect, it } from 'vitest';
import { transferDifferences } from '../../src/recovery/transfers.ts';
import { type Engine, openEngine } from '../support/engine.ts';
import { insertDone, insertEntry, insertRow, insertWaiting } from '../support/transfer-rows.ts';

async function differences({ own }: Engine, pageSize?: number) {
  const found = [];
  for await (const one of transferDifferences(own.database, pageSize)) found.push(one);
  return found;
}

const sound = (n: number) => ({
  transfer: `t${String(n).padStart(4, '0')}`,
  from: 'a',
  to: 'b',
  amount: n + 1,
});

it('finds nothing wrong with transfers that are done, in transit or aside', async () => {
  const engine = await openEngine();
  expect(await differences(engine)).toEqual([]);
  for (let n = 0; n < 7; n++) await insertDone(engine.database, sound(n));
  await insertWaiting(engine.database, engine.keys, sound(7));
  await insertWaiting(engine.database, engine.keys, { ...sound(8), aside: 'OUT_OF_RANGE' });
  // Entries without a transfer are of no interest, whatever they add up to.
  await engine.database.query(
    "INSERT INTO sluice_entries (partition_id, ledger_no, program, account, entry_id, amount, balance_after, created_at) VALUES (0, 1000, 'loyalty', 'c', 'x', 5, 5, UTC_TIMESTAMP(3))",
  );
  for (const pageSize of [1, 2, 3, 1000]) expect(await differences(engine, pageSize)).toEqual([]);
});

it('names each transfer that does not add up, whatever the size of a page', async () => {
  const engine = await openEngine();
  const { database, keys } = engine;
  for (let n = 0; n < 20; n++) await insertDone(database, sound(n * 10));
  await insertEntry(database, 'b', 5, { transfer: 't0001' });
  await insertRow(database, keys, { transfer: 't0012', program: 'credits', from: 'a', to: 'b', amount: 6 });
  await insertEntry(database, 'a', -7, { transfer: 't0023' });
  await insertWaiting(database, keys, { transfer: 't0034', from: 'a', to: 'b', amount: 8 });
  await insertEntry(database, 'b', 8, { transfer: 't0034' });
  await insertEntry(database, 'a', -9, { transfer: 't0045' });
  await insertEntry(database, 'b', 10, { transfer: 't0045' });
  await insertEntry(database, 'a', -11, { transfer: 't0056' });
  await insertEntry(database, 'b', 11, { transfer: 't0056', program: 'credits' });
  // Beyond the last entry.
  await insertRow(database, keys, { transfer: 'u', from: 'a', to: 'b', amount: 12, aside: 'OUT_OF_RANGE' });
  const wrong = [
    { program: 'loyalty', transfer: 't0001', problem: 'NO_DEBIT', sum: 5 },
    { program: 'credits', transfer: 't0012', problem: 'NO_DEBIT', sum: 6 },
    { program: 'loyalty', transfer: 't0023', problem: 'NO_CREDIT', sum: -7 },
    { program: 'loyalty', transfer: 't0034', problem: 'REPEATED', sum: 8 },
    { program: 'loyalty', transfer: 't0045', problem: 'AMOUNTS_DIFFER', sum: 1 },
    { program: 'credits', transfer: 't0056', problem: 'PROGRAMS_DIFFER', sum: 0 },
    { program: 'loyalty', transfer: 'u', problem: 'NO_DEBIT', sum: 12 },
  ];
  for (const pageSize of [1, 2, 7, 1000]) expect(await differences(engine, pageSize)).toEqual(wrong);
});
