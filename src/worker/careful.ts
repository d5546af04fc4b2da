/**
 * The second attempt at a failed batch. It first puts aside rows that their tables are known to refuse. It
 * bisects the other rows by table, with savepoints: rows to blame are put aside, the rest is written. If a
 * mapped table takes no row at all, its rows are held.
 */
import type { ValueTable } from '../shared/values/tables.ts';
import { isWholeTable, raiserOf, tableFailureCode } from '../shared/values/target-table.ts';
import { type BatchAttempt, type BatchRows, note } from './batch-rows.ts';
import { bisect } from './bisect.ts';
import { RowFailure, withSavepoint } from './blame.ts';
import type { Failures } from './failures.ts';
import { refusalCode } from './quarantine.ts';
import type { TableHealth } from './table-health.ts';

/** @param error undefined for an update held behind another one of its key */
function heldCode(error: unknown): string {
  return error === undefined ? 'HELD_BEHIND' : tableFailureCode(error);
}

export class CarefulWriter {
  readonly #failures: Failures;
  readonly #health: TableHealth;

  constructor(failures: Failures, health: TableHealth) {
    this.#failures = failures;
    this.#health = health;
  }

  /**
   * @param items of one kind, without held ones and those in the ledger
   * @throws RowFailure if all rows of a table of Sluice fail alike, or the server's error
   */
  async write<Item extends { readonly item: string }>(
    attempt: BatchAttempt,
    rows: BatchRows<Item>,
    items: readonly Item[],
  ): Promise<void> {
    const known = await rows.refusals(items);
    for (const [item, error] of known) await rows.refuse(item, refusalCode(error));
    const rest = items.filter(item => !known.has(item));
    for (const [table, some] of Map.groupBy(rest, item => rows.tableOf(item)))
      await this.#search(attempt, rows, table, some);
  }

  async #search<Item extends { readonly item: string }>(
    attempt: BatchAttempt,
    rows: BatchRows<Item>,
    table: ValueTable,
    items: readonly Item[],
  ): Promise<void> {
    const { connection, batch, written } = attempt;
    const doubtConflicts = this.#failures.doubtsConflicts(batch);
    const write = (part: readonly Item[]) =>
      withSavepoint(connection, batch.partition, doubtConflicts, () => rows.write(part));
    const hold = (part: readonly Item[], error: unknown) => rows.hold(part, () => heldCode(error));
    const aside = new Set<Item>();
    const heldKeys = new Set<string>();
    try {
      await bisect(items, {
        attempt: async part => {
          const behind = part.filter(({ item }) => heldKeys.has(item));
          const free = behind.length === 0 ? part : part.filter(item => !behind.includes(item));
          if (free.length > 0) note(written, await write(free));
          if (behind.length > 0) await hold(behind, undefined);
        },
        trial: async item => {
          await write([item]);
          await connection.query('ROLLBACK TO SAVEPOINT attempt');
        },
        refuse: async (item, error) => {
          aside.add(item);
          if (!isWholeTable(error)) return rows.refuse(item, refusalCode(error));
          // The table takes other rows: only this key has to wait for it.
          heldKeys.add(item.item);
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
