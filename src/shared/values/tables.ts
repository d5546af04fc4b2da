/**
 * Tables of values: Sluice's own, or a column of a user's table. A table adds sums by name and key, or keeps one of two
 * values. The store refuses rows that a table does not take.
 */
import type { PoolConnection } from 'mysql2/promise';
import type { Target } from '../config/target.ts';
import { isValueKind, itemOf, type Kind, ROW_KINDS } from '../item.ts';
import { LIMITS } from '../limits.ts';
import { type Database, fillSql, queryRows, readSql } from '../mysql/database.ts';
import { jsonParts, sortedJson } from '../mysql/statement-size.ts';
import { heldSql } from './held-sql.ts';
import { quarantinedSql, replacesSql } from './kept-sql.ts';
import type { RefusedValueError } from './refusal.ts';

/** A sum to add to one value, or a value to put. */
export interface Addition {
  readonly name: string;
  readonly key: string;
  readonly amount: number;
  /** Only a value to put has one; see `KeptValue`. */
  readonly version?: number | undefined;
}

export type ValueKey = Pick<Addition, 'name' | 'key'>;

/** Rows that hold values. */
export interface ValueRows {
  /** Values by item. Called after `add` in the same transaction, while its row locks keep them unchanged. */
  values(connection: PoolConnection, rows: readonly ValueKey[]): Promise<Map<string, number>>;
  /**
   * Adds the sums, or keeps one value of each pair, with as many statements as their bytes need, in the order of the keys: neighbours in the
   * index are written together, and two writers cannot deadlock. After an error some statements may have been
   * executed: the caller rolls back to a savepoint or its transaction.
   * @throws RefusedValueError, or what MySQL threw
   */
  add(connection: PoolConnection, rows: readonly Addition[]): Promise<void>;
  /** Rows that `add` would certainly refuse, so that bisecting need not find them. May lock the others. */
  refusals<Row extends Addition>(
    connection: PoolConnection,
    rows: readonly Row[],
  ): Promise<Map<Row, RefusedValueError>>;
  /**
   * Statement of cold reads. It reads values, quarantined sums and the watermark in one snapshot.
   * Parameters: JSON of the keys' `readRow`, partition. Rows: name, item_key, value, quarantined, sequence,
   * token, epoch; for sums also held, for kept values version and isChanged.
   */
  readonly read: string;
  /**
   * A page of the keys of a counter or value, or accounts of a program, that have a row, in the order of the table's index.
   * A mapped table returns every row whose key an update could name, whether Sluice updated it or not.
   * @param after where the page before ended; '' for the first page
   */
  page(database: Database, name: string, pageSize: number, after: string): Promise<KeyPage>;
}

export interface KeyPage {
  readonly keys: string[];
  /** Where the page ended; '' if there are no more keys. */
  readonly end: string;
}

/** All keys of a counter or accounts of a program that have a row, in pages. */
export async function* allKeys(
  table: Pick<ValueRows, 'page'>,
  database: Database,
  name: string,
  pageSize: number,
): AsyncGenerator<string[]> {
  for (let after = ''; ; ) {
    const { keys, end } = await table.page(database, name, pageSize, after);
    yield keys;
    if (end === '') return;
    after = end;
  }
}

/** A table of values. The owner of a mapped table may change it at any time. */
export interface ValueTable extends ValueRows {
  /** A key as a JSON row of `read`. */
  readRow(key: ValueKey): unknown[];
  /** Called before a read. Checks a table that did not fit again, now and then. @throws what mysql2 threw */
  ready(database: Database): Promise<void>;
  /** Checks the table again: it may have been changed or repaired. @throws what mysql2 threw */
  recheck(database: Database): Promise<void>;
  /** Turns an error of a read into the one that callers get. */
  explained(error: unknown, database: Database): unknown;
}

/** The table of each counter, program and value. */
export interface ValueTables {
  of(kind: Kind, name: string): ValueTable;
  /**
   * The mapping of a name; undefined if its table is Sluice's own. Other programs may write a mapped value,
   * so it can differ from the sum of the ledger and from a live value that was loaded before.
   */
  mapped(kind: Kind, name: string): Target | undefined;
  /** Lowest balance that a debit may lead to; undefined if the program is not defined in this process. */
  floor(program: string): number | undefined;
}

const SQL = {
  add: readSql(new URL('./sql/own-add.sql', import.meta.url)),
  values: readSql(new URL('./sql/own-values.sql', import.meta.url)),
  read: readSql(new URL('./sql/own-read.sql', import.meta.url)),
  keys: readSql(new URL('./sql/own-keys.sql', import.meta.url)),
};
const KEPT_SQL = {
  ...SQL,
  add: readSql(new URL('./sql/own-keep.sql', import.meta.url)),
  read: readSql(new URL('./sql/own-read-kept.sql', import.meta.url)),
};
const KEPT = { table: 'sluice_values', name: 'name', key: 'value_key', value: 'value', length: LIMITS.key };
/** Names that differ between the tables. */
const PARTS = {
  c: { table: 'sluice_counters', name: 'counter', key: 'counter_key', value: 'value', length: LIMITS.key },
  p: { table: 'sluice_accounts', name: 'program', key: 'account', value: 'balance', length: LIMITS.account },
  '>': KEPT,
  '<': KEPT,
  '=': KEPT,
};

/** `sluice_counters`, `sluice_accounts` or `sluice_values`. */
export class OwnTable implements ValueTable {
  readonly read: string;
  /** The statements of this table. */
  readonly sql: typeof SQL;

  constructor(kind: Kind) {
    const parts = { ...PARTS[kind], kind: ROW_KINDS[kind] };
    this.sql = isValueKind(kind)
      ? fillSql(KEPT_SQL, {
          ...parts,
          replaces: replacesSql(kind, `${parts.table}.value`, `${parts.table}.version`),
          quarantined: quarantinedSql(kind),
        })
      : fillSql(SQL, { ...parts, held: heldSql(kind) });
    this.read = this.sql.read;
  }

  readRow({ name, key }: ValueKey): unknown[] {
    return [name, key];
  }

  async values(connection: PoolConnection, rows: readonly ValueKey[]): Promise<Map<string, number>> {
    const values = new Map<string, number>();
    for (const { json } of jsonParts(connection, rows, row => this.readRow(row)))
      for (const row of await queryRows(connection, this.sql.values, [json]))
        values.set(itemOf(String(row.name), String(row.item_key)), Number(row.value));
    return values;
  }

  async add(connection: PoolConnection, rows: readonly Addition[]): Promise<void> {
    for (const json of sortedJson(connection, rows, row => [row.name, row.key, row.amount, row.version]))
      await connection.query(this.sql.add, [json]);
  }

  /** None: the tables take every key, and other refusals only show on writing. */
  async refusals<Row extends Addition>(): Promise<Map<Row, RefusedValueError>> {
    return new Map();
  }

  async page(database: Database, name: string, pageSize: number, after: string): Promise<KeyPage> {
    const last = after === '' ? null : Buffer.from(after);
    const rows = await database.query(this.sql.keys, [Buffer.from(name), last, last, pageSize]);
    const keys = rows.map(row => String(row.item_key));
    return { keys, end: rows.length < pageSize ? '' : keys.at(-1)! };
  }

  async ready(): Promise<void> {}

  async recheck(): Promise<void> {}

  explained(error: unknown): unknown {
    return error;
  }
}
