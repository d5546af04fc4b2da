/**
 * An attempt at a batch that failed, or that has rows which failed lately. It first puts aside rows that their tables
 * are known to refuse. It searches the other rows for bad ones by table, with savepoints: rows to blame are put
 * aside, the rest is written. If a mapped table takes no row at all, its rows are held.
 */
import type { ValueTable } from '../shared/values/tables.ts';
import { isWholeTable, raiserOf, tableFailureCode } from '../shared/values/target-table.ts';
import { type BatchAttempt, type BatchRows, note, type RefusedRow } from './batch-rows.ts';
import { bisect, type Search } from './bisect.ts';
import { RowFailure, setSavepoint, sinceSavepoint } from './blame.ts';
import type { Failures } from './failures.ts';
import { refusalCode } from './quarantine.ts';
import type { Suspects } from './suspects.ts';
import type { TableHealth } from './table-health.ts';

/** @param error undefined for an update held behind another one of its key */
function heldCode(error: unknown): string {
  return error === undefined ? 'HELD_BEHIND' : tableFailureCode(error);
}

export class CarefulWriter {
  readonly #failures: Failures;
  readonly #health: TableHealth;
  readonly #suspects: Suspects;

  constructor(failures: Failures, health: TableHealth, suspects: Suspects) {
    this.#failures = failures;
    this.#health = health;
    this.#suspects = suspects;
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
    await rows.refuse([...known].map(([row, error]) => ({ row, code: refusalCode(error) })));
    const rest = items.filter(item => !known.has(item));
    for (const [table, some] of Map.groupBy(rest, item => rows.tableOf(item)))
      await this.#writeTo(attempt, rows, table, some);
  }

  async #writeTo<Item extends { readonly item: string }>(
    attempt: BatchAttempt,
    rows: BatchRows<Item>,
    table: ValueTable,
    items: readonly Item[],
  ): Promise<void> {
    const refused: RefusedRow<Item>[] = [];
    /** Keys for which the table fails as a whole. */
    const heldKeys = new Set<string>();
    const search = this.#search(attempt, rows, table, { refused, heldKeys });
    const [others, suspects] = this.#apart(rows.kind, items);
    try {
      await bisect(others, search, suspects);
      await rows.refuse(refused);
      const bad = new Set(refused.map(({ row }) => row.item));
      for (const { item } of suspects) if (!bad.has(item)) this.#suspects.passed(rows.kind, item);
    } catch (error) {
      if (!(error instanceof RowFailure)) throw error;
      const raiser = raiserOf(error.cause);
      if (!raiser) {
        this.#failures.tableFailed(attempt.batch, table);
        throw error;
      }
      // Bisecting gives up before any row has passed.
      this.#health.failed(raiser, error.cause);
      await rows.refuse(refused);
      const aside = new Set(refused.map(({ row }) => row));
      await rows.hold(
        items.filter(item => !aside.has(item)),
        () => heldCode(error.cause),
      );
    }
  }

  /** Separates suspects from the others, by key: so the updates of a key keep their order. */
  #apart<Item extends { readonly item: string }>(
    kind: BatchRows<Item>['kind'],
    items: readonly Item[],
  ): [others: readonly Item[], suspects: readonly Item[]] {
    if (this.#suspects.isEmpty) return [items, []];
    const groups = Map.groupBy(items, ({ item }) => this.#suspects.has(kind, item));
    return [groups.get(false) ?? [], groups.get(true) ?? []];
  }

  #search<Item extends { readonly item: string }>(
    { connection, batch, written }: BatchAttempt,
    rows: BatchRows<Item>,
    table: ValueTable,
    { refused, heldKeys }: { readonly refused: RefusedRow<Item>[]; readonly heldKeys: Set<string> },
  ): Search<Item> {
    const doubtConflicts = this.#failures.doubtsConflicts(batch);
    // Whether nothing was written since the savepoint: an attempt that fails returns there, and the next one is
    // spared a statement.
    let isSet = false;
    const write = async (part: readonly Item[]) => {
      if (!isSet) await setSavepoint(connection);
      isSet = true;
      const wrote = await sinceSavepoint(connection, batch.partition, doubtConflicts, () => rows.write(part));
      isSet = false;
      return wrote;
    };
    const hold = async (part: readonly Item[], error: unknown) => {
      isSet = false;
      await rows.hold(part, () => heldCode(error));
    };
    return {
      attempt: async part => {
        const behind = part.filter(({ item }) => heldKeys.has(item));
        const free = behind.length === 0 ? part : part.filter(item => !behind.includes(item));
        if (free.length > 0) note(written, await write(free));
        if (behind.length > 0) await hold(behind, undefined);
      },
      trial: async item => {
        await write([item]);
        await connection.query('ROLLBACK TO SAVEPOINT attempt');
        isSet = true;
      },
      refuse: async (row, error) => {
        if (!isWholeTable(error)) {
          this.#suspects.refused(rows.kind, row.item);
          refused.push({ row, code: refusalCode(error) });
          return;
        }
        // The table takes other rows: only this key has to wait for it.
        heldKeys.add(row.item);
        await hold([row], error);
      },
      tookOthers: this.#failures.tookOthers(batch, table),
      failures: this.#failures.count(batch),
    };
  }
}
