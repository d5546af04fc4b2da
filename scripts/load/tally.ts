// Counts what was acknowledged, key by key, and sums up the absolute differences from MySQL.

import type { Database } from '../../src/shared/mysql/database.ts';
import { accountName, counterKey } from './traffic.ts';

/**
 * Acknowledged updates by counter rank and by account number. Arrays, since they are sent between processes.
 */
export interface Tally {
  counters: Float64Array;
  balances: Float64Array;
  entries: Float64Array;
}

export function emptyTally(counterKeys: number, accounts: number): Tally {
  return {
    counters: new Float64Array(counterKeys),
    balances: new Float64Array(accounts),
    entries: new Float64Array(accounts),
  };
}

const COUNTERS = 'counter_key AS name, value AS n FROM sluice_counters';

export interface Comparison {
  /** Updates in MySQL: sums of counters, which grow by one, and ledger rows. */
  persisted: number;
  /** Sum of the differences in counters, balances and numbers of ledger rows. */
  difference: number;
}

/**
 * Reads all values of the database and compares them.
 * @param isOfValues whether the counters of the tally are puts of values
 */
export async function compare(
  database: Database,
  acknowledged: Tally,
  isOfValues = false,
): Promise<Comparison> {
  const values = isOfValues ? 'value_key AS name, value AS n FROM sluice_values' : COUNTERS;
  const [counters, balances, ledgers] = [
    await database.query(`SELECT ${values}`),
    await database.query('SELECT account AS name, balance AS n FROM sluice_accounts'),
    await database.query(
      'SELECT account AS name, COUNT(*) AS n, SUM(amount) AS total FROM sluice_entries GROUP BY account',
    ),
  ];
  const totals = ledgers.map(row => ({ name: row.name, n: row.total }));
  const ofCounters = difference(counters, acknowledged.counters, counterKey);
  const ofBalances = difference(balances, acknowledged.balances, accountName);
  const ofEntries = difference(ledgers, acknowledged.entries, accountName);
  const ofTotals = difference(totals, acknowledged.balances, accountName);
  return {
    persisted: ofCounters.sum + ofEntries.sum,
    difference: ofCounters.difference + ofBalances.difference + ofEntries.difference + ofTotals.difference,
  };
}

function difference(
  rows: Iterable<Record<string, unknown>>,
  expected: Float64Array,
  nameOf: (index: number) => string,
) {
  const missing = new Map<string, number>();
  for (let index = 0; index < expected.length; index++) {
    if (expected[index] !== 0) missing.set(nameOf(index), expected[index]!);
  }
  let sum = 0;
  let difference = 0;
  for (const row of rows) {
    const name = String(row.name);
    const value = Number(row.n);
    sum += value;
    difference += Math.abs(value - (missing.get(name) ?? 0));
    missing.delete(name);
  }
  for (const value of missing.values()) difference += Math.abs(value);
  return { sum, difference };
}

/** Updates and written rows of all batches in the journal. */
export async function readJournal(database: Database) {
  const [row] = await database.query(
    `SELECT COUNT(*) AS batches, COALESCE(SUM(updates), 0) AS updates,
       COALESCE(SUM(JSON_EXTRACT(outcome, '$.rows')), 0) AS writtenRows FROM sluice_batches`,
  );
  return {
    batches: Number(row?.batches),
    updates: Number(row?.updates),
    rows: Number(row?.writtenRows),
  };
}

/** Batches of the journal: time of the commit in ms, and number of rows. */
export async function readBatches(database: Database): Promise<{ at: number; rows: number }[]> {
  const batches = await database.query(
    `SELECT CAST(UNIX_TIMESTAMP(committed_at) * 1000 AS UNSIGNED) AS at,
       COALESCE(JSON_EXTRACT(outcome, '$.rows'), 0) AS writtenRows FROM sluice_batches`,
  );
  return batches.map(({ at, writtenRows }) => ({ at: Number(at), rows: Number(writtenRows) }));
}
