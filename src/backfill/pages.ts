/**
 * Reads the rows of a source page by page, in the order of its unique index: the rows after a key, never an
 * offset. So each row is read once, whatever is inserted or deleted meanwhile:
 *
 * - a row that is added behind the place of the walk is not read by this run
 * - a row that is added before it, or changed, is read as it is when the walk comes there
 * - a row that is deleted before the walk comes there is not read
 */
import type { PoolConnection } from 'mysql2/promise';
import { queryRow, queryRows } from '../shared/mysql/database.ts';
import { HOME, type Source } from './source.ts';

/** A key as its columns show it, as base64; the place of a walk. */
export type Place = readonly string[];

export interface SourceRow {
  /** The texts of the key's columns, in the order of an update's key. */
  readonly key: readonly string[];
  /** Whether the key's bytes are no UTF-8, so that no update can name it. */
  readonly isBroken: boolean;
  /** The exact text of the number; null for NULL. */
  readonly value: string | null;
  readonly place: Place;
}

/**
 * The rows after a place.
 * @param home which of them, if the source has a mark
 */
export async function readPage(
  connection: PoolConnection,
  source: Source,
  after: Place | undefined,
  limit: number,
  home: number = HOME.column,
): Promise<SourceRow[]> {
  const texts = source.columns.map(({ text }, at) => `${text} AS text${at}`);
  const rows = await queryRows(
    connection,
    `SELECT ${texts.join(', ')}, CAST(${source.value} AS CHAR) AS value FROM ${source.table} t FORCE INDEX (${source.index})
     WHERE ${conditionOf(source, after, home)} ORDER BY ${orderOf(source)} LIMIT ${limit}`,
  );
  return rows.map(row => {
    const shown = source.columns.map((_, at) => row[`text${at}`] as Buffer);
    const key = shown.map(String);
    return {
      key,
      isBroken: !key.every((text, at) => Buffer.from(text).equals(shown[at]!)),
      value: row.value === null ? null : String(row.value),
      place: shown.map(bytes => bytes.toString('base64')),
    };
  });
}

/**
 * Takes the next rows out of their column: from now until `releasePage` nobody changes them.
 *
 * The update decides which rows these are. The page that is read after it, in the same transaction, is all rows that move
 * behind the place: one unfinished run at most has the mark, and its record is written in this transaction, so
 * whatever another page held is before the place, and `releasePage` has ended it. The operator's condition is not
 * asked again: marking a row may have changed it, by the mark itself, an ON UPDATE column or a trigger.
 */
export async function holdPage(
  connection: PoolConnection,
  source: Source,
  after: Place | undefined,
  limit: number,
): Promise<SourceRow[]> {
  await connection.query(
    `UPDATE ${source.table} t SET ${source.mark} = ${HOME.moving}
     WHERE ${conditionOf(source, after, HOME.column)} ORDER BY ${orderOf(source)} LIMIT ${limit}`,
  );
  return readPage(connection, { ...source, where: null }, after, limit, HOME.moving);
}

/** Says that the rows of a page are in Sluice now: all that move in its range, which are those that `holdPage` read. */
export async function releasePage(
  connection: PoolConnection,
  source: Source,
  after: Place | undefined,
  until: Place,
): Promise<void> {
  await connection.query(
    `UPDATE ${source.table} t SET ${source.mark} = ${HOME.sluice}
     WHERE ${rangeOf(source, after, HOME.moving)} AND ${comparison(source, until, '<', '<=')}`,
  );
}

/** How many rows the walk passes over, since no update can name them. */
export async function countUnnamed(connection: PoolConnection, source: Source): Promise<number> {
  if (source.unnamed === null) return 0;
  const where = source.where === null ? '' : ` AND (${source.where}\n)`;
  const row = await queryRow(
    connection,
    `SELECT COUNT(*) AS found FROM ${source.table} t WHERE (${source.unnamed})${where}`,
  );
  return Number(row.found);
}

function conditionOf(source: Source, after: Place | undefined, home: number): string {
  const range = rangeOf(source, after, home);
  // On a line of its own, since it may end with a comment.
  return source.where === null ? range : `${range} AND (${source.where}\n)`;
}

function rangeOf(source: Source, after: Place | undefined, home: number): string {
  const parts = source.columns.map(({ isNamed }) => isNamed);
  if (after) parts.push(comparison(source, after, '>', '>'));
  if (source.mark !== null) parts.push(`${source.mark} = ${home}`);
  return parts.join(' AND ');
}

function orderOf({ columns, order }: Source): string {
  return order.map(at => columns[at]!.name).join(', ');
}

/** Not (a, b) > (?, ?), which MySQL answers by reading the index from its beginning. */
function comparison({ columns, order }: Source, place: Place, strict: '<' | '>', last: '<=' | '>'): string {
  const values = order.map(at => columns[at]!.literal(Buffer.from(place[at]!, 'base64')));
  const alternatives = order.map((_, end) =>
    order
      .slice(0, end + 1)
      .map((at, n) => {
        const operator = n < end ? '=' : end === order.length - 1 ? last : strict;
        return `${columns[at]!.name} ${operator} ${values[n]}`;
      })
      .join(' AND '),
  );
  return `(${alternatives.join(' OR ')})`;
}
