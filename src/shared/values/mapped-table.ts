/**
 * A column of a user's table that holds the values of a counter, the balances of a program, or the values of which one
 * put is kept. Other programs may write the same rows, so every change is made under the row's lock, and is relative
 * except a last put.
 */
import type { PoolConnection, ResultSetHeader } from 'mysql2/promise';
import { isValueKind, itemOf, type Kind, ROW_KINDS } from '../item.ts';
import { LIMITS } from '../limits.ts';
import { type Database, fillSql, queryRow, queryRows, quoteIdentifier, readSql } from '../mysql/database.ts';
import { REFUSED } from '../mysql/error-numbers.ts';
import { jsonParts, keyLists } from '../mysql/statement-size.ts';
import { heldSql } from './held-sql.ts';
import { quarantinedSql, replacesSql, superseded } from './kept-sql.ts';
import { KeySql, type ShownKey } from './key-sql.ts';
import { RefusedValueError } from './refusal.ts';
import { type Addition, type KeyPage, OwnTable, type ValueKey, type ValueRows } from './tables.ts';
import type { CheckedTarget } from './target-check.ts';

const sql = (name: string) => readSql(new URL(`./sql/mapped-${name}.sql`, import.meta.url));
const SQL = {
  add: sql('add'),
  insert: sql('insert'),
  lock: sql('lock'),
  values: sql('values'),
  read: sql('read'),
  keys: sql('keys'),
};
const KEPT_SQL = { ...SQL, add: sql('keep'), read: sql('read-kept') };
/** A put, and what the column shows, as milliseconds since 1970. MySQL reads a TIMESTAMP without its time zone. */
export const EPOCH = "TIMESTAMP'1970-01-01 00:00:00'";
const AS_TIME = `${EPOCH} + INTERVAL j.amount * 1000 MICROSECOND`;
const SHOWN = {
  number: (column: string) => column,
  datetime: (column: string) => `TIMESTAMPDIFF(MICROSECOND, ${EPOCH}, ${column}) DIV 1000`,
  timestamp: (column: string) => `CAST(UNIX_TIMESTAMP(${column}) * 1000 AS SIGNED)`,
};
/** Keys in one IN list: the optimizer's memory for ranges is limited, and each key is one. */
const LOCKED_AT_ONCE = 1000;
/** Most attempts if a row keeps appearing and disappearing during the insert. */
const INSERT_TRIES = 5;

export class MappedTable implements ValueRows {
  readonly read: string;
  readonly #target: CheckedTarget;
  readonly #key: KeySql;
  readonly #sql: typeof SQL;
  readonly #longestKey: number;
  /** Sluice's own rows with the versions of values of which the last is kept; undefined for other kinds. */
  readonly #versions: OwnTable | undefined;

