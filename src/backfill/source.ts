/**
 * The table that a backfill reads, checked by the server's catalogue: a plain table with a unique key that is
 * walked in the order of its index, and a column of exact numbers, or of times for a value that holds times.
 */
import type { PoolConnection } from 'mysql2/promise';
import { type Definitions, definitionOf } from '../shared/config/definitions.ts';
import { ConfigurationError, DatabaseUnsuitableError } from '../shared/errors.ts';
import { queryRows, quoteIdentifier, type Rows } from '../shared/mysql/database.ts';
import { classifyDatabaseError } from '../shared/mysql/errors.ts';
import type { KeyLiteral } from '../shared/mysql/statement-size.ts';
import { EPOCH } from '../shared/values/mapped-table.ts';
import {
  checkTarget,
  findColumn,
  findIndex,
  isGenerated,
  type Refuse,
  readCatalogue,
} from '../shared/values/target-check.ts';
import { keyTypeOf } from '../shared/values/target-key.ts';
import { BackfillError } from './errors.ts';
import { type Spec, shownSpec } from './spec.ts';

/** Where the value of a row is; the column `mark` holds it. */
export const HOME = {
  /** In its column: everybody changes it there. */
  column: 0,
  /** On its way: nobody changes it, and readers read the column. */
  moving: 1,
  /** In Sluice. */
  sluice: 2,
} as const;

/** A key column of the walk. */
interface KeyColumn {
  /** Quoted, with the alias of the table. */
  readonly name: string;
  /** SQL of its text, as bytes. */
  readonly text: string;
  /** SQL of a value that it showed, such that the comparison is the column's own. */
  readonly literal: (shown: Buffer) => string;
  /** SQL condition for the rows that the walk can stand at. */
  readonly isNamed: string;
}

/** A checked source, as SQL. */
export interface Source {
  /** Quoted. */
  readonly table: string;
  /** SQL of the number, of a text that is none, or of NULL. */
  readonly value: string;
  /** Quoted; null without one. */
  readonly mark: string | null;
  readonly index: string;
  /** In the order of an update's key. */
  readonly columns: readonly KeyColumn[];
  /** Positions of the columns, in the order of the index. */
  readonly order: readonly number[];
  readonly where: string | null;
  /** SQL of the rows that the walk passes over; null if there can be none. */
  readonly unnamed: string | null;
}

/**
 * @throws DatabaseUnsuitableError, BackfillError if the values are in this column already, or the error of the
 * server for a condition that it refuses
 */
export async function checkSource(
  connection: PoolConnection,
  spec: Spec,
  definitions: Definitions,
): Promise<Source> {
  const refuse: Refuse = problem => {
    throw new DatabaseUnsuitableError(
      `The backfill of ${shownSpec(spec)} cannot read its table: ${problem}.`,
    );
  };
  for (const name of [spec.table, spec.value, ...spec.key, spec.mark ?? ''])
    if (/[\0]|[\u{10000}-\u{10ffff}]/u.test(name))
      refuse(`the name ${JSON.stringify(name)} contains a NUL or a character beyond U+FFFF`);
  const { schema, table, columns, uniqueKeys } = await readCatalogue(connection, spec.table, refuse);
  const keys = spec.key.map(name => findColumn(columns, name, refuse));
  const value = findColumn(columns, spec.value, refuse);
  const isTime = /^(?:datetime|timestamp)/.test(value.column_type);
  if (!isTime) checkNumber(value, refuse);
  else if (!(await holdsTimes(connection, spec, definitions))) refuseTime(value, refuse);
  const mark = spec.mark === null ? undefined : findColumn(columns, spec.mark, refuse);
  if (mark) checkMark(mark, refuse);
  await checkHome(connection, spec, { schema, table, column: value.column_name }, definitions);
  const { index, order } = findIndex(keys, uniqueKeys, refuse);
  const walked = keys.map(key => keyColumn(key, refuse));
  const mayBeUnnamed = keys.some(key => key.nullable === 'YES' || /^date/.test(key.data_type));
  const source = {
    table: `${quoteIdentifier(schema)}.${quoteIdentifier(table)}`,
    value: isTime ? millisecondsOf(value) : `t.${quoteIdentifier(value.column_name)}`,
    mark: mark ? `t.${quoteIdentifier(mark.column_name)}` : null,
    index: quoteIdentifier(index),
    columns: walked,
    order,
    where: spec.where,
    unnamed: mayBeUnnamed ? walked.map(({ isNamed }) => `(${isNamed}) IS NOT TRUE`).join(' OR ') : null,
  };
  await checkCondition(connection, source);
  return source;
}

/**
 * Lets the server read the condition, in a place where it must be whole: with a bracket too many, it would undo
 * the conditions of the walk.
 * @throws ConfigurationError
 */
async function checkCondition(connection: PoolConnection, { table, where }: Source): Promise<void> {
  if (where === null) return;
  try {
    await queryRows(connection, `SELECT CASE WHEN ${where}\n THEN 1 END FROM ${table} t LIMIT 0`);
  } catch (error) {
    if (['unavailable', 'conflict'].includes(classifyDatabaseError(error))) throw error;
    throw new ConfigurationError(
      `The database does not take the condition of --where: ${(error as Error).message.replaceAll(/\s+/g, ' ')}. Give a condition on columns of the table, whose alias is t.`,
      { cause: error },
    );
  }
}

