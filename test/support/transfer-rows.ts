/** Rows of transfers as a flush writes them, for tests of what reads them. */
import type { Database } from '../../src/shared/mysql/database.ts';
import type { Keys } from '../../src/shared/redis/keys.ts';

interface Written {
  readonly transfer: string;
  readonly program?: string;
  readonly from: string;
  readonly to: string;
  readonly amount: number;
}

interface Row extends Written {
  /** The error code if it is aside; open without one. */
  readonly aside?: string;
  /** Seconds since the debit. */
  readonly age?: number;
}

/** Ledger numbers below those of the first batch. */
let numbers = 0;

/** An entry of a transfer, without its balance. */
export async function insertEntry(
  database: Database,
  account: string,
  amount: number,
  of: { readonly transfer: string; readonly program?: string; readonly other?: string },
): Promise<void> {
  const { transfer, program = 'loyalty', other = 'other' } = of;
  await database.query(
    `INSERT INTO sluice_entries (partition_id, ledger_no, program, account, entry_id, amount, balance_after, created_at, transfer, other_account)
     VALUES (0, ?, ?, ?, ?, ?, 0, UTC_TIMESTAMP(3), ?, ?)`,
    [
      ++numbers,
      Buffer.from(program),
      Buffer.from(account),
      Buffer.from(amount < 0 ? `id of ${transfer}` : `\0${transfer}`),
      amount,
      Buffer.from(transfer),
      Buffer.from(other),
    ],
  );
}

/** The row that is the right to a credit. */
export async function insertRow(
  database: Database,
  keys: Pick<Keys, 'partitionOf'>,
  row: Row,
): Promise<void> {
  const { transfer, program = 'loyalty', from, to, amount, aside, age = 0 } = row;
  await database.query(
    `INSERT INTO sluice_transfers (transfer, program, from_account, to_account, entry_id, amount, to_partition, state, error_code, created_at, driven_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, UTC_TIMESTAMP(3) - INTERVAL ? SECOND, UTC_TIMESTAMP(3))`,
    [
      ...[transfer, program, from, to, `id of ${transfer}`].map(text => Buffer.from(text)),
      amount,
      keys.partitionOf(to),
      aside === undefined ? 'open' : 'aside',
      aside ?? null,
      age,
    ],
  );
}

/** A transfer whose debit is written and whose credit is not. */
export async function insertWaiting(
  database: Database,
  keys: Pick<Keys, 'partitionOf'>,
  row: Row,
): Promise<void> {
  const { from, to, amount } = row;
  await insertEntry(database, from, -amount, { ...row, other: to });
  await insertRow(database, keys, row);
}

/** A transfer that is finished. */
export async function insertDone(database: Database, { from, to, amount, ...of }: Written): Promise<void> {
  await insertEntry(database, from, -amount, { ...of, other: to });
  await insertEntry(database, to, amount, { ...of, other: from });
}

/** Transfers that are aside, each with its debit: many in two statements. */
export async function insertAside(
  database: Database,
  keys: Pick<Keys, 'partitionOf'>,
  rows: readonly Written[],
): Promise<void> {
  const bytes = (text: string) => Buffer.from(text);
  const now = new Date();
  await database.query(
    'INSERT INTO sluice_entries (partition_id, ledger_no, program, account, entry_id, amount, balance_after, created_at, transfer, other_account) VALUES ?',
    [
      rows.map(({ transfer, program = 'loyalty', from, to, amount }) => [
        ...[0, ++numbers, bytes(program), bytes(from), bytes(`id of ${transfer}`), -amount, 0, now],
        ...[bytes(transfer), bytes(to)],
      ]),
    ],
  );
  await database.query(
    'INSERT INTO sluice_transfers (transfer, program, from_account, to_account, entry_id, amount, to_partition, state, error_code, created_at, driven_at) VALUES ?',
    [
      rows.map(({ transfer, program = 'loyalty', from, to, amount }) => [
        ...[bytes(transfer), bytes(program), bytes(from), bytes(to), bytes(`id of ${transfer}`), amount],
        ...[keys.partitionOf(to), 'aside', 'OUT_OF_RANGE', now, now],
      ]),
    ],
  );
}
