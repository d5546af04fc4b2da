/**
 * Checks by the server's catalogue whether a column of a user's table can hold values: the table is InnoDB,
 * the column holds whole numbers, or times for a `last` value, and the key is unique and compares byte by byte. Each refusal says what is
 * wrong and what to do.
 */
import type { PoolConnection } from 'mysql2/promise';
import {
  hasListKeys,
  keyColumnsOf,
  type NamedKeyColumn,
  shownTarget,
  type Target,
} from '../config/target.ts';
import { DatabaseUnsuitableError } from '../errors.ts';
import { type Kind, ownerOf } from '../item.ts';
import { queryRows, type Rows, readSql } from '../mysql/database.ts';
import { isWhole, type KeyType, keyTypeOf } from './target-key.ts';

/** A target that fits, with the names as the catalogue spells them. */
export interface CheckedTarget {
  readonly schema: string;
  readonly table: string;
  readonly key: CheckedKey;
  readonly column: string;
  /** What the column holds: whole numbers, or a time with milliseconds. */
  readonly holds: 'number' | 'datetime' | 'timestamp';
  readonly missing: Target['missing'];
  /** Columns of inserted rows that get a constant, with their values. */
  readonly constants: readonly (readonly [column: string, value: string | number | null])[];
}

export interface CheckedKey {
  /** In the order of a key's parts. */
  readonly columns: readonly { readonly name: string; readonly type: KeyType }[];
  /** Positions of the columns, in the order of the index. */
  readonly order: readonly number[];
  /** Name of the unique index of the columns. */
  readonly index: string;
  /** Whether keys are lists of parts. */
  readonly isList: boolean;
}

interface UniqueKey {
  readonly name: string;
  /** null for an expression. */
  readonly columns: readonly (string | null)[];
  /** Whether it covers only the beginning of a column. */
  readonly isPrefix: boolean;
  /** INVISIBLE in MySQL, IGNORED in MariaDB: enforced, but not used by queries. */
  readonly isHidden: boolean;
}

const sql = (name: string) => readSql(new URL(`./sql/${name}.sql`, import.meta.url));
const FIND_TABLE = sql('find-table');
const FIND_COLUMNS = sql('find-columns');
const FIND_UNIQUE_KEYS = sql('find-unique-keys');

/** @throws DatabaseUnsuitableError */
export async function checkTarget(
  connection: PoolConnection,
  kind: Kind,
  name: string,
  target: Target,
): Promise<CheckedTarget> {
  const refuse: Refuse = problem => {
    throw new DatabaseUnsuitableError(
      `The ${ownerOf(kind, name)} cannot be mapped to ${shownTarget(target)}: ${problem}.`,
    );
  };
  const named = keyColumnsOf(target);
  const constants = Object.entries(target.insert ?? {});
  for (const name of [
    target.table,
    target.column,
    ...[...named.map(({ column }) => column), ...constants.map(([column]) => column)],
  ]) {
    // mysql2 would replace a question mark by a parameter. The others make the query fail instead of finding
    // nothing.
    if (/[?\0]|[\u{10000}-\u{10ffff}]/u.test(name))
      refuse(
        `the name ${JSON.stringify(name)} contains a question mark, a NUL or a character beyond U+FFFF; rename it`,
      );
  }
  const { schema, table, columns, uniqueKeys } = await readCatalogue(connection, target.table, refuse);
  const keys = named.map(({ column }) => findColumn(columns, column, refuse));
  const column = findColumn(columns, target.column, refuse);
  const holds = checkValueColumn(kind, column, keys, uniqueKeys, refuse);
  const { index, order } = findIndex(keys, uniqueKeys, refuse);
  const given = constants.map(([name, value]) => ({ row: findColumn(columns, name, refuse), value }));
  for (const { row, value } of given) checkConstant(row, value, refuse);
  const others = [column, ...given.map(({ row }) => row)];
  if (target.missing === 'insert') checkInsert(columns, keys, others, uniqueKeys, refuse);
  return {
    schema,
    table,
    key: {
      columns: keys.map((key, at) => ({
        name: key.column_name,
        type: checkKeyType(key, named[at]!, refuse),
      })),
      order,
      index,
      isList: hasListKeys(target),
    },
    column: column.column_name,
    holds,
    missing: target.missing,
    constants: given.map(({ row, value }) => [row.column_name, value]),
  };
}