type Row = Rows[number];

function checkNumber(column: Row, refuse: Refuse): void {
  const type = String(column.column_type);
  if (!/^(?:(?:tiny|small|medium|big)?int|decimal)\b/.test(type))
    refuse(
      `column ${column.column_name} is ${type}; only integer types and DECIMAL hold exact numbers. Copy it into a BIGINT column first`,
    );
}

/** Whether the destination keeps the last time that was put, in a column of times. */
async function holdsTimes(
  connection: PoolConnection,
  { kind, to }: Spec,
  definitions: Definitions,
): Promise<boolean> {
  const target = definitionOf(kind, to, definitions)?.target;
  if (kind !== '=' || target === undefined) return false;
  return (await checkTarget(connection, kind, to, target)).holds !== 'number';
}

function refuseTime({ column_name: name, column_type: type }: Row, refuse: Refuse): never {
  return refuse(
    `column ${name} is ${type}; a time is copied only into a value with "keep": "last" whose target is a DATETIME(3) or TIMESTAMP(3) column. For another destination copy it into a BIGINT column first, as milliseconds since 1970`,
  );
}

/**
 * Milliseconds since 1970, exactly; for a time that is none, like 0000-00-00, what the column shows. As in a mapped column, a
 * DATETIME is UTC, and a TIMESTAMP is read without the session's time zone, in which an hour may come twice.
 */
function millisecondsOf({ column_name, data_type }: Row): string {
  const column = `t.${quoteIdentifier(column_name)}`;
  const number =
    data_type === 'datetime'
      ? `TIMESTAMPDIFF(MICROSECOND, ${EPOCH}, ${column}) * 0.001`
      : `NULLIF(UNIX_TIMESTAMP(${column}), 0) * 1000`;
  return `COALESCE(CAST(${number} AS CHAR), CAST(${column} AS CHAR))`;
}

function checkMark(column: Row, refuse: Refuse): void {
  const { column_name: name, column_type: type } = column;
  if (!/^(?:tiny|small|medium|big)?int\b/.test(type) || column.nullable === 'YES' || isGenerated(column))
    refuse(`column ${name} cannot be the mark; make it TINYINT NOT NULL DEFAULT 0`);
}

/** Refuses a source that is the destination's own column: its values are counted already. */
async function checkHome(
  connection: PoolConnection,
  { kind, to, value }: Spec,
  found: { readonly schema: string; readonly table: string; readonly column: string },
  definitions: Definitions,
): Promise<void> {
  const target = definitionOf(kind, to, definitions)?.target;
  if (target === undefined) return;
  const [row] = await queryRows(connection, 'SELECT DATABASE() AS own');
  const parts = target.table.split('.');
  const schema = parts.length === 2 ? parts[0]! : String(row!.own);
  const isSame = (a: string, b: string) => a.toLowerCase() === b.toLowerCase();
  if (!isSame(schema, found.schema) || !isSame(parts.at(-1)!, found.table)) return;
  if (!isSame(target.column, found.column)) return;
  throw new BackfillError(
    'BACKFILL_SAME_COLUMN',
    `The column ${value} is where ${JSON.stringify(to)} keeps its values, so there is nothing to copy: Sluice counts on in it (docs/adopting.md). Name another column or another destination.`,
  );
}

const TEXTS = new Set(['char', 'varchar']);

/**
 * A text of any collation can be walked: the server compares with the column's own collation, as its index does,
 * and two rows of a unique key never compare as equal.
 */
function keyColumn(key: Row, refuse: Refuse): KeyColumn {
  const name = `t.${quoteIdentifier(key.column_name)}`;
  if (TEXTS.has(key.data_type))
    return {
      name,
      text: `CAST(CONVERT(${name} USING utf8mb4) AS BINARY)`,
      literal: shown => literalOf(String(shown)),
      isNamed: `${name} IS NOT NULL`,
    };
  const isUuid = key.data_type === 'binary' && Number(key.max_length) === 16;
  const type = keyTypeOf({
    dataType: key.data_type,
    columnType: key.column_type,
    collation: key.collation_name,
    length: key.max_length === null ? null : Number(key.max_length),
    ...(isUuid ? { format: 'uuid' as const } : {}),
  });
  if (typeof type === 'string') return refuse(`key column ${key.column_name} ${type}`);
  return {
    name,
    text: type.textOf(name),
    literal: shown => literalOf(type.cursor(shown)),
    isNamed: type.isNamed(name),
  };
}

/**
 * A literal that needs no escapes. It is part of the statement, not a parameter: a condition of the operator
 * may contain question marks. A text takes over the column's collation.
 */
function literalOf(value: KeyLiteral): string {
  if (typeof value === 'bigint') return String(value);
  if (Buffer.isBuffer(value)) return `X'${value.toString('hex')}'`;
  return `_utf8mb4 X'${Buffer.from(value).toString('hex')}'`;
}
