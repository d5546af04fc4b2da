/**
 * Replays one quarantined update in one transaction, under the lock of its partition's watermark: out of quarantine, into
 * the value and the ledger. The live value counts the update already and stays as it is.
 *
 * Whoever is killed leaves the row as it was or gone, never between; whoever comes second finds it gone.
 */
import type { PoolConnection } from 'mysql2/promise';
import { DatabaseFailedError } from '../shared/errors.ts';
import type { Database } from '../shared/mysql/database.ts';
import { databaseError, databaseErrorCode } from '../shared/mysql/errors.ts';
import { lockWatermark } from '../shared/partition/watermark.ts';
import { type FailedUpdate, lockFailedUpdate, recordItem } from '../shared/updates/failed-update.ts';
import type { ValueTables } from '../shared/values/tables.ts';
import { isTableFailure, tableFailureCode } from '../shared/values/target-table.ts';
import { blame, RowFailure, withSavepoint } from '../worker/blame.ts';
import { EntryWriter, quarantinedEntry } from '../worker/entries.ts';
import { refusalCode } from '../worker/quarantine.ts';
import { repeatConflicts } from './conflicts.ts';

/** Called between any two steps, so that tests can end the process's part there. */
export type ReplaySeam = (step: ReplayStep) => Promise<void> | void;
export type ReplayStep =
  | 'started'
  | 'taken'
  | 'sent'
  | 'locked'
  | 'found'
  | 'written'
  | 'recorded'
  | 'committed'
  | 'finished';

/**
 * - `replayed`
 * - `already`: somebody had taken it out of quarantine, or an operation that drops or edits it has taken it
 * - `refused:CODE`: MySQL refuses it still, it stays in quarantine
 * - `waiting`: the partition has no ledger number left before its next batch, which makes room
 */
export type ReplayOutcome = 'replayed' | 'already' | 'waiting' | `refused:${string}`;

/** Rolls a trial back. */
class Trial extends Error {}

export class ReplayOne {
  readonly #database: Database;
  readonly #tables: ValueTables;
  readonly #entries: EntryWriter;
  readonly #seam: ReplaySeam;

  constructor(database: Database, tables: ValueTables, seam: ReplaySeam) {
    this.#database = database;
    this.#tables = tables;
    this.#entries = new EntryWriter(tables);
    this.#seam = seam;
  }

  /**
   * @param operation where the outcome is recorded; undefined only tries, and changes nothing
   * @throws what MySQL threw where that is not about the update; then the outcome is unknown, and repeating is safe
   */
  async run(update: FailedUpdate, operation: number | undefined): Promise<ReplayOutcome> {
    try {
      return await repeatConflicts(isLast => this.#attempt(update, operation, isLast));
    } catch (error) {
      const known = databaseError(error, this.#database.address);
      if (known instanceof DatabaseFailedError) return `refused:${databaseErrorCode(error)}`;
      throw known;
    }
  }

  async #attempt(
    update: FailedUpdate,
    operation: number | undefined,
    doubtConflicts: boolean,
  ): Promise<ReplayOutcome> {
    try {
      const outcome = await this.#database.transaction(connection =>
        this.#write(connection, update, operation, doubtConflicts),
      );
      await this.#seam('committed');
      return outcome;
    } catch (error) {
      if (error instanceof Trial) return 'replayed';
      // One update that meets something odd, such as a trigger that is broken, must not keep the others.
      if (error instanceof RowFailure) return `refused:${refusalCode(error.cause)}`;
      // What keeps a mapped table from taking rows may last: the update waits for it in quarantine.
      if (isTableFailure(error)) return `refused:${tableFailureCode(error)}`;
      throw error;
    }
  }

  async #write(
    connection: PoolConnection,
    { id, partition }: FailedUpdate,
    operation: number | undefined,
    doubtConflicts: boolean,
  ): Promise<ReplayOutcome> {
    const { sequence } = await lockWatermark(connection, partition);
    await this.#seam('locked');
    const update = await lockFailedUpdate(connection, id);
    if (!update || update.takenBy !== null) return 'already';
    await this.#seam('found');
    const write = () => this.#writeValue(connection, update, sequence);
    const written = doubtConflicts
      ? await withSavepoint(connection, partition, true, write)
      : await write().catch(async error => {
          throw await blame(connection, partition, error);
        });
    if (!written) return 'waiting';
    await connection.query('DELETE FROM sluice_quarantine WHERE id = ?', [id]);
    await this.#seam('written');
    if (operation === undefined) throw new Trial();
    await recordItem(connection, operation, update, 'replayed');
    await this.#seam('recorded');
    return 'replayed';
  }

  /** False if there is no ledger number left. */
  async #writeValue(connection: PoolConnection, update: FailedUpdate, sequence: number): Promise<boolean> {
    if (update.kind === 'entry') return this.#writeEntry(connection, update, sequence);
    const { name, key, amount } = update;
    await this.#tables.of('c', name).add(connection, [{ name, key, amount }]);
    return true;
  }

  async #writeEntry(connection: PoolConnection, update: FailedUpdate, sequence: number): Promise<boolean> {
    const { first, free } = await this.#entries.nextNumbers(connection, update.partition, sequence);
    if (free === 0) return false;
    const { name: program, key: account, entryId, amount, reason, metadata, quarantinedAt } = update;
    const content = {
      program,
      account,
      id: entryId!,
      amount,
      reason,
      metadata: metadata && JSON.stringify(metadata),
    };
    const entry = quarantinedEntry(content, Date.parse(quarantinedAt));
    await this.#entries.write(connection, update.partition, [entry], () => first);
    return true;
  }
}
