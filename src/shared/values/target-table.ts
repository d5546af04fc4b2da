/**
 * The current state of a mapped table. Its owner may alter, drop or lock it at any time. So its catalogue is
 * read again after a failure, and its errors are attributed to it: only its own updates wait.
 */
import type { PoolConnection } from 'mysql2/promise';
import { hasListKeys, keyColumnsOf, shownTarget, type Target } from '../config/target.ts';
import { DatabaseUnsuitableError, TableUnusableError } from '../errors.ts';
import { type Kind, ownerOf } from '../item.ts';
import type { Database } from '../mysql/database.ts';
import { databaseErrorCode, isLockWait, isServerError, tableTrouble } from '../mysql/errors.ts';
import { keyJson } from './key-sql.ts';
import { MappedTable } from './mapped-table.ts';
import type { RefusedValueError } from './refusal.ts';
import type { Addition, KeyPage, ValueKey, ValueTable } from './tables.ts';
import { type CheckedTarget, checkTarget } from './target-check.ts';

const raisers = new WeakMap<object, TargetTable>();
/** Reads check the catalogue at most this often, ms. */
const RECHECK_MS = 500;

/** The mapped table that raised the error; undefined if none did. */
export function raiserOf(error: unknown): TargetTable | undefined {
  return typeof error === 'object' && error !== null ? raisers.get(error) : undefined;
}

/** Whether a mapped table raised the error, and the table takes no rows now. */
export function isTableFailure(error: unknown): boolean {
  return (
    raiserOf(error) !== undefined &&
    (error instanceof DatabaseUnsuitableError || tableTrouble(error) !== undefined || isLockWait(error))
  );
}

/** Whether a mapped table raised the error, and no single row can be to blame. */
export function isWholeTable(error: unknown): boolean {
  return raiserOf(error) !== undefined && tableTrouble(error) === 'whole';
}

/** Error code of a table's failure, for quarantine and metrics. */
export function tableFailureCode(error: unknown): string {
  return error instanceof DatabaseUnsuitableError ? 'TARGET_UNSUITABLE' : databaseErrorCode(error);
}

export class TargetTable implements ValueTable {
  readonly kind: Kind;
  readonly name: string;
  readonly target: Target;
  /** Number of key columns; undefined if keys are texts. */
  readonly #parts: number | undefined;
  #table: MappedTable | undefined;
  #problem: unknown;
  #recheckedAt = Number.NEGATIVE_INFINITY;

  constructor(kind: Kind, name: string, target: Target, checked: CheckedTarget | DatabaseUnsuitableError) {
    this.kind = kind;
    this.name = name;
    this.target = target;
    this.#parts = hasListKeys(target) ? keyColumnsOf(target).length : undefined;
    if (checked instanceof DatabaseUnsuitableError) this.#problem = checked;
    else this.#table = new MappedTable(kind, checked);
  }

  /** Whether the table fitted when its catalogue was read last. */
  get fits(): boolean {
    return this.#table !== undefined;
  }

  /** `counter "views"`, for messages. */
  get owner(): string {
    return ownerOf(this.kind, this.name);
  }

  /** @throws DatabaseUnsuitableError if the table did not fit when its catalogue was read last */
  get read(): string {
    return this.#fitting().read;
  }

  readRow({ name, key }: ValueKey): unknown[] {
    return [name, ...keyJson(key, this.#parts)];
  }

  values(connection: PoolConnection, rows: readonly ValueKey[]) {
    return this.use(() => this.#fitting().values(connection, rows));
  }

  add(connection: PoolConnection, rows: readonly Addition[]): Promise<void> {
    return this.use(() => this.#fitting().add(connection, rows));
  }

  refusals<Row extends Addition>(
    connection: PoolConnection,
    rows: readonly Row[],
  ): Promise<Map<Row, RefusedValueError>> {
    return this.use(() => this.#fitting().refusals(connection, rows));
  }

  /** @throws TableUnusableError, or what MySQL threw */
  async page(database: Database, name: string, pageSize: number, after: string): Promise<KeyPage> {
    try {
      await this.ready(database);
      return await this.#fitting().page(database, name, pageSize, after);
    } catch (error) {
      throw this.explained(error, database);
    }
  }

  /** Attributes an error of `use` to this table. */
  async use<Result>(use: () => Promise<Result>): Promise<Result> {
    try {
      return await use();
    } catch (error) {
      if (error instanceof DatabaseUnsuitableError || isServerError(error))
        raisers.set(error as object, this);
      throw error;
    }
  }

  /**
   * Reads the catalogue again: the table may have another index or type now. A table that does not fit is not
   * used.
   * @throws what mysql2 threw
   */
  async recheck(database: Database): Promise<void> {
    this.#recheckedAt = performance.now();
    try {
      const checked = await database.session(connection =>
        checkTarget(connection, this.kind, this.name, this.target),
      );
      this.#table = new MappedTable(this.kind, checked);
      this.#problem = undefined;
    } catch (error) {
      if (!(error instanceof DatabaseUnsuitableError)) throw error;
      this.#table = undefined;
      this.#problem = error;
    }
  }

  /** Reads the catalogue again, now and then, if the table did not fit. @throws what mysql2 threw */
  async ready(database: Database): Promise<void> {
    if (!this.fits && this.#isDue()) await this.recheck(database);
  }

  #isDue(): boolean {
    return performance.now() - this.#recheckedAt >= RECHECK_MS;
  }

  /** Turns an error of a read into the one that callers get. Reads the catalogue again for later reads. */
  explained(error: unknown, database: Database): unknown {
    const isUnsuitable = error instanceof DatabaseUnsuitableError;
    if (!isUnsuitable && tableTrouble(error) === undefined && !isLockWait(error)) return error;
    if (this.#isDue()) this.recheck(database).catch(() => {});
    // Without the mapping, which the new message names itself.
    const problem = isUnsuitable && error.message.replace(/^.* cannot be mapped to .*?\): (.*)\.$/s, '$1');
    const reason = problem || ((error as Error).message ?? databaseErrorCode(error));
    return new TableUnusableError(this.owner, shownTarget(this.target), reason, { cause: error });
  }

  #fitting(): MappedTable {
    if (!this.#table) throw this.#problem;
    return this.#table;
  }
}
