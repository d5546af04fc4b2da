/**
 * The second attempt at a batch in which something failed. What a table knows it refuses is put aside first. Other rows are
 * bisected by table, with savepoints: rows to blame are put aside, and the rest is written.
 */
import type { PoolConnection } from 'mysql2/promise';
import type { RecordedEntry } from '../shared/record.ts';
import type { ValueTable, ValueTables } from '../shared/tables.ts';
import type { Batch, CounterSum } from './batch.ts';
import { bisect } from './bisect.ts';
import { RowFailure, withSavepoint } from './blame.ts';
import type { EntryWriter } from './entries.ts';
import type { Failures } from './failures.ts';
import { quarantine } from './quarantine.ts';

/** What an attempt wrote. */
export interface Written {
  /** Ledger rows. */
  entries: number;
  /** All rows that hold values or entries. */
  rows: number;
  refused: number;
  /** Items of entries that the ledger or the quarantine had already. */
  late: string[];
  /** How many of them the quarantine had. */
  quarantinedBefore: number;
  /** Kind and item of live values to read anew. */
  reload: string[];
  /** Tables that took rows. */
  took: Set<ValueTable>;
}

export class CarefulWriter {
  readonly #tables: ValueTables;
  readonly #entries: EntryWriter;
  readonly #failures: Failures;

  constructor(tables: ValueTables, entries: EntryWriter, failures: Failures) {
    this.#tables = tables;
    this.#entries = entries;
    this.#failures = failures;
  }

  /** @throws RowFailure if all rows of a table fail alike, or what the server threw */
  async counters(connection: PoolConnection, batch: Batch, written: Written): Promise<void> {
    const refuse = async (sum: CounterSum, error: unknown) => {
      written.refused++;
      const payload = JSON.stringify({ updates: sum.updates });
      const row = { kind: 'counter', ...sum, id: null, payload } as const;
      await quarantine(connection, batch.partition, batch.sequence, row, error);
    };
    for (const [table, sums] of Map.groupBy(batch.counters, sum => this.#tables.of('c', sum.name))) {
      const known = await table.refusals(connection, sums);
      for (const [sum, error] of known) await refuse(sum, error);
      const rest = sums.filter(sum => !known.has(sum));
      const add = (rows: readonly CounterSum[]) => table.add(connection, rows);
      const count = (rows: readonly CounterSum[]) => {
        written.rows += rows.length;
      };
      await this.#search(connection, batch, table, written.took, rest, add, count, refuse);
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
      await quarantine(connection, partition, sequence, row, error);
    };
    const known = await this.#entries.refusals(connection, fresh);
    for (const [entry, error] of known) await refuse(entry, error);
    const rest = fresh.filter(entry => !known.has(entry));
    for (const [table, group] of Map.groupBy(rest, entry => this.#tables.of('p', entry.program))) {
      const write = (rows: readonly RecordedEntry[]) =>
        this.#entries.write(connection, partition, sequence, rows, batch.entries);
      const count = (rows: readonly RecordedEntry[], { accounts }: { accounts: number }) => {
        written.entries += rows.length;
        written.rows += rows.length + accounts;
      };
      await this.#search(connection, batch, table, written.took, group, write, count, refuse);
    }
  }

  async #search<Item, Written>(
    connection: PoolConnection,
    batch: Batch,
    table: ValueTable,
    took: Set<ValueTable>,
    items: readonly Item[],
    write: (items: readonly Item[]) => Promise<Written>,
    count: (items: readonly Item[], written: Written) => void,
    refuse: (item: Item, error: unknown) => Promise<void>,
  ): Promise<void> {
    const doubtConflicts = this.#failures.doubtsConflicts(batch);
    const attempt = (part: readonly Item[]) =>
      withSavepoint(connection, batch.partition, doubtConflicts, () => write(part));
    try {
      await bisect(items, {
        attempt: async part => {
          count(part, await attempt(part));
          took.add(table);
        },
        trial: async item => {
          await attempt([item]);
          await connection.query('ROLLBACK TO SAVEPOINT attempt');
        },
        refuse,
        tookOthers: this.#failures.tookOthers(batch, table),
        failures: this.#failures.count(batch),
      });
    } catch (error) {
      if (error instanceof RowFailure) this.#failures.tableFailed(batch, table);
      throw error;
    }
  }
}
