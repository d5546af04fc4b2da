/**
 * Writes the rows of a batch inside the store's transaction: counters, entries, amendments. Updates whose
 * mapped table cannot be written are held. The first attempt writes all rows at once, the second one
 * carefully (careful.ts).
 */
import type { PoolConnection } from 'mysql2/promise';
import { ROW_KINDS } from '../shared/item.ts';
import { creditedBy, type RecordedEntry } from '../shared/updates/record.ts';
import { superseded } from '../shared/values/kept-sql.ts';
import type { ValueTables } from '../shared/values/tables.ts';
import { AmendmentWriter } from './amendments.ts';
import type { Batch } from './batch.ts';
import {
  type BatchAttempt,
  type BatchRows,
  counterRows,
  entryRows,
  leaveOut,
  note,
  type Written,
} from './batch-rows.ts';
import { blame } from './blame.ts';
import { CarefulWriter } from './careful.ts';
import { EntryWriter } from './entries.ts';
import type { Failures } from './failures.ts';
import { FloorWatch } from './floors.ts';
import { HeldUpdates, type HoldRule } from './held.ts';
import { liveFieldsOf, planHolds, writeHolds } from './holds.ts';
import { checkLengths } from './lengths.ts';
import { Suspects } from './suspects.ts';
import type { TableHealth } from './table-health.ts';
import { rightfulCredits } from './transfers.ts';

export class BatchWriter {
  readonly #tables: ValueTables;
  readonly #failures: Failures;
  readonly #entries: EntryWriter;
  readonly #held: HeldUpdates;
  readonly #careful: CarefulWriter;
  readonly #suspects = new Suspects();
  readonly #amendments: AmendmentWriter;

  constructor(tables: ValueTables, failures: Failures, health: TableHealth) {
    this.#tables = tables;
    this.#failures = failures;
    this.#entries = new EntryWriter(tables);
    this.#held = new HeldUpdates(tables, health);
    this.#careful = new CarefulWriter(failures, health, this.#suspects);
    this.#amendments = new AmendmentWriter(tables, this.#entries, this.#held, health);
  }

  /** Whether the batch has updates that MySQL refused lately, so that a plain attempt is likely to fail. */
  foreseesRefusals({ counters, entries, amendments }: Batch): boolean {
    // An edit that fails for the first time is tried once more.
    if (this.#suspects.isEmpty || amendments.length > 0) return false;
    return (
      counters.some(({ kind, item }) => this.#suspects.has(ROW_KINDS[kind], item)) ||
      entries.some(({ item }) => this.#suspects.has('entry', item))
    );
  }

  /**
   * @param mayHold whether the partition may have held updates, from the watermark row
   * @throws RowFailure if rows may be to blame, TextTooLongError, or the server's error
   */
  async write(
    connection: PoolConnection,
    batch: Batch,
    mayHold: boolean,
    careful: boolean,
  ): Promise<Written> {
    checkLengths(batch);
    const written: Written = {
      entries: 0,
      rows: 0,
      refused: 0,
      held: 0,
      late: [],
      quarantinedBefore: 0,
      reload: [],
      took: new Set(),
      transfers: [],
      credits: [],
      aside: 0,
      leftOut: 0,
      unheld: 0,
      floors: new FloorWatch(this.#tables),
    };
    const attempt = { connection, batch, written };
    try {
      const rule = await this.#held.rule(connection, batch, mayHold);
      for (const [kind, sums] of Map.groupBy(batch.counters, sum => sum.kind)) {
        // Whoever put the later value is in MySQL: the live value may be this one.
        if (kind === '=')
          for (const { item } of await superseded(connection, sums)) written.reload.push(kind + item);
        const counters = counterRows(kind, attempt, this.#tables, this.#held);
        await this.#write(attempt, counters, sums, rule, careful);
      }
      const ofLedger = await this.#holds(attempt);
      const fresh = await this.#fresh(attempt, ofLedger, careful || rule.holdsAny);
      const entries = entryRows(attempt, this.#tables, this.#held, this.#entries);
      await this.#write(attempt, entries, fresh, rule, careful);
      const doubtConflicts = careful && this.#failures.doubtsConflicts(batch);
      written.reload.push(...(await this.#amendments.write(connection, batch, careful, doubtConflicts)));
    } catch (error) {
      // The careful attempt has found out already.
      throw careful ? error : await blame(connection, batch.partition, error);
    }
    return written;
  }

  async #write<Item extends { readonly item: string }>(
    attempt: BatchAttempt,
    rows: BatchRows<Item>,
    items: readonly Item[],
    rule: HoldRule,
    careful: boolean,
  ): Promise<void> {
    const codeOf = (item: Item) => rule.codeOf(rows.kind, rows.nameOf(item), item.item);
    const held = rule.holdsAny ? items.filter(item => codeOf(item) !== undefined) : [];
    const rest = held.length === 0 ? items : items.filter(item => codeOf(item) === undefined);
    await rows.hold(held, item => codeOf(item)!);
    if (careful) return this.#careful.write(attempt, rows, rest);
    note(attempt.written, await rows.write(rest));
  }

  /** Writes what the batch does to holds. @returns its other entries, and the posts that count */
  async #holds({ connection, batch, written }: BatchAttempt): Promise<readonly RecordedEntry[]> {
    const { changed, ledger, leftOut } = (await planHolds(connection, [batch])).get(batch)!;
    await writeHolds(connection, changed);
    written.rows += changed.length;
    written.unheld = leftOut.length;
    written.reload.push(...leftOut.flatMap(liveFieldsOf));
    return ledger;
  }

  /**
   * The batch's entries that are to be written: without credits that have no right, and without those that are
   * in the ledger or in quarantine already.
   * @param ofLedger those that may go into the ledger
   * @param isWary whether to look for the latter in any case. Otherwise the ledger's unique key finds
   * duplicates, and a look is needed only if entries are in quarantine. An entry about to be held may be in
   * either, so it must be looked for
   */
  async #fresh(
    attempt: BatchAttempt,
    ofLedger: readonly RecordedEntry[],
    isWary: boolean,
  ): Promise<readonly RecordedEntry[]> {
    const { connection, batch, written } = attempt;
    const credits = ofLedger.filter(entry => creditedBy(entry) !== undefined);
    const rightful = await rightfulCredits(connection, credits);
    const left = new Set(credits.filter(credit => !rightful.has(credit)));
    for (const credit of left) leaveOut(written, credit);
    const entries = left.size === 0 ? ofLedger : ofLedger.filter(entry => !left.has(entry));
    if (entries.length === rightful.size) return entries;
    const { partition } = batch;
    if (!isWary && (await this.#entries.withQuarantined(connection, [partition])).size === 0) return entries;
    // Rows decide about credits, not ids.
    const others = rightful.size === 0 ? entries : entries.filter(entry => !rightful.has(entry));
    const found = await this.#entries.splitLate(connection, others);
    written.late = found.late.map(entry => entry.item);
    written.quarantinedBefore = found.quarantinedBefore;
    if (found.late.length === 0) return entries;
    const late = new Set(found.late);
    return entries.filter(entry => !late.has(entry));
  }
}
