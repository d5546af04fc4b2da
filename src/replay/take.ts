/**
 * Only the operation that has taken a quarantined update may change it. Otherwise two drops of one debit
 * would both raise the live balance before a flush finds out, and the balance could be spent twice.
 *
 * An operation takes an update before it sends its amendment, and keeps it until the flush has carried out or
 * refused the amendment. After a crash in between, the update stays taken: the amendment may still arrive, so
 * only the same operation, resumed by any operator, can ensure that it is sent once.
 */

import { type Database, queryRows } from '../shared/mysql/database.ts';
import { type FailedUpdate, toFailedUpdate } from '../shared/updates/failed-update.ts';
import { repeatConflicts } from './conflicts.ts';

/**
 * Not what the operation has done: if two processes carry it out, the slower one may have the update on its page still.
 * Redis would know its amendment, so no flush would ever release the update.
 */
const TAKE = `UPDATE sluice_quarantine SET operation = ? WHERE id = ? AND (operation IS NULL OR operation = ?)
  AND NOT EXISTS (SELECT 1 FROM sluice_operation_items i WHERE i.operation_id = ? AND i.quarantine_id = sluice_quarantine.id)`;
const LET_GO = 'UPDATE sluice_quarantine SET operation = NULL WHERE id = ? AND operation = ?';

/**
 * Takes the update, unless another operation has it. Waits for a flush or a replay that has locked it.
 * @returns the current update, with the operation that has it; undefined if it is no longer in quarantine
 * @throws what `databaseError` returns; a retry is safe
 */
export async function take(
  database: Database,
  id: number,
  operation: number,
): Promise<FailedUpdate | undefined> {
  const takeAndRead = () =>
    database.session(async connection => {
      await connection.query(TAKE, [operation, id, operation, operation]);
      // Another operation may have edited the update since it was listed.
      const [row] = await queryRows(connection, 'SELECT * FROM sluice_quarantine WHERE id = ?', [id]);
      return row && toFailedUpdate(row);
    });
  return database.explained(() => repeatConflicts(takeAndRead));
}

/** Releases the update after its amendment was certainly refused, so that other operations may take it. */
export async function letGo(database: Database, id: number, operation: number): Promise<void> {
  await database.query(LET_GO, [id, operation]);
}

/** Whether the operation has updates that no flush has carried out yet. */
export async function hasTaken(database: Database, operation: number): Promise<boolean> {
  const rows = await database.query('SELECT 1 FROM sluice_quarantine WHERE operation = ? LIMIT 1', [
    operation,
  ]);
  return rows.length > 0;
}
