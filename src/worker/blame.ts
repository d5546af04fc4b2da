/**
 * Decides whether rows are to blame for a failed statement. An error that can be about rows becomes a
 * RowFailure, once it is certain that the transaction survived the statement. Any other error is thrown as it
 * came and ends the transaction.
 */
import type { PoolConnection } from 'mysql2/promise';
import { queryRows } from '../shared/mysql/database.ts';
import { classifyDatabaseError, isServerError, suspect } from '../shared/mysql/errors.ts';
import { isWholeTable } from '../shared/values/target-table.ts';
import { isRefusal } from './quarantine.ts';

/**
 * When an error blames the rows of its statement:
 * - `data`: always
 * - `row`: if other rows of their table pass, in this transaction or another one
 * - `schema`: if other rows of their table pass in this transaction, as no schema change can come between
 * - `table`: never; the mapped table takes no rows now, and these wait for it
 */
export type Blame = 'data' | 'row' | 'schema' | 'table';

/** A statement failed, perhaps because of its rows, and wrote nothing; the transaction goes on. */
export class RowFailure extends Error {
  readonly blame: Blame;
  override readonly cause: unknown;
  /** The cause has the number of an outage or a conflict without one: retries must not depend on it. */
  readonly isForged: boolean;
  constructor(blame: Blame, cause: unknown, isForged = false) {
    super('rows failed', { cause });
    this.blame = blame;
    this.cause = cause;
    this.isForged = isForged;
  }
}

/** Share of the lock wait timeout after which a lock wait error is taken to be real. */
const REAL_WAIT = 0.9;

/**
 * If rows can be to blame for the error of `use`, undoes what `use` wrote.
 * @param doubtConflicts whether rows may also be to blame for a deadlock or lock wait error that came too
 * early to be one
 * @throws RowFailure, or the error of `use`: then the transaction must end
 */
export async function withSavepoint<Result>(
  connection: PoolConnection,
  partition: number,
  doubtConflicts: boolean,
  use: () => Promise<Result>,
): Promise<Result> {
  await setSavepoint(connection);
  return sinceSavepoint(connection, partition, doubtConflicts, use);
}

export async function setSavepoint(connection: PoolConnection): Promise<void> {
  await connection.query('SAVEPOINT attempt');
}

/** The same, if nothing was written since the savepoint. It stays set after a RowFailure. */
export async function sinceSavepoint<Result>(
  connection: PoolConnection,
  partition: number,
  doubtConflicts: boolean,
  use: () => Promise<Result>,
): Promise<Result> {
  const started = performance.now();
  try {
    return await use();
  } catch (error) {
    const waitedMs = performance.now() - started;
    const kind = classifyDatabaseError(error);
    const claimsConflict = kind === 'conflict' && isServerError(error) && doubtConflicts;
    if (!claimsConflict && !canBlame(error)) throw error;
    // Some errors end the whole transaction with its savepoints: deadlocks, a full lock table.
    await connection.query('ROLLBACK TO SAVEPOINT attempt').catch(() => {
      throw error;
    });
    if (!claimsConflict) throw await blame(connection, partition, error);
    throw (await couldHaveWaited(connection, waitedMs)) ? error : new RowFailure('row', error, true);
  }
}

/** Whether `blame` may make it a RowFailure. */
function canBlame(error: unknown): boolean {
  return (
    isRefusal(error) ||
    suspect(error) !== 'nothing' ||
    isWholeTable(error) ||
    (isServerError(error) && classifyDatabaseError(error) === 'unavailable')
  );
}

/**
 * The error as a RowFailure if it can be about rows; else unchanged. Asks the server if it claims an outage.
 */
export async function blame(connection: PoolConnection, partition: number, error: unknown): Promise<unknown> {
  if (!canBlame(error)) return error;
  if (isRefusal(error)) return new RowFailure('data', error);
  if (isWholeTable(error)) return new RowFailure('table', error);
  const about = suspect(error);
  if (about !== 'nothing') return new RowFailure(about, error);
  // A SIGNAL can have the number of an outage. In a real outage the server would refuse this write too.
  return (await canWrite(connection, partition)) ? new RowFailure('row', error, true) : error;
}

/** Whether the transaction can still write; it holds the lock of the watermark row. */
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
