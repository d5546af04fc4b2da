/** Reads transfers that wait for their credit: those in transit, and those that are aside. */
import type { PoolConnection } from 'mysql2/promise';
import { type Database, queryRow, queryRows, type Rows, readSql } from '../shared/mysql/database.ts';
import { databaseError } from '../shared/mysql/errors.ts';
import { keyLists } from '../shared/mysql/statement-size.ts';
import { toTransfer } from '../worker/transfers.ts';
import { type CheckedTransferFilter, transferParameters } from './transfer-filter.ts';

/** A row of `sluice_transfers`. */
export interface TransitTransfer {
  /** Its name. */
  readonly transfer: string;
  readonly program: string;
  readonly from: string;
  readonly to: string;
  /** Id of the debit. */
  readonly entryId: string;
  readonly amount: number;
  /** The partition of `to`. */
  readonly partition: number;
  /** `open`: a worker sends the credit. `aside`: an operator decides. */
  readonly state: 'open' | 'aside';
  /** Why MySQL refused the credit; null if it did not. */
  readonly code: string | null;
  /** When the debit was written; ISO 8601. */
  readonly createdAt: string;
  /** When the credit was sent to Redis last, or put aside; ISO 8601. */
  readonly drivenAt: string;
  /** Seconds since the debit was written. */
  readonly ageSeconds: number;
}

const SELECT = readSql(new URL('./sql/read-transfers.sql', import.meta.url));
const fill = (columns: string, rest: string) => SELECT.replace('{columns}', columns).replace('{rest}', rest);
const COLUMNS = 't.*, TIMESTAMPDIFF(MICROSECOND, t.created_at, UTC_TIMESTAMP(3)) AS age';
const OLDEST = fill(COLUMNS, 'ORDER BY t.created_at, t.transfer LIMIT ?');
const PAGE = fill(COLUMNS, 'ORDER BY t.transfer LIMIT ?');
const COUNT = fill('COUNT(*) AS found', '');
const PAGE_SIZE = 500;
const READ = `SELECT ${COLUMNS} FROM sluice_transfers t WHERE t.transfer IN (?)`;

/**
 * At most `limit` transfers in transit or aside, the oldest first, and the number of all that match.
 * @throws DatabaseUnavailableError, AccessDeniedError, DatabaseFailedError
 */
export async function listTransfers(
  database: Database,
  filter: CheckedTransferFilter = {},
  limit = 100,
): Promise<{ readonly transfers: readonly TransitTransfer[]; readonly total: number }> {
  const parameters = [Buffer.alloc(0), ...transferParameters(filter)];
  const read = async (connection: PoolConnection) => ({
    transfers: (await queryRows(connection, OLDEST, [...parameters, limit])).map(toTransitTransfer),
    total: Number((await queryRow(connection, COUNT, parameters)).found),
  });
  return database.session(read).catch(error => {
    throw databaseError(error, database.address);
  });
}

/** All matching transfers by their names, a page at a time. @throws as `listTransfers` */
export async function* eachTransfer(
  database: Database,
  filter: CheckedTransferFilter,
): AsyncGenerator<TransitTransfer> {
  for (let after: Buffer = Buffer.alloc(0); ; ) {
    const values = [after, ...transferParameters(filter), PAGE_SIZE];
    const rows = await database.query(PAGE, values).catch(error => {
      throw databaseError(error, database.address);
    });
    yield* rows.map(toTransitTransfer);
    if (rows.length < PAGE_SIZE) return;
    after = rows.at(-1)!.transfer as Buffer;
  }
}

/** Those of these transfers that are in transit or aside now. */
export async function readTransfers(
  connection: PoolConnection,
  transfers: readonly string[],
): Promise<TransitTransfer[]> {
  const names = transfers.map(name => Buffer.from(name));
  const found: TransitTransfer[] = [];
  for (const some of keyLists(connection, names, PAGE_SIZE))
    found.push(...(await queryRows(connection, READ, [some])).map(toTransitTransfer));
  return found;
}

function toTransitTransfer(row: Rows[number]): TransitTransfer {
  const { transfer, program, from, to, id: entryId, amount } = toTransfer(row);
  return {
    transfer,
    program,
    from,
    to,
    entryId,
    amount,
    partition: Number(row.to_partition),
    state: row.state as TransitTransfer['state'],
    code: row.error_code === null ? null : String(row.error_code),
    createdAt: (row.created_at as Date).toISOString(),
    drivenAt: (row.driven_at as Date).toISOString(),
    // The server that answers may have another clock than the one that wrote the row.
    ageSeconds: Math.max(0, Number(row.age)) / 1_000_000,
  };
}
