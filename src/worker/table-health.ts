/**
 * Which mapped tables this process has found not to take rows. Flushes put the updates of such a table aside, without a
 * statement that would fail or wait, until somebody finds that it takes rows again (release.ts).
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
  readonly #failing = new Map<ValueTable, unknown>();
  /** Tables of whose failure a line was written, and not yet of their return. */
  readonly #told = new Set<ValueTable>();
  readonly #took = new Map<ValueTable, number>();
  /** Whether rows may be held: then somebody has to look for them. */
  mayHold = true;

  constructor(log?: Logger) {
    this.#log = log;
  }

  /** What keeps the table from taking rows; undefined if nothing is known to. */
  problem(table: ValueTable): unknown {
    return this.#failing.get(table);
  }

  /** Tables that take no rows. */
  get failing(): ValueTable[] {
    return [...this.#failing.keys()];
  }

  /**
   * Notes that a mapped table takes no row as it is, if the error says so and nobody has to look for rows to blame.
   * One lock wait is enough: it held up the partition for `lockWaitSeconds` already, and who is wrong about it only writes
   * the updates a second later.
   * @returns whether that is news, so that the same batch passes if it holds the table's updates
   */
  noteFailure(error: unknown): boolean {
    const table = raiserOf(error);
    if (!table || this.#failing.has(table) || !isTableFailure(error)) return false;
    this.failed(table, error);
    return true;
  }

  /** All rows of the table failed, whatever the error's number says. */
  failed(table: TargetTable, error: unknown): void {
    this.#failing.set(table, error);
    this.mayHold = true;
    if (this.#told.has(table)) return;
    this.#told.add(table);
    this.#log?.error(
      { ...about(table), code: tableFailureCode(error), err: error },
      'a mapped table does not take updates: they are held, everything else is written; mend the table, or let its change end, and they are written by themselves',
    );
  }

  /** The table takes rows: flushes write to it again. What is held may still be on its way. */
  works(table: ValueTable): void {
    this.#failing.delete(table);
  }

  /** Nothing of the table is held any more. @param released updates that this process wrote */
  settled(table: TargetTable, released: number): void {
    this.works(table);
    if (!this.#told.delete(table)) return;
    this.#log?.info(
      { ...about(table), released },
      'a mapped table takes updates again: those held are written',
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