/** Throws an error with the problem, which is the end of a sentence. */
export type Refuse = (problem: string) => never;
type Row = Rows[number];

/** What the server's catalogue says of a plain InnoDB table of the user. */
export async function readCatalogue(connection: PoolConnection, name: string, refuse: Refuse) {
  const { schema, table } = await checkTable(connection, name, refuse);
  const columns = await queryRows(connection, FIND_COLUMNS, [schema, table]);
  const uniqueKeys = toUniqueKeys(await queryRows(connection, FIND_UNIQUE_KEYS, [schema, table]));
  return { schema, table, columns, uniqueKeys };
}

async function checkTable(connection: PoolConnection, name: string, refuse: Refuse) {
  const parts = name.split('.');
  if (parts.length > 2 || parts.includes(''))
    refuse('a table is named "table" or "schema.table", and neither name may contain a dot');
  const found = await queryRows(connection, FIND_TABLE, [parts.length === 2 ? parts[0] : null, parts.at(-1)]);
  const row = found.find(({ table_name }) => table_name === parts.at(-1)) ?? found[0];
  if (!row)
    return refuse(
      'there is no such table that this user may see; create it, correct the name, or grant rights',
    );
  if (row.table_type !== 'BASE TABLE')
    refuse(`it is a ${String(row.table_type).toLowerCase()}; name a plain table, whose rows can be locked`);
  if (String(row.engine).toLowerCase() !== 'innodb')
    refuse(`its engine is ${row.engine}, which has no transactions; ALTER TABLE it to ENGINE = InnoDB`);
  if (Number(row.is_own) === 1 && /^sluice_/i.test(row.table_name))
    refuse('it belongs to Sluice; name a table of yours');
  return { schema: String(row.table_schema), table: String(row.table_name) };
}

function toUniqueKeys(rows: Rows): UniqueKey[] {
  return [...Map.groupBy(rows, row => String(row.INDEX_NAME))].map(([name, parts]) => ({
    name,
    columns: parts.map(part => part.COLUMN_NAME as string | null),
    isPrefix: parts.some(part => part.SUB_PART !== null),
    isHidden: parts.some(part => part.IS_VISIBLE === 'NO' || part.IGNORED === 'YES'),
  }));
}

/** Column names are case-insensitive on every server. */
export function findColumn(columns: Rows, name: string, refuse: Refuse): Row {
  const wanted = name.toLowerCase();
  const column = columns.find(({ column_name }) => String(column_name).toLowerCase() === wanted);
  return (
    column ??
    refuse(`it has no column ${JSON.stringify(name)}; it has ${columns.map(c => c.column_name).join(', ')}`)
  );
}

export function isGenerated(column: Row): boolean {
  return (column.generation ?? '') !== '';
}

function checkValueColumn(
  kind: Kind,
  column: Row,
  keys: readonly Row[],
  uniqueKeys: readonly UniqueKey[],
  refuse: Refuse,
): CheckedTarget['holds'] {
  const name = column.column_name;
  const isTime = kind === '=' && /^(datetime|timestamp)/.test(column.column_type);
  if (keys.some(key => key.column_name === name)) refuse('key and value are the same column; name two');
  if (isTime && !/\(3\)$/.test(column.column_type))
    refuse(
      `column ${name} is ${column.column_type}; the times of a value have milliseconds, so make it DATETIME(3) or TIMESTAMP(3)`,
    );
  if (!isTime && !isWhole(column.column_type))
    refuse(
      `column ${name} is ${column.column_type}; values are whole numbers, so make it BIGINT, another integer type or DECIMAL(n,0)`,
    );
  if (isGenerated(column)) refuse(`column ${name} is generated; name a column that can be written`);
  const unique = uniqueKeys.find(({ columns }) => columns.includes(name));
  if (unique)
    refuse(
      `column ${name} is part of the unique key ${unique.name}, so that equal values would be refused; drop that key`,
    );
  if (!isTime) return 'number';
  return column.data_type === 'datetime' ? 'datetime' : 'timestamp';
}

