/**
 * Replays one quarantined update in one transaction, under the lock of its partition's watermark: the update
 * moves from quarantine to the value and the ledger. The live value counts it already and does not change.
 *
 * After a crash the row is either unchanged or gone. A concurrent replay finds it gone.
 */
import type { PoolConnection } from 'mysql2/promise';
import { DatabaseFailedError } from '../shared/errors.ts';
import { kindOfRow } from '../shared/item.ts';
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

/** Called between any two steps, so that tests can simulate a crash there. */
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
 * - `already`: it is no longer in quarantine, or an operation that drops or edits it has taken it
 * - `refused:CODE`: MySQL still refuses it, and it stays in quarantine
 * - `waiting`: the partition has no free ledger number before its next batch, which makes room
 */
export type ReplayOutcome = 'replayed' | 'already' | 'waiting' | `refused:${string}`;

/** Rolls back a replay that was only tried. */
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
   * @param operation records the outcome; undefined only tries the replay and changes nothing
   * @throws an error of MySQL that is not about the update; then the outcome is unknown, and a retry is safe
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
      // An update that fails for an unusual reason, such as a broken trigger, must not stop the others.
      if (error instanceof RowFailure) return `refused:${refusalCode(error.cause)}`;
      // A mapped table may take no rows for long, so the update stays in quarantine.
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
    const { kind, name, key, amount, version } = update;
    const row = { name, key, amount, version: version ?? 0 };
    await this.#tables.of(kindOfRow(kind), name).add(connection, [row]);
    return true;
  }

  async #writeEntry(connection: PoolConnection, update: FailedUpdate, sequence: number): Promise<boolean> {
    const { first, free } = await this.#entries.nextNumbers(connection, update.partition, sequence);
    if (free === 0) return false;
    const { name: program, key: account, entryId, amount, reason, metadata, to, quarantinedAt } = update;
    const content = {
      program,
      account,
      id: entryId!,
      amount,
      reason,
      metadata: metadata && JSON.stringify(metadata),
      other: to ?? undefined,
    };
    const entry = quarantinedEntry(content, Date.parse(quarantinedAt));
    const { partition } = update;
    await this.#entries.write(connection, [entry], () => ({ partition, number: first }));
    return true;
  }
}
