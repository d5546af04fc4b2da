/**
 * Who may change a quarantined update: the one operation that has taken it. Two drops of one debit would each raise the live
 * balance before a flush finds out, and what they raise it by could be spent.
 *
 * An operation takes an update before it sends its amendment. The update stays its own until the flush has carried the
 * amendment out, or refused it. Whoever is killed in between leaves it taken: what was sent may still arrive, so only the same
 * operation, resumed by anybody, can know that it is sent once.
 */

import { type Database, queryRows } from '../shared/mysql/database.ts';
import { databaseError } from '../shared/mysql/errors.ts';
import { type FailedUpdate, toFailedUpdate } from '../shared/updates/failed-update.ts';
import { repeatConflicts } from './conflicts.ts';

const TAKE =
  'UPDATE sluice_quarantine SET operation = ? WHERE id = ? AND (operation IS NULL OR operation = ?)';
const LET_GO = 'UPDATE sluice_quarantine SET operation = NULL WHERE id = ? AND operation = ?';

/**
 * Takes the update, or finds that the operation has it already. Waits for a flush or a replay that has locked it.
 * @returns the update as it is now, with the operation that has it; undefined if it is out of quarantine
 * @throws what `databaseError` makes of a failure; then repeating is safe
 */
export async function take(
  database: Database,
  id: number,
  operation: number,
): Promise<FailedUpdate | undefined> {
  const takeAndRead = () =>
    database.session(async connection => {
      await connection.query(TAKE, [operation, id, operation]);
      // Read behind it: an edit of another operation may have changed the update since it was listed.
      const [row] = await queryRows(connection, 'SELECT * FROM sluice_quarantine WHERE id = ?', [id]);
      return row && toFailedUpdate(row);
    });
  return repeatConflicts(takeAndRead).catch(error => {
    throw databaseError(error, database.address);
  });
}

/** For an amendment that was refused for certain: another operation may have the update. */
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
