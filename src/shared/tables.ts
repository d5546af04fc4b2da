/**
 * Where values go: Sluice's own tables, or a column of the user's own table. A table takes sums by name and key;
 * what it cannot take is refused row by row, by the store.
 */
import type { PoolConnection } from 'mysql2/promise';
import { itemOf, type Kind } from './keys.ts';
import { queryRows, readSql } from './mysql.ts';

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
   * Adds the sums. Leaves nothing behind when it throws, as MySQL undoes a statement that failed; the caller wraps
   * a table that takes several statements in a savepoint.
   */
  add(connection: PoolConnection, rows: readonly Addition[]): Promise<void>;
  /**
   * Reads values for cold reads: one statement, so that values, quarantined sums and watermark belong together.
   * Parameters: JSON rows [name, key], partition. Rows: name, item_key, value, quarantined, sequence, token, epoch.
   */
  readonly read: string;
}

/** The tables of all names: which one a counter or program uses. */
export interface ValueTables {
  of(kind: Kind, name: string): ValueTable;
}

const ADD = {
  c: readSql(new URL('./sql/add-counters.sql', import.meta.url)),
  p: readSql(new URL('./sql/add-accounts.sql', import.meta.url)),
};
const READ = {
  c: readSql(new URL('./sql/read-counters.sql', import.meta.url)),
  p: readSql(new URL('./sql/read-accounts.sql', import.meta.url)),
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
    const found = await queryRows(connection, BALANCES, [
      JSON.stringify(rows.map(row => [row.name, row.key])),
    ]);
    return new Map(found.map(row => [itemOf(String(row.name), String(row.item_key)), Number(row.value)]));
  }

  async add(connection: PoolConnection, rows: readonly Addition[]): Promise<void> {
    await connection.query(ADD[this.#kind], [
      JSON.stringify(rows.map(row => [row.name, row.key, row.amount])),
    ]);
  }
}
