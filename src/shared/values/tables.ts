/**
 * Where values go: Sluice's own tables, or a column of the user's own table. A table takes sums by name and key;
 * what it cannot take is refused row by row, by the store.
 */
import type { PoolConnection } from 'mysql2/promise';
import type { Target } from '../config/definitions.ts';
import { itemOf, type Kind, ROW_KINDS } from '../item.ts';
import { LIMITS } from '../limits.ts';
import { type Database, fillSql, queryRows, readSql } from '../mysql/database.ts';
import { jsonParts } from '../mysql/statement-size.ts';
import type { RefusedValueError } from './refusal.ts';

/** A sum to add to one value. */
export interface Addition {
  readonly name: string;
  readonly key: string;
  readonly amount: number;
}

export type ValueKey = Pick<Addition, 'name' | 'key'>;

/** Rows that hold values. */
export interface ValueRows {
  /** Values by item, right after `add` in the same transaction, whose row locks keep them still. */
  values(connection: PoolConnection, rows: readonly ValueKey[]): Promise<Map<string, number>>;
  /**
   * Adds the sums, by as many statements as their bytes need. When it throws, the first of them may have been carried
   * out: the caller undoes them by a savepoint, or with its transaction.
   * @throws RefusedValueError, or what MySQL threw
   */
  add(connection: PoolConnection, rows: readonly Addition[]): Promise<void>;
  /**
   * Rows that `add` would refuse, as far as that can be told without trying: then they need not be found by bisecting.
   * The others' rows are locked, where they exist.
   */
  refusals<Row extends Addition>(
    connection: PoolConnection,
    rows: readonly Row[],
  ): Promise<Map<Row, RefusedValueError>>;
  /**
   * Reads values for cold reads: one statement, so that values, quarantined sums and watermark belong together.
   * Parameters: JSON rows [name, key], partition. Rows: name, item_key, value, quarantined, sequence, token, epoch.
   */
  readonly read: string;
  /**
   * All keys of a counter or accounts of a program that have a row, in pages, in the order of the table's index. Of a
   * mapped table that is every row of the user's whose key Sluice could have been given, updated by Sluice or not.
   */
  keys(database: Database, name: string, pageSize: number): AsyncGenerator<string[]>;
}

/** A table of values, whose owner may be somebody else and change it at any time. */
export interface ValueTable extends ValueRows {
  /**
   * Called before a read: looks at the table again, now and then, if it did not fit.
   * @throws what mysql2 threw
   */
  ready(database: Database): Promise<void>;
  /** Looks at the table again: it may have been changed or mended. @throws what mysql2 threw */
  recheck(database: Database): Promise<void>;
  /** An error of a read, as callers get it. */
  explained(error: unknown, database: Database): unknown;
}

/** The tables of all names: which one a counter or program uses. */
export interface ValueTables {
  of(kind: Kind, name: string): ValueTable;
  /**
   * Where the values go if not into a table of Sluice: then others may write the value too, so that it can differ from
   * the sum of the ledger, and from a live value that was loaded before.
   */
  mapped(kind: Kind, name: string): Target | undefined;
  /** Lowest balance that a debit of the program may lead to; undefined if the program is not defined here. */
  floor(program: string): number | undefined;
}

const SQL = {
  add: readSql(new URL('./sql/own-add.sql', import.meta.url)),
  values: readSql(new URL('./sql/own-values.sql', import.meta.url)),
  read: readSql(new URL('./sql/own-read.sql', import.meta.url)),
  keys: readSql(new URL('./sql/own-keys.sql', import.meta.url)),
};
/** What differs between the two tables. */
const PARTS = {
  c: { table: 'sluice_counters', name: 'counter', key: 'counter_key', value: 'value', length: LIMITS.key },
  p: { table: 'sluice_accounts', name: 'program', key: 'account', value: 'balance', length: LIMITS.account },
};

/** `sluice_counters` or `sluice_accounts`. */
export class OwnTable implements ValueTable {
  readonly read: string;
  /** Its statements, for this table. */
  readonly sql: typeof SQL;

  constructor(kind: Kind) {
    this.sql = fillSql(SQL, { ...PARTS[kind], kind: ROW_KINDS[kind] });
    this.read = this.sql.read;
  }

  async values(connection: PoolConnection, rows: readonly ValueKey[]): Promise<Map<string, number>> {
    const values = new Map<string, number>();
    for (const { json } of jsonParts(connection, rows, row => [row.name, row.key]))
      for (const row of await queryRows(connection, this.sql.values, [json]))
        values.set(itemOf(String(row.name), String(row.item_key)), Number(row.value));
    return values;
  }

  async add(connection: PoolConnection, rows: readonly Addition[]): Promise<void> {
    for (const { json } of jsonParts(connection, rows, row => [row.name, row.key, row.amount]))
      await connection.query(this.sql.add, [json]);
  }

  /** None: the tables take every key, and what else they refuse only trying shows. */
  async refusals<Row extends Addition>(): Promise<Map<Row, RefusedValueError>> {
    return new Map();
  }

  async *keys(database: Database, name: string, pageSize: number): AsyncGenerator<string[]> {
    for await (const page of pages(pageSize, (after, limit) =>
      database.query(this.sql.keys, [Buffer.from(name), after, after, limit]),
    )) {
      yield page.map(String);
    }
  }

  async ready(): Promise<void> {}

  async recheck(): Promise<void> {}

  explained(error: unknown): unknown {
    return error;
  }
}

/** Pages through `item_key` until a page is not full. */
export async function* pages(
  size: number,
  read: (after: unknown, limit: number) => Promise<readonly Readonly<Record<string, unknown>>[]>,
): AsyncGenerator<unknown[]> {
  let after: unknown = null;
  for (;;) {
    const keys = (await read(after, size)).map(row => row.item_key);
    yield keys;
    if (keys.length < size) return;
    after = keys.at(-1);
  }
}