  constructor(kind: Kind, target: CheckedTarget) {
    this.#versions = kind === '=' ? new OwnTable(kind) : undefined;
    this.#target = target;
    this.#key = new KeySql(target.key);
    this.#longestKey = kind === 'p' ? LIMITS.account : LIMITS.key;
    const column = `t.${quoteIdentifier(target.column)}`;
    const wins =
      kind !== '=' && isValueKind(kind) ? `${column} IS NULL OR ${replacesSql(kind, column, '')}` : 'TRUE';
    this.#sql = fillSql(isValueKind(kind) ? KEPT_SQL : SQL, {
      ...this.#key.parts,
      table: `${quoteIdentifier(target.schema)}.${quoteIdentifier(target.table)}`,
      column: quoteIdentifier(target.column),
      index: quoteIdentifier(target.key.index),
      constantColumns: target.constants.map(([name]) => `, ${quoteIdentifier(name)}`).join(''),
      constants: ', ?'.repeat(target.constants.length),
      kind: ROW_KINDS[kind],
      amount: target.holds === 'number' ? 'j.amount' : AS_TIME,
      shownColumn: SHOWN[target.holds](column),
      replaces: wins,
      quarantined: isValueKind(kind) ? quarantinedSql(kind) : '',
      held: heldSql(kind),
    });
    this.read = this.#sql.read;
  }

  async values(connection: PoolConnection, rows: readonly ValueKey[]): Promise<Map<string, number>> {
    const values = new Map<string, number>();
    for (const { json } of jsonParts(connection, rows, row => [row.name, ...this.#key.json(row.key)]))
      for (const row of await queryRows(connection, this.#sql.values, [json])) {
        const value = Number(row.value);
        // The column may hold more than 2^53-1.
        if (!Number.isSafeInteger(value)) throw new RefusedValueError('OUT_OF_RANGE');
        values.set(itemOf(String(row.name), String(row.item_key)), value);
      }
    return values;
  }

  async add(connection: PoolConnection, rows: readonly Addition[]): Promise<void> {
    if (!rows.every(row => this.#key.fits(row.key))) throw new RefusedValueError('TARGET_KEY_NOT_CANONICAL');
    if (!this.#versions) return this.#add(connection, rows);
    const late = await superseded(connection, rows);
    const newer = rows.filter(row => !late.has(row));
    await this.#atUtc(connection, () => this.#add(connection, newer));
    await this.#versions.add(connection, newer);
  }

  /** A TIMESTAMP takes the session's time. In a zone with summer time, an hour of it stands for two. */
  async #atUtc(connection: PoolConnection, write: () => Promise<void>): Promise<void> {
    if (this.#target.holds !== 'timestamp') return write();
    const { zone } = await queryRow(connection, 'SELECT @@SESSION.time_zone AS zone');
    await connection.query("SET time_zone = '+00:00'");
    try {
      await write();
    } finally {
      await connection.query('SET time_zone = ?', [zone]);
    }
  }

  async #add(connection: PoolConnection, rows: readonly Addition[]): Promise<void> {
    const sorted = rows.toSorted((a, b) => (a.key < b.key ? -1 : 1));
    const existing =
      this.#target.missing === 'insert' ? await this.#insertMissing(connection, sorted) : sorted;
    for (const { json, rows: part } of jsonParts(connection, existing, row => this.#addRow(row))) {
      const [result] = await connection.query<ResultSetHeader>(this.#sql.add, [json]);
      // The connection counts matched rows, whether changed or not.
      if (result.affectedRows !== part.length) throw new RefusedValueError('TARGET_ROW_MISSING');
    }
  }

  async refusals<Row extends Addition>(
    connection: PoolConnection,
    rows: readonly Row[],
  ): Promise<Map<Row, RefusedValueError>> {
    const refused = new Map<Row, RefusedValueError>();
    const fitting = rows.filter(row => this.#key.fits(row.key));
    const locked =
      this.#target.missing === 'quarantine' ? await this.#lockExisting(connection, fitting) : undefined;
    const fits = new Set(fitting);
    for (const row of rows) {
      if (!fits.has(row)) refused.set(row, new RefusedValueError('TARGET_KEY_NOT_CANONICAL'));
      else if (locked && !locked.has(row.key)) refused.set(row, new RefusedValueError('TARGET_ROW_MISSING'));
    }
    return refused;
  }

  /** A page ends at a row that no update may be able to name, so its end is the bytes of the key's columns. */
  async page(database: Database, _name: string, pageSize: number, after: string): Promise<KeyPage> {
    const last =
      after === ''
        ? undefined
        : after
            .slice(1)
            .split(',')
            .map(part => Buffer.from(part, 'base64'));
    const later = this.#key.laterThan(last);
    const rows = await database.query(this.#sql.keys, [later[0], ...later, pageSize]);
    const page = rows.map(row => this.#key.shown(row));
    const last64 = page.at(-1)?.map(part => part.toString('base64'));
    const end = page.length < pageSize ? '' : `:${last64}`;
    const keys = page.filter(shown => this.#isOurs(shown)).map(shown => this.#key.keyOf(shown));
    return { keys, end };
  }

  /** Whether an update can name a row's key. */
  #isOurs(shown: ShownKey): boolean {
    if (!shown.every(bytes => Buffer.from(String(bytes)).equals(bytes))) return false;
    const key = this.#key.keyOf(shown);
    return key !== '' && Buffer.byteLength(key) <= this.#longestKey && this.#key.fits(key);
  }

  #addRow({ key, amount }: Addition): unknown[] {
    return [amount, ...this.#key.jsonOfParts(key)];
  }

  /** Inserts the missing rows. Returns the others, locked. */
  async #insertMissing(connection: PoolConnection, rows: readonly Addition[]): Promise<Addition[]> {
    const constants = this.#target.constants.map(([, value]) => value);
    const existing: Addition[] = [];
    let missing = rows;
    for (let attempt = 1; ; attempt++) {
      const locked = await this.#lockExisting(connection, missing);
      existing.push(...missing.filter(row => locked.has(row.key)));
      missing = missing.filter(row => !locked.has(row.key));
      const inserted = new Set<Addition>();
      try {
        for (const { json, rows: part } of jsonParts(connection, missing, row => this.#addRow(row))) {
          await connection.query(this.#sql.insert, [...constants, json]);
          for (const row of part) inserted.add(row);
        }
        return existing;
      } catch (error) {
        // Another program inserted a row meanwhile, and the statement inserted none. Retry without the rows
        // that earlier statements inserted: these have their amounts already.
        if ((error as { errno?: number }).errno !== REFUSED.ER_DUP_ENTRY || attempt === INSERT_TRIES)
          throw error;
        missing = missing.filter(row => !inserted.has(row));
      }
    }
  }

  async #lockExisting(connection: PoolConnection, rows: readonly Addition[]): Promise<Set<string>> {
    const found = new Set<string>();
    const literals = rows.map(row => this.#key.literals(row.key));
    for (const keys of keyLists(connection, literals, LOCKED_AT_ONCE))
      for (const row of await queryRows(connection, this.#sql.lock, [keys]))
        found.add(this.#key.keyOf(this.#key.shown(row)));
    return found;
  }
}