/** The unique index of exactly the key columns, in any order. */
export function findIndex(keys: readonly Row[], uniqueKeys: readonly UniqueKey[], refuse: Refuse) {
  const names = keys.map(key => key.column_name as string);
  const whole = uniqueKeys.filter(unique => isOf(unique, names) && !unique.isPrefix);
  const index = whole.find(({ isHidden }) => !isHidden);
  if (index) return { index: index.name, order: index.columns.map(name => names.indexOf(name!)) };
  const list = names.join(', ');
  const what = names.length === 1 ? `column ${list}` : `columns ${list}`;
  if (whole.length > 0) refuse(`the unique key of ${what} is hidden from queries; make it visible`);
  return refuse(
    names.length === 1
      ? `${what} is not a primary key or unique key by itself; add UNIQUE KEY (${list}) if its values are unique`
      : `${what} are not a primary key or unique key together and by themselves; add UNIQUE KEY (${list}) if their values are unique`,
  );
}

/** Whether a unique key has exactly these columns. */
function isOf({ columns }: UniqueKey, names: readonly string[]): boolean {
  return columns.length === names.length && names.every(name => columns.includes(name));
}

function checkKeyType(key: Row, { format }: NamedKeyColumn, refuse: Refuse): KeyType {
  const type = keyTypeOf({
    dataType: key.data_type,
    columnType: key.column_type,
    collation: key.collation_name,
    length: key.max_length === null ? null : Number(key.max_length),
    format,
  });
  return typeof type === 'string' ? refuse(`key column ${key.column_name} ${type}`) : type;
}

function checkConstant(column: Row, value: string | number | null, refuse: Refuse): void {
  const name = column.column_name;
  if (isGenerated(column)) refuse(`"insert" gives a constant for ${name}, which is generated; remove it`);
  if (value === null && column.nullable === 'NO')
    refuse(`"insert" gives NULL for ${name}, which is NOT NULL; give a value`);
  const length = column.max_length === null ? Number.POSITIVE_INFINITY : Number(column.max_length);
  if (typeof value === 'string' && [...value].length > length)
    refuse(`"insert" gives a text for ${name} that is longer than its ${column.column_type}; shorten it`);
}

function checkInsert(
  columns: Rows,
  keys: readonly Row[],
  others: readonly Row[],
  uniqueKeys: readonly UniqueKey[],
  refuse: Refuse,
): void {
  const instead = 'or set "missing": "quarantine"';
  const generated = keys.find(isGenerated);
  if (generated)
    refuse(
      `key column ${generated.column_name} is generated, so that no row can be inserted; name another, ${instead}`,
    );
  const names = keys.map(key => key.column_name);
  const second = uniqueKeys.find(unique => !isOf(unique, names));
  if (second)
    refuse(
      `with "missing": "insert" the unique key ${second.name} could refuse new rows that conflict with others; drop it, ${instead}`,
    );
  const given = new Set([...names, ...others.map(other => other.column_name)]);
  const needed = columns.filter(
    column =>
      !given.has(column.column_name) &&
      column.nullable === 'NO' &&
      column.default_value === null &&
      !isGenerated(column) &&
      !/auto_increment/i.test(column.extra),
  );
  if (needed.length > 0)
    refuse(
      `with "missing": "insert" new rows need a value for ${needed.map(other => other.column_name).join(', ')}; give a default or a constant in "insert", ${instead}`,
    );
}
