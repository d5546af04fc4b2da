/**
 * Carries out amendments in the transaction of their batch: a dropped update leaves quarantine, an edited one
 * moves from there into its value. The live value changed when Redis accepted the amendment, and the
 * difference was pending since, so the sums are right at any time. A kept value cannot be corrected by a difference:
 * its live value counts the quarantined one until now, and is read anew.
 */
import type { PoolConnection } from 'mysql2/promise';
import { isValueKind, kindOfRow } from '../shared/item.ts';
import { queryRows } from '../shared/mysql/database.ts';
import { type FailedUpdate, lockFailedUpdate, recordItem } from '../shared/updates/failed-update.ts';
import { type Amendment, type AmendmentContent, readPayload } from '../shared/updates/record.ts';
import { RefusedValueError } from '../shared/values/refusal.ts';
import type { ValueTables } from '../shared/values/tables.ts';
import { isTableFailure, tableFailureCode } from '../shared/values/target-table.ts';
import type { Batch } from './batch.ts';
import { RowFailure, withSavepoint } from './blame.ts';
import { type EntryWriter, ledgerNumber, quarantinedEntry } from './entries.ts';
import type { HeldUpdates } from './held.ts';
import { checkEntry } from './lengths.ts';
import { type Cause, counterPayload, refusalCode } from './quarantine.ts';
import type { TableHealth } from './table-health.ts';

export class AmendmentWriter {
  readonly #tables: ValueTables;
  readonly #entries: EntryWriter;
  readonly #held: HeldUpdates;
  readonly #health: TableHealth;

  constructor(tables: ValueTables, entries: EntryWriter, held: HeldUpdates, health: TableHealth) {
    this.#tables = tables;
    this.#entries = entries;
    this.#held = held;
    this.#health = health;
  }

  /**
   * @param careful whether an edit that fails goes back into quarantine, as edited, instead of being thrown.
   * No other row has to pass first: the update is in quarantine already
   * @param doubtConflicts see withSavepoint
   * @returns kind and item of live values to reload: the amendment changed them for an update that had left
   * quarantine, been edited, or been taken by another operation
   */
  async write(
    connection: PoolConnection,
    batch: Batch,
    careful: boolean,
    doubtConflicts: boolean,
  ): Promise<string[]> {
    const reload: string[] = [];
    for (const [index, amendment] of batch.amendments.entries()) {
      const { quarantine, operation } = amendment.content;
      const update = await lockFailedUpdate(connection, quarantine);
      // Redis may bring a decision again after it was carried out or refused, and another operation may hold
      // the update.
      if (update?.takenBy !== operation) {
        reload.push(amendment.kind + amendment.item);
        continue;
      }
      // If a refused edit changed the update after this decision, the live value is off by the difference.
      if (isValueKind(amendment.kind) || amendment.delta !== amountAfter(amendment.content) - update.amount)
        reload.push(amendment.kind + amendment.item);
      const care = { careful, doubtConflicts };
      const outcome = await this.#carryOut(connection, batch, index, amendment, update, care);
      await recordItem(connection, operation, update, outcome);
    }
    return reload;
  }

  async #carryOut(
    connection: PoolConnection,
    batch: Batch,
    index: number,
    { content }: Amendment,
    update: FailedUpdate,
    { careful, doubtConflicts }: { careful: boolean; doubtConflicts: boolean },
  ): Promise<string> {
    const remove = () => connection.query('DELETE FROM sluice_quarantine WHERE id = ?', [update.id]);
    if (content.amendment === 'drop') {
      await remove();
      return 'dropped';
    }
    const { amount, payload } = content.to;
    const problem = this.#health.problem(this.#tables.of(kindOfRow(update.kind), update.name));
    if (problem) {
      await this.#putBack(connection, update, content.to, tableFailureCode(problem), 'held');
      return 'edited';
    }
    const write = async () => {
      await remove();
      if (payload !== undefined) await this.#writeEntry(connection, batch, index, payload, update);
      else await this.#writeCounter(connection, update, amount);
    };
    if (!careful) {
      await write();
      return 'edited';
    }
    try {
      await withSavepoint(connection, batch.partition, doubtConflicts, write);
      return 'edited';
    } catch (error) {
      if (!(error instanceof RowFailure)) throw error;
      const isHeld = isTableFailure(error.cause);
      const code = refusalCode(error.cause);
      await this.#putBack(connection, update, content.to, code, isHeld ? 'held' : 'refused');
      return isHeld ? 'edited' : `refused:${code}`;
    }
  }

  /** Leaves the update in quarantine, as edited. */
  async #putBack(
    connection: PoolConnection,
    { id, partition, updates }: FailedUpdate,
    { amount, payload }: { readonly amount: number; readonly payload?: string },
    code: string,
    cause: Cause,
  ): Promise<void> {
    if (cause === 'held') await this.#held.note(connection, partition);
    await connection.query(
      'UPDATE sluice_quarantine SET amount = ?, payload = ?, error_code = ?, cause = ?, operation = NULL WHERE id = ?',
      [amount, payload ?? counterPayload(updates), code, cause, id],
    );
  }

  async #writeCounter(
    connection: PoolConnection,
    { kind, name, key, version }: FailedUpdate,
    amount: number,
  ) {
    const row = { name, key, amount, version: version ?? 0 };
    await this.#tables.of(kindOfRow(kind), name).add(connection, [row]);
  }

  async #writeEntry(
    connection: PoolConnection,
    batch: Batch,
    index: number,
    payload: string,
    update: FailedUpdate,
  ): Promise<void> {
    const content = readPayload(payload);
    checkEntry(content);
    const { program, account, id } = content;
    const [row] = await queryRows(
      connection,
      'SELECT 1 FROM sluice_entries WHERE program = ? AND account = ? AND entry_id = ?',
      [Buffer.from(program), Buffer.from(account), Buffer.from(id)],
    );
    if (row) throw new RefusedValueError('ID_IN_LEDGER');
    const entry = quarantinedEntry(content, Date.parse(update.quarantinedAt));
    // After the numbers of the batch's own entries.
    const number = ledgerNumber(batch.sequence, batch.entries.length + index);
    await this.#entries.write(connection, [entry], () => ({ partition: batch.partition, number }));
  }
}

/** The update's amount once the amendment is carried out. */
function amountAfter(content: AmendmentContent): number {
  return content.amendment === 'drop' ? 0 : content.to.amount;
}
