/**
 * What operators do with transfers that are aside, since MySQL refused the credit. A retry opens the row, so that a
 * worker sends the credit again; a return makes another account its destination first, in general the source.
 *
 * Each change holds the lock of the watermark of the row's partition: the flush that could write the credit
 * holds it too, so it sees the row either before the change or after it.
 */
import type { PoolConnection } from 'mysql2/promise';
import { InvalidUpdateError } from '../shared/errors.ts';
import { LIMITS } from '../shared/limits.ts';
import { type Database, queryRow, queryRows, type Rows, readSql } from '../shared/mysql/database.ts';
import { databaseError } from '../shared/mysql/errors.ts';
import { lockWatermark } from '../shared/partition/watermark.ts';
import type { Keys } from '../shared/redis/keys.ts';
import { checkText } from '../shared/updates/key.ts';
import { toTransfer } from '../worker/transfers.ts';
import { repeatConflicts } from './conflicts.ts';
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

/**
 * - `retried`, `returned`
 * - `open`: the row is not aside, so a worker may write the credit at any moment
 * - `gone`: there is no such row; the credit was written, or there never was such a transfer
 */
export type TransferOutcome = 'retried' | 'returned' | 'open' | 'gone';

/** Called in the transaction of a change, with the row before it, to record who made it. */
export type RecordChange = (connection: PoolConnection, before: TransitTransfer) => Promise<void>;

const SELECT = readSql(new URL('./sql/read-transfers.sql', import.meta.url));
const fill = (columns: string, rest: string) => SELECT.replace('{columns}', columns).replace('{rest}', rest);
const COLUMNS = 't.*, TIMESTAMPDIFF(MICROSECOND, t.created_at, UTC_TIMESTAMP(3)) AS age';
const OLDEST = fill(COLUMNS, 'ORDER BY t.created_at, t.transfer LIMIT ?');
const PAGE = fill(COLUMNS, 'ORDER BY t.transfer LIMIT ?');
const COUNT = fill('COUNT(*) AS found', '');
const PAGE_SIZE = 500;
const READ = `SELECT ${COLUMNS} FROM sluice_transfers t WHERE t.transfer = ?`;
/** The rest of a worker is over at once: a round sends the credit soon. */
const OPEN =
  "UPDATE sluice_transfers SET state = 'open', error_code = NULL, to_account = ?, to_partition = ?, driven_at = created_at WHERE transfer = ?";

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

/** Opens a transfer that is aside. @throws as `listTransfers` */
export function retryTransfer(
  database: Database,
  transfer: string,
  record?: RecordChange,
): Promise<TransferOutcome> {
  return change(database, transfer, 'retried', row => [row.to, row.partition], record);
}

/**
 * Makes the source, or another account, the destination of a transfer that is aside, and opens it.
 * @param to the account that gets the points; the source by default
 * @throws InvalidUpdateError if `to` is no account or the destination already; otherwise as `listTransfers`
 */
export async function returnTransfer(
  database: Database,
  keys: Pick<Keys, 'partitionOf'>,
  transfer: string,
  to?: string,
  record?: RecordChange,
): Promise<TransferOutcome> {
  if (to !== undefined) checkText(to, 'INVALID_ACCOUNT', 'account', LIMITS.account);
  const target = (row: TransitTransfer): [account: string, partition: number] => {
    const account = to ?? row.from;
    if (account === row.to)
      throw new InvalidUpdateError(
        'INVALID_ACCOUNT',
        'The transfer already has this account as its destination; retry it, or name another account.',
      );
    return [account, keys.partitionOf(account)];
  };
  return change(database, transfer, 'returned', target, record);
}

async function change(
  database: Database,
  transfer: string,
  done: 'retried' | 'returned',
  target: (row: TransitTransfer) => [account: string, partition: number],
  record: RecordChange = async () => {},
): Promise<TransferOutcome> {
  const attempt = () =>
    database.transaction(async (connection): Promise<TransferOutcome> => {
      const before = await read(connection, transfer);
      if (!before) return 'gone';
      await lockWatermark(connection, before.partition);
      const row = await read(connection, transfer);
      if (!row) return 'gone';
      // Another operator was faster, and the lock may be that of a partition that the row has left.
      if (row.state !== 'aside' || row.partition !== before.partition) return 'open';
      await record(connection, row);
      const [account, partition] = target(row);
      await connection.query(OPEN, [Buffer.from(account), partition, Buffer.from(transfer)]);
      return done;
    });
  return repeatConflicts(attempt).catch(error => {
    throw databaseError(error, database.address);
  });
}

async function read(connection: PoolConnection, transfer: string): Promise<TransitTransfer | undefined> {
  const [row] = await queryRows(connection, READ, [Buffer.from(transfer)]);
  return row && toTransitTransfer(row);
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
