/**
 * The mapped tables that take no rows, as far as this process knows. Flushes hold their updates, without a
 * statement that would fail or wait, until a trial passes (releaser.ts).
 */
import type { Logger } from 'pino';
import { SHOWN_KINDS } from '../shared/item.ts';
import type { ValueTable } from '../shared/values/tables.ts';
import {
  isTableFailure,
  raiserOf,
  type TargetTable,
  tableFailureCode,
} from '../shared/values/target-table.ts';

export class TableHealth {
  readonly #log: Logger | undefined;
  readonly #failing = new Map<ValueTable, { error: unknown; at: number }>();
  /** Tables whose failure is in the log, and whose return is not. */
  readonly #logged = new Set<ValueTable>();
  readonly #took = new Map<ValueTable, number>();
  /** Whether rows may be held, so that the releaser looks often. */
  mayHold = true;

  constructor(log?: Logger) {
    this.#log = log;
  }

  /** The table's error; undefined if the table is not known to fail. */
  problem(table: ValueTable): unknown {
    return this.#failing.get(table)?.error;
  }

  /** Tables that take no rows. */
  get failing(): ValueTable[] {
    return [...this.#failing.keys()];
  }

  /** Whether a failure was noted after this moment, on the clock of `performance`, and not taken back. */
  failedAfter(table: ValueTable, moment: number): boolean {
    return (this.#failing.get(table)?.at ?? Number.NEGATIVE_INFINITY) > moment;
  }

  /**
   * Notes that a mapped table takes no rows, if the error alone says so. One lock wait is enough: the
   * partition waited `lockWaitSeconds` already, and after a wrong guess the updates are only written a second
   * later.
   * @returns whether the failure was not known: the same batch can pass if it holds the table's updates
   */
  noteFailure(error: unknown): boolean {
    const table = raiserOf(error);
    if (!table || this.#failing.has(table) || !isTableFailure(error)) return false;
    this.failed(table, error);
    return true;
  }

  /** All rows of the table failed, whatever the error. */
  failed(table: TargetTable, error: unknown): void {
    this.#failing.set(table, { error, at: performance.now() });
    this.mayHold = true;
    if (this.#logged.has(table)) return;
    this.#logged.add(table);
    this.#log?.error(
      { ...about(table), code: tableFailureCode(error), err: error },
      'a mapped table does not take updates: Sluice holds them and writes all others; repair the table, or let its ALTER end, and Sluice writes them',
    );
  }

  /** The table takes rows: flushes write to it again. Held updates may still wait. */
  works(table: ValueTable): void {
    this.#failing.delete(table);
  }

  /** No update of the table is held any more. @param released rows that this process wrote */
  released(table: TargetTable, released: number): void {
    this.works(table);
    if (!this.#logged.delete(table)) return;
    this.#log?.info(
      { ...about(table), released },
      'a mapped table takes updates again: all held ones are written',
    );
  }

  /** Rows of these tables were committed. */
  took(tables: Iterable<ValueTable>): void {
    for (const table of tables) this.#took.set(table, performance.now());
  }

  /** Whether rows of the table were committed after this moment, on the clock of `performance`. */
  tookSince(table: ValueTable, moment: number): boolean {
    return (this.#took.get(table) ?? Number.NEGATIVE_INFINITY) > moment;
  }
}

function about({ kind, name, target }: TargetTable) {
  const { table, key, column } = target;
  return { kind: SHOWN_KINDS[kind], name, table, key, column };
}
