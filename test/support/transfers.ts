/** What tests of transfers look at: both accounts, rows in transit, and the sum that is always 0. */
import { expect } from 'vitest';
import type { Position } from '../../src/shared/partition/watermark.ts';
import { type Transfer, toTransfer } from '../../src/worker/transfers.ts';
import { type Engine, keyIn } from './engine.ts';

/** Accounts of the first two partitions. */
export function accountsOf({ keys }: Engine): { from: string; to: string } {
  return { from: keyIn(keys, 0, 'from'), to: keyIn(keys, keys.partitions > 1 ? 1 : 0, 'to') };
}

/** An engine without a worker, whose account `from` has 100 points in MySQL. */
export async function withPoints(engine: Engine) {
  const points = (await engine.producer()).points('loyalty');
  const { from, to } = accountsOf(engine);
  await points.credit(from, 100, { id: 'start' });
  await engine.drain();
  return { engine, points, from, to, driver: engine.driver() };
}

/** Rows of `sluice_transfers`. */
export async function inTransit({ database }: Pick<Engine, 'database'>) {
  const rows = await database.query('SELECT * FROM sluice_transfers ORDER BY created_at, transfer');
  return rows.map(row => ({
    ...toTransfer(row),
    state: String(row.state),
    code: row.error_code === null ? null : String(row.error_code),
  }));
}

/** The open transfers to a partition and its watermark, as a driver reads them. */
export async function pageOf(engine: Engine, partition: number) {
  const transfers: Transfer[] = (await inTransit(engine)).filter(
    ({ to, state }) => engine.keys.partitionOf(to) === partition && state === 'open',
  );
  const watermark: Position = await engine.watermark(partition);
  return { watermark, transfers };
}

/** Ledger rows of an account, the oldest first. */
export async function ledger({ database }: Pick<Engine, 'database'>, account: string, program = 'loyalty') {
  const rows = await database.query(
    'SELECT entry_id, amount, balance_after, transfer, other_account FROM sluice_entries WHERE program = ? AND account = ? ORDER BY ledger_no',
    [Buffer.from(program), Buffer.from(account)],
  );
  return rows.map(row => ({
    id: String(row.entry_id),
    amount: Number(row.amount),
    balance: Number(row.balance_after),
    transfer: row.transfer === null ? null : String(row.transfer),
    other: row.other_account === null ? null : String(row.other_account),
  }));
}

/** Amounts of an account's ledger rows. */
export async function amounts(engine: Pick<Engine, 'database'>, account: string, program = 'loyalty') {
  return (await ledger(engine, account, program)).map(({ amount }) => amount);
}

/** In any snapshot of MySQL, for each program: entries of transfers and what is in transit add up to 0. */
export async function expectZero({ database }: Pick<Engine, 'database'>): Promise<void> {
  const rows = await database.query(
    'SELECT program, SUM(amount) AS total FROM (SELECT program, amount FROM sluice_entries WHERE transfer IS NOT NULL UNION ALL SELECT program, amount FROM sluice_transfers) t GROUP BY program HAVING total <> 0',
  );
  expect(rows.map(row => `${row.program} ${row.total}`)).toEqual([]);
}

const GUARD = 'BEFORE INSERT ON sluice_entries FOR EACH ROW';

/** Makes MySQL refuse credits of transfers, until the returned function is called. */
export function refuseCredits(engine: Engine): Promise<() => Promise<void>> {
  return refuse(engine, 'NEW.transfer IS NOT NULL AND NEW.amount > 0');
}

/** Makes MySQL refuse ledger rows, until the returned function is called. */
export async function refuse({ database }: Engine, condition: string): Promise<() => Promise<void>> {
  await database.query(
    `CREATE TRIGGER refuse_some ${GUARD} IF ${condition} THEN SIGNAL SQLSTATE '45000'; END IF`,
  );
  return async () => void (await database.query('DROP TRIGGER refuse_some'));
}

/** Number of remembered ids of credits in a partition. */
export async function creditIds({ redis, keys }: Engine, partition: number): Promise<number> {
  const names = await redis.hkeys(keys.of(partition, 'ids'));
  return names.filter(name => name.includes('\0')).length;
}
