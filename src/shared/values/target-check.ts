/**
 * Checks by the server's catalogue whether a column of a user's table can hold values: the table is InnoDB,
 * the column is an integer, and the key is unique and compares byte by byte. Each refusal says what is wrong
 * and what to do.
 */
import type { PoolConnection } from 'mysql2/promise';
import type { Target } from '../config/definitions.ts';
import { DatabaseUnsuitableError } from '../errors.ts';
import { queryRows, type Rows, readSql } from '../mysql/database.ts';
import { isInteger, type KeyType, keyTypeOf } from './target-key.ts';

/** A target that fits, with the names as the catalogue spells them. */
export interface CheckedTarget {
  readonly schema: string;
  readonly table: string;
  readonly key: string;
  readonly column: string;
  /** Name of the key column's unique index. */
  readonly index: string;
  readonly keyType: KeyType;
  readonly missing: Target['missing'];
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

/**
 * @param owner `counter "views"`, for messages
 * @throws DatabaseUnsuitableError
 */
export async function checkTarget(
  connection: PoolConnection,
  owner: string,
  target: Target,
): Promise<CheckedTarget> {
  const refuse: Refuse = problem => {
    throw new DatabaseUnsuitableError(
      `The ${owner} cannot be mapped to ${target.table} (${target.key}, ${target.column}): ${problem}.`,
    );
  };
  for (const name of [target.table, target.key, target.column]) {
    // mysql2 would replace a question mark by a parameter. The others make the query fail instead of finding
    // nothing.
    if (/[?\0]|[\u{10000}-\u{10ffff}]/u.test(name))
      refuse(
        `the name ${JSON.stringify(name)} contains a question mark, a NUL or a character beyond U+FFFF; rename it`,
      );
  }
  const { schema, table } = await checkTable(connection, target.table, refuse);
  const columns = await queryRows(connection, FIND_COLUMNS, [schema, table]);
  const uniqueKeys = toUniqueKeys(await queryRows(connection, FIND_UNIQUE_KEYS, [schema, table]));
  const key = findColumn(columns, target.key, refuse);
  const column = findColumn(columns, target.column, refuse);
  checkValueColumn(column, key, uniqueKeys, refuse);
  const { index, keyType } = checkKeyColumn(key, uniqueKeys, refuse);
  if (target.missing === 'insert') checkInsert(columns, key, column, uniqueKeys, refuse);
  return {
    schema,
    table,
    key: key.column_name,
    column: column.column_name,
    index,
    keyType,
    missing: target.missing,
  };
}

type Refuse = (problem: string) => never;
type Row = Rows[number];

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
function findColumn(columns: Rows, name: string, refuse: Refuse): Row {
  const wanted = name.toLowerCase();
  const column = columns.find(({ column_name }) => String(column_name).toLowerCase() === wanted);
  return (
    column ??
    refuse(`it has no column ${JSON.stringify(name)}; it has ${columns.map(c => c.column_name).join(', ')}`)
  );
}

function isGenerated(column: Row): boolean {
  return (column.generation ?? '') !== '';
}

function checkValueColumn(column: Row, key: Row, uniqueKeys: readonly UniqueKey[], refuse: Refuse): void {
  const name = column.column_name;
  if (name === key.column_name) refuse('key and value are the same column; name two');
  if (!isInteger(column.data_type))
    refuse(
      `column ${name} is ${column.column_type}; values are whole numbers, so make it BIGINT or another integer type`,
    );
  if (isGenerated(column)) refuse(`column ${name} is generated; name a column that can be written`);
  const unique = uniqueKeys.find(({ columns }) => columns.includes(name));
  if (unique)
    refuse(
      `column ${name} is part of the unique key ${unique.name}, so that equal values would be refused; drop that key`,
    );
}

function checkKeyColumn(key: Row, uniqueKeys: readonly UniqueKey[], refuse: Refuse) {
  const name = key.column_name;
  const whole = uniqueKeys.filter(
    ({ columns, isPrefix }) => columns.length === 1 && columns[0] === name && !isPrefix,
  );
  const index = whole.find(({ isHidden }) => !isHidden);
  if (!index) {
    return refuse(
      whole.length > 0
        ? `the unique key of column ${name} is hidden from queries; make it visible`
        : `column ${name} is not a primary key or unique key by itself; add UNIQUE KEY (${name}) if its values are unique`,
    );
  }
  const keyType = keyTypeOf({
    dataType: key.data_type,
    columnType: key.column_type,
    collation: key.collation_name,
    length: key.max_length === null ? null : Number(key.max_length),
  });
  if (typeof keyType === 'string') return refuse(`key column ${name} ${keyType}`);
  return { index: index.name, keyType };
}

function checkInsert(
  columns: Rows,
  key: Row,
  column: Row,
  uniqueKeys: readonly UniqueKey[],
  refuse: Refuse,
): void {
  const instead = 'or set "missing": "quarantine"';
  if (isGenerated(key))
    refuse(
      `key column ${key.column_name} is generated, so that no row can be inserted; name another, ${instead}`,
    );
  const second = uniqueKeys.find(({ columns: parts }) => parts.length !== 1 || parts[0] !== key.column_name);
  if (second)
    refuse(
      `with "missing": "insert" the unique key ${second.name} could refuse new rows that conflict with others; drop it, ${instead}`,
    );
  const needed = columns.filter(
    other =>
      other.column_name !== key.column_name &&
      other.column_name !== column.column_name &&
      other.nullable === 'NO' &&
      other.default_value === null &&
      !isGenerated(other) &&
      !/auto_increment/i.test(other.extra),
  );
  if (needed.length > 0)
    refuse(
      `with "missing": "insert" new rows need a value for ${needed.map(other => other.column_name).join(', ')}; give a default, ${instead}`,
    );
}
