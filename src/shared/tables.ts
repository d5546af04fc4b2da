/**
 * Where values go: Sluice's own tables, or a column of the user's own table. A table takes sums by name and key;
 * what it cannot take is refused row by row, by the store.
 */
import type { PoolConnection } from 'mysql2/promise';
import type { Target } from './definitions.ts';
import { itemOf, type Kind } from './keys.ts';
import { type Database, queryRows, readSql } from './mysql.ts';
import type { RefusedValueError } from './refusal.ts';
import { jsonParts } from './statement-size.ts';

/** A sum to add to one value. */
export interface Addition {
  readonly name: string;
  readonly key: string;
  readonly amount: number;
}

export interface ValueTable {
  /** Values by item, right after `add` in the same transaction, whose row locks keep them still. */
  values(
    connection: PoolConnection,
    rows: readonly Pick<Addition, 'name' | 'key'>[],
  ): Promise<Map<string, number>>;
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

/** For commands that may need no value at all: who asks for a table gets the error. */
export function failingTables(error: Error): ValueTables {
  const fail = () => {
    throw error;
  };
  return { of: fail, mapped: fail, floor: fail };
}

const ADD = {
  c: readSql(new URL('./sql/add-counters.sql', import.meta.url)),
  p: readSql(new URL('./sql/add-accounts.sql', import.meta.url)),
};
const READ = {
  c: readSql(new URL('./sql/read-counters.sql', import.meta.url)),
  p: readSql(new URL('./sql/read-accounts.sql', import.meta.url)),
};
const KEYS = {
  c: readSql(new URL('./sql/counter-keys.sql', import.meta.url)),
  p: readSql(new URL('./sql/account-keys.sql', import.meta.url)),
};
const BALANCES = readSql(new URL('./sql/balances.sql', import.meta.url));

/** `sluice_counters` or `sluice_accounts`. */
export class OwnTable implements ValueTable {
  readonly read: string;
  readonly #kind: Kind;

  constructor(kind: Kind) {
    this.#kind = kind;
    this.read = READ[kind];
  }

  async values(
    connection: PoolConnection,
    rows: readonly Pick<Addition, 'name' | 'key'>[],
  ): Promise<Map<string, number>> {
    const values = new Map<string, number>();
    for (const { json } of jsonParts(connection, rows, row => [row.name, row.key]))
      for (const row of await queryRows(connection, BALANCES, [json]))
        values.set(itemOf(String(row.name), String(row.item_key)), Number(row.value));
    return values;
  }

  async add(connection: PoolConnection, rows: readonly Addition[]): Promise<void> {
    for (const { json } of jsonParts(connection, rows, row => [row.name, row.key, row.amount]))
      await connection.query(ADD[this.#kind], [json]);
  }

  /** None: the tables take every key, and what else they refuse only trying shows. */
  async refusals<Row extends Addition>(): Promise<Map<Row, RefusedValueError>> {
    return new Map();
  }

  async *keys(database: Database, name: string, pageSize: number): AsyncGenerator<string[]> {
    for await (const page of pages(pageSize, (after, limit) =>
      database.query(KEYS[this.#kind], [Buffer.from(name), after, after, limit]),
    )) {
      yield page.map(String);
    }
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
