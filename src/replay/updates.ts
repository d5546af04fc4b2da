/** Reads quarantined updates by filter, a page at a time. */

import { type Database, queryRow, readSql } from '../shared/mysql/database.ts';
import { type FailedUpdate, toFailedUpdate } from '../shared/updates/failed-update.ts';
import { type CheckedFilter, filterParameters, meansUpdates } from './filter.ts';

export interface Span {
  /** Numbers above this one. */
  readonly after?: number | undefined;
  /** Numbers up to this one. */
  readonly last?: number | undefined;
  /** Excludes updates for which this operation has an outcome. */
  readonly notDoneBy?: number | undefined;
}

const SELECT = readSql(new URL('./sql/failed-updates.sql', import.meta.url));
const fill = (columns: string, rest: string) => SELECT.replace('{columns}', columns).replace('{rest}', rest);
const PAGE = fill('q.*', 'ORDER BY q.id LIMIT ?');
const COUNT = fill('COUNT(*) AS found', '');

function parameters(filter: CheckedFilter, { after = 0, last, notDoneBy = 0 }: Span): unknown[] {
  return [after, last ?? Number.MAX_SAFE_INTEGER, notDoneBy, ...filterParameters(filter)];
}

/** Numbers in one statement. */
const NUMBERS = 1000;

/** Splits the filter's numbers, in order, so that each part fits into one statement. */
function* byNumbers(filter: CheckedFilter): Generator<CheckedFilter> {
  if (filter.ids === undefined || filter.ids.length <= NUMBERS) {
    yield filter;
    return;
  }
  for (const ids of numberLists(filter.ids)) yield { ...filter, ids };
}

/** Splits numbers into sorted lists without duplicates, each for one statement. */
export function* numberLists(numbers: readonly number[]): Generator<number[]> {
  const sorted = [...new Set(numbers)].sort((a, b) => a - b);
  for (let from = 0; from < sorted.length; from += NUMBERS) yield sorted.slice(from, from + NUMBERS);
}

/** At most `limit` updates, by number. @throws what mysql2 throws */
export async function readUpdates(
  database: Database,
  filter: CheckedFilter,
  span: Span,
  limit: number,
): Promise<FailedUpdate[]> {
  if (!meansUpdates(filter)) return [];
  const found: FailedUpdate[] = [];
  for (const part of byNumbers(filter)) {
    if (found.length >= limit) break;
    const rows = await database.query(PAGE, [...parameters(part, span), limit - found.length]);
    found.push(...rows.map(toFailedUpdate));
  }
  return found;
}

export async function countUpdates(database: Database, filter: CheckedFilter, span: Span): Promise<number> {
  if (!meansUpdates(filter)) return 0;
  let found = 0;
  for (const part of byNumbers(filter)) {
    const row = await database.session(connection => queryRow(connection, COUNT, parameters(part, span)));
    found += Number(row.found);
  }
  return found;
}

/** All updates, a page at a time. */
export async function* eachUpdate(
  database: Database,
  filter: CheckedFilter,
  span: Span,
  pageSize = 500,
): AsyncGenerator<FailedUpdate> {
  for (let after = span.after ?? 0; ; ) {
    const page = await readUpdates(database, filter, { ...span, after }, pageSize);
    yield* page;
    if (page.length < pageSize) return;
    after = page.at(-1)!.id;
  }
}
