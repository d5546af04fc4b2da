/**
 * Writes the rows of a batch inside the store's transaction: counters, entries, amendments. What waits for a mapped table is
 * held. The first time it writes everything at once, the second time carefully (careful.ts).
 */
import type { PoolConnection } from 'mysql2/promise';
import type { RecordedEntry } from '../shared/record.ts';
import type { ValueTables } from '../shared/tables.ts';
import { AmendmentWriter } from './amendments.ts';
import type { Batch, CounterSum } from './batch.ts';
import { blame } from './blame.ts';
import { CarefulWriter, type Written } from './careful.ts';
import { EntryWriter } from './entries.ts';
import type { Failures } from './failures.ts';
import { FloorWatch } from './floors.ts';
import { HeldUpdates, type Waiting } from './held.ts';
import { checkLengths } from './lengths.ts';
import type { TableHealth } from './table-health.ts';

export class BatchWriter {
  readonly #tables: ValueTables;
  readonly #failures: Failures;
  readonly #entries: EntryWriter;
  readonly #held: HeldUpdates;
  readonly #careful: CarefulWriter;
  readonly #amendments: AmendmentWriter;

  constructor(tables: ValueTables, failures: Failures, health: TableHealth) {
    this.#tables = tables;
    this.#failures = failures;
    this.#entries = new EntryWriter(tables);
    this.#held = new HeldUpdates(tables, health);
    this.#careful = new CarefulWriter(tables, this.#entries, failures, this.#held, health);
    this.#amendments = new AmendmentWriter(tables, this.#entries, this.#held, health);
  }

  /**
   * @param mayHold what the watermark's row says of held updates
   * @throws RowFailure if rows may be to blame, TextTooLongError, or what the server threw
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
      floors: new FloorWatch(this.#tables),
    };
    try {
      const waiting = await this.#held.waiting(connection, batch, mayHold);
      await this.#writeCounters(connection, batch, waiting, careful, written);
      await this.#writeEntries(connection, batch, waiting, careful, written);
      const doubtConflicts = careful && this.#failures.doubtsConflicts(batch);
      written.reload = await this.#amendments.write(connection, batch, careful, doubtConflicts);
    } catch (error) {
      // The careful attempt knows already.
      throw careful ? error : await blame(connection, batch.partition, error);
    }
    return written;
  }

  async #writeCounters(
    connection: PoolConnection,
    batch: Batch,
    waiting: Waiting,
    careful: boolean,
    written: Written,
  ): Promise<void> {
    const codeOf = ({ name, item }: CounterSum) => waiting.codeOf('counter', name, item);
    const [held, sums] = parted(batch.counters, waiting, codeOf);
    await this.#held.counters(connection, batch, held, sum => codeOf(sum)!);
    written.held += held.length;
    if (careful) return this.#careful.counters(connection, batch, written, sums);
    for (const [table, some] of Map.groupBy(sums, sum => this.#tables.of('c', sum.name))) {
      await table.add(connection, some);
      written.took.add(table);
    }
    written.rows += sums.length;
  }

  async #writeEntries(
    connection: PoolConnection,
    batch: Batch,
    waiting: Waiting,
    careful: boolean,
    written: Written,
  ): Promise<void> {
    const { partition, sequence, entries } = batch;
    if (entries.length === 0) return;
    // The ledger's unique key finds what is in the ledger; what waits in quarantine has to be looked for. An entry that is
    // held now may be in either.
    const isWary = careful || waiting.isAny || (await this.#entries.hasQuarantined(connection, partition));
    const split = isWary
      ? await this.#entries.splitLate(connection, entries)
      : { late: [], fresh: entries, quarantinedBefore: 0 };
    written.late = split.late.map(entry => entry.item);
    written.quarantinedBefore = split.quarantinedBefore;
    const codeOf = ({ program, item }: RecordedEntry) => waiting.codeOf('entry', program, item);
    const [held, fresh] = parted(split.fresh, waiting, codeOf);
    await this.#held.entries(connection, batch, held, entry => codeOf(entry)!);
    written.held += held.length;
    if (careful) return this.#careful.entries(connection, batch, written, fresh);
    const accounts = await this.#entries.write(
      connection,
      partition,
      sequence,
      fresh,
      entries,
      written.floors,
    );
    written.entries += fresh.length;
    written.rows += fresh.length + accounts;
    for (const { program } of fresh) written.took.add(this.#tables.of('p', program));
  }
}

/** Items that have to wait, and the others. */
function parted<Item>(
  items: readonly Item[],
  { isAny }: Waiting,
  codeOf: (item: Item) => string | undefined,
): [held: readonly Item[], rest: readonly Item[]] {
  if (!isAny) return [[], items];
  const held = items.filter(item => codeOf(item) !== undefined);
  return [held, held.length === 0 ? items : items.filter(item => codeOf(item) === undefined)];
}
