/**
 * Whether rows are to blame for a statement that failed. An error that can be about rows becomes a RowFailure, once it
 * is sure that the transaction goes on without the statement. Any other error ends the transaction, as it was thrown.
 */
import type { PoolConnection } from 'mysql2/promise';
import { queryRows } from '../shared/mysql/database.ts';
import { classifyDatabaseError, isServerError, suspect } from '../shared/mysql/errors.ts';
import { isWholeTable } from '../shared/values/target-table.ts';
import { isRefusal } from './quarantine.ts';

/**
 * How much an error says about the rows of its statement:
 * - `data`: they are at fault, whatever becomes of other rows
 * - `row`: they are if other rows of their table pass, in this transaction or another one
 * - `schema`: they are if other rows of their table pass in this transaction, which no change of the schema can split
 * - `table`: never; a mapped table does not take them now, and they wait for it
 */
export type Blame = 'data' | 'row' | 'schema' | 'table';

/** A statement failed, perhaps on account of its rows, and left nothing behind; the transaction goes on. */
export class RowFailure extends Error {
  readonly blame: Blame;
  override readonly cause: unknown;
  /** The cause's number says "outage" or "conflict", and there is none: whoever reads numbers must not see it. */
  readonly isForged: boolean;
  constructor(blame: Blame, cause: unknown, isForged = false) {
    super('rows failed', { cause });
    this.blame = blame;
    this.cause = cause;
    this.isForged = isForged;
  }
}

/** Parts of a lock wait's limit after which its error is taken for a real one. */
const REAL_WAIT = 0.9;

/**
 * Undoes what `use` wrote if rows can be to blame for its error.
 * @param doubtConflicts whether to blame rows also for a deadlock or lock wait that shows no sign of one
 * @throws RowFailure, or what `use` threw: then the transaction has to end
 */
export async function withSavepoint<Result>(
  connection: PoolConnection,
  partition: number,
  doubtConflicts: boolean,
  use: () => Promise<Result>,
): Promise<Result> {
  await connection.query('SAVEPOINT attempt');
  const started = performance.now();
  try {
    return await use();
  } catch (error) {
    const waitedMs = performance.now() - started;
    const kind = classifyDatabaseError(error);
    const claimsConflict = kind === 'conflict' && isServerError(error) && doubtConflicts;
    if (!claimsConflict && !canBlame(error)) throw error;
    // Some errors end the whole transaction, and its savepoints with it: all deadlocks, a table of locks that is full.
    await connection.query('ROLLBACK TO SAVEPOINT attempt').catch(() => {
      throw error;
    });
    if (!claimsConflict) throw await blame(connection, partition, error);
    throw (await couldHaveWaited(connection, waitedMs)) ? error : new RowFailure('row', error, true);
  }
}

/** Whether `blame` may make a RowFailure of it. */
function canBlame(error: unknown): boolean {
  return (
    isRefusal(error) ||
    suspect(error) !== 'nothing' ||
    isWholeTable(error) ||
    (isServerError(error) && classifyDatabaseError(error) === 'unavailable')
  );
}

/** The error as a RowFailure if it can be about rows; else as it came. Asks the server only if it claims an outage. */
export async function blame(connection: PoolConnection, partition: number, error: unknown): Promise<unknown> {
  if (!canBlame(error)) return error;
  if (isRefusal(error)) return new RowFailure('data', error);
  if (isWholeTable(error)) return new RowFailure('table', error);
  const about = suspect(error);
  if (about !== 'nothing') return new RowFailure(about, error);
  // A SIGNAL can carry the number of an outage. In an outage, the server would refuse this as well.
  return (await canWrite(connection, partition)) ? new RowFailure('row', error, true) : error;
}

/** Whether the transaction, which holds the lock of the partition's watermark, can still write. */
async function canWrite(connection: PoolConnection, partition: number): Promise<boolean> {
  try {
    await connection.query('UPDATE sluice_partitions SET sequence = sequence WHERE partition_id = ?', [
      partition,
    ]);
    return true;
  } catch {
    return false;
  }
}

async function couldHaveWaited(connection: PoolConnection, waitedMs: number): Promise<boolean> {
  const [row] = await queryRows(
    connection,
    'SELECT LEAST(@@innodb_lock_wait_timeout, @@lock_wait_timeout) AS seconds',
  );
  return waitedMs >= Number(row!.seconds) * 1000 * REAL_WAIT;
}
