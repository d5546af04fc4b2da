/**
 * The second attempt at a batch in which something failed. What a table knows it refuses is put aside first. Other rows are
 * bisected by table, with savepoints: rows to blame are put aside, and the rest is written. If a mapped table takes no row at
 * all, its rows are held.
 */
import type { PoolConnection } from 'mysql2/promise';
import type { RecordedEntry } from '../shared/record.ts';
import type { ValueTable, ValueTables } from '../shared/tables.ts';
import { isWholeTable, raiserOf, tableFailureCode } from '../shared/target-table.ts';
import type { Batch, CounterSum } from './batch.ts';
import { bisect } from './bisect.ts';
import { RowFailure, withSavepoint } from './blame.ts';
import type { EntryWriter } from './entries.ts';
import type { Failures } from './failures.ts';
import type { FloorWatch } from './floors.ts';
import type { HeldUpdates } from './held.ts';
import { quarantine, refusalCode } from './quarantine.ts';
import type { TableHealth } from './table-health.ts';

/** What an attempt wrote. */
export interface Written {
  /** Ledger rows. */
  entries: number;
  /** All rows that hold values or entries. */
  rows: number;
  refused: number;
  /** Updates put aside that wait for their mapped table. */
  held: number;
  /** Items of entries that the ledger or the quarantine had already. */
  late: string[];
  /** How many of them the quarantine had. */
  quarantinedBefore: number;
  /** Kind and item of live values to read anew. */
  reload: string[];
  /** Tables that took rows. */
  took: Set<ValueTable>;
  readonly floors: FloorWatch;
}

/** An update that is held behind another one of its key has no error of its own. */
function heldCode(error: unknown): string {
  return error === undefined ? 'HELD_BEHIND' : tableFailureCode(error);
}

/** How the rows of one table are written, and put aside. */
interface Rows<Item, Done> {
  readonly write: (items: readonly Item[]) => Promise<Done>;
  readonly count: (items: readonly Item[], done: Done) => void;
  readonly refuse: (item: Item, error: unknown) => Promise<void>;
  readonly hold: (items: readonly Item[], error: unknown) => Promise<void>;
  /** Names the key of an item. Items of one key are written in their order. */
  readonly keyOf: (item: Item) => string;
}

export class CarefulWriter {
  readonly #tables: ValueTables;
  readonly #entries: EntryWriter;
  readonly #failures: Failures;
  readonly #held: HeldUpdates;
  readonly #health: TableHealth;

  constructor(
    tables: ValueTables,
    entries: EntryWriter,
    failures: Failures,
    held: HeldUpdates,
    health: TableHealth,
  ) {
    this.#tables = tables;
    this.#entries = entries;
    this.#failures = failures;
    this.#held = held;
    this.#health = health;
  }

  /** @throws RowFailure if all rows of a table of Sluice fail alike, or what the server threw */
  async counters(
    connection: PoolConnection,
    batch: Batch,
    written: Written,
    counters: readonly CounterSum[],
  ): Promise<void> {
    const { partition, sequence } = batch;
    const refuse = async (sum: CounterSum, error: unknown) => {
      written.refused++;
      const payload = JSON.stringify({ updates: sum.updates });
      const row = { kind: 'counter', ...sum, id: null, payload } as const;
      await quarantine(connection, partition, sequence, row, refusalCode(error), 'refused');
    };
    const hold = async (sums: readonly CounterSum[], error: unknown) => {
      written.held += sums.length;
      await this.#held.counters(connection, batch, sums, () => heldCode(error));
    };
    for (const [table, sums] of Map.groupBy(counters, sum => this.#tables.of('c', sum.name))) {
      const known = await table.refusals(connection, sums);
      for (const [sum, error] of known) await refuse(sum, error);
      const rest = sums.filter(sum => !known.has(sum));
      const write = (rows: readonly CounterSum[]) => table.add(connection, rows);
      const count = (rows: readonly CounterSum[]) => {
        written.rows += rows.length;
      };
      await this.#search(connection, batch, table, written.took, rest, {
        write,
        count,
        refuse,
        hold,
        keyOf: sum => sum.item,
      });
    }
  }

  /** @param fresh entries of the batch that the ledger does not have */
  async entries(
    connection: PoolConnection,
    batch: Batch,
    written: Written,
    fresh: readonly RecordedEntry[],
  ): Promise<void> {
    const { partition, sequence } = batch;
    const refuse = async (entry: RecordedEntry, error: unknown) => {
      written.refused++;
      const { program, account, amount, id, payload } = entry;
      const row = { kind: 'entry', name: program, key: account, amount, id, payload } as const;
      await quarantine(connection, partition, sequence, row, refusalCode(error), 'refused');
    };
    const hold = async (entries: readonly RecordedEntry[], error: unknown) => {
      written.held += entries.length;
      await this.#held.entries(connection, batch, entries, () => heldCode(error));
    };
    const known = await this.#entries.refusals(connection, fresh);
    for (const [entry, error] of known) await refuse(entry, error);
    const rest = fresh.filter(entry => !known.has(entry));
    for (const [table, group] of Map.groupBy(rest, entry => this.#tables.of('p', entry.program))) {
      const write = (rows: readonly RecordedEntry[]) =>
        this.#entries.write(connection, partition, sequence, rows, batch.entries, written.floors);
      const count = (rows: readonly RecordedEntry[], accounts: number) => {
        written.entries += rows.length;
        written.rows += rows.length + accounts;
      };
      await this.#search(connection, batch, table, written.took, group, {
        write,
        count,
        refuse,
        hold,
        keyOf: entry => entry.item,
      });
    }
  }

  async #search<Item, Done>(
    connection: PoolConnection,
    batch: Batch,
    table: ValueTable,
    took: Set<ValueTable>,
    items: readonly Item[],
    { write, count, refuse, hold, keyOf }: Rows<Item, Done>,
  ): Promise<void> {
    const doubtConflicts = this.#failures.doubtsConflicts(batch);
    const attempt = (part: readonly Item[]) =>
      withSavepoint(connection, batch.partition, doubtConflicts, () => write(part));
    const aside = new Set<Item>();
    const heldKeys = new Set<string>();
    try {
      await bisect(items, {
        attempt: async part => {
          const behind = part.filter(item => heldKeys.has(keyOf(item)));
          const free = behind.length === 0 ? part : part.filter(item => !behind.includes(item));
          if (free.length > 0) {
            count(free, await attempt(free));
            took.add(table);
          }
          if (behind.length > 0) await hold(behind, undefined);
        },
        trial: async item => {
          await attempt([item]);
          await connection.query('ROLLBACK TO SAVEPOINT attempt');
        },
        refuse: async (item, error) => {
          aside.add(item);
          if (!isWholeTable(error)) return refuse(item, error);
          // The table takes others: only this key has to wait for it.
          heldKeys.add(keyOf(item));
          await hold([item], error);
        },
        tookOthers: this.#failures.tookOthers(batch, table),
        failures: this.#failures.count(batch),
      });
    } catch (error) {
      if (!(error instanceof RowFailure)) throw error;
      const raiser = raiserOf(error.cause);
      if (!raiser) {
        this.#failures.tableFailed(batch, table);
        throw error;
      }
      // Bisecting gives up before any row has passed.
      this.#health.failed(raiser, error.cause);
      const rest = items.filter(item => !aside.has(item));
      await hold(rest, error.cause);
    }
  }
}
