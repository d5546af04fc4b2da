/** Which openings of points are in MySQL already: the ledger knows the ids of entries for ever. */
import type { PoolConnection } from 'mysql2/promise';
import { type Database, queryRows } from '../shared/mysql/database.ts';
import { openingId } from '../shared/updates/record.ts';
import type { RecordedOpening } from './runs.ts';

const IN_LEDGER = 'SELECT account FROM sluice_entries WHERE entry_id = ? AND program = ? AND account IN (?)';
const IN_QUARANTINE =
  "SELECT item_key AS account FROM sluice_quarantine WHERE kind = 'entry' AND entry_id = ? AND name = ? AND item_key IN (?)";
/** Accounts in one statement. */
const AT_ONCE = 100;

/** Those of the openings that are neither in the ledger nor in quarantine. */
export async function notInLedger(
  database: Database,
  openings: readonly RecordedOpening[],
  run: string,
  program: string,
): Promise<RecordedOpening[]> {
  const found = new Set<string>();
  await database.session(async connection => {
    for (let from = 0; from < openings.length; from += AT_ONCE) {
      const accounts = openings.slice(from, from + AT_ONCE).map(([key]) => Buffer.from(key[0]!));
      for (const sql of [IN_LEDGER, IN_QUARANTINE])
        for (const account of await accountsOf(connection, sql, run, program, accounts)) found.add(account);
    }
  });
  return openings.filter(([key]) => !found.has(key[0]!));
}

async function accountsOf(
  connection: PoolConnection,
  sql: string,
  run: string,
  program: string,
  accounts: readonly Buffer[],
): Promise<string[]> {
  const values = [Buffer.from(openingId(run)), Buffer.from(program), accounts];
  return (await queryRows(connection, sql, values)).map(({ account }) => String(account));
}
