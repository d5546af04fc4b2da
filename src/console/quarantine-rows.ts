/**
 * Reads the quarantine for people: pages, counts and groups, in bounded time however many rows there are. A filter by kind,
 * name and code is served by an index, group by group. Any other one is tried on the rows, a few thousand at a time, until
 * the time is over: then a page is short, and a count is at least what was found, even if that is nothing.
 */
import { beginsWith, type CheckedFilter, meansUpdates } from '../replay/filter.ts';
import type { RowKind } from '../shared/item.ts';
import type { Database, Rows } from '../shared/mysql/database.ts';
import type { Count, QuarantineGroup } from './answers.ts';
import { countUpTo } from './counts.ts';

export interface Limits {
  /** After this, what was found is enough. */
  readonly ms: number;
  /** Most rows that are counted. */
  readonly most: number;
  /** Only rows with numbers up to this one. */
  readonly last?: number | undefined;
}

/** For what is shown; who is about to change rows waits longer. */
export const GLANCE: Limits = { ms: 50, most: 100_000 };

/** Rows that are alike, with the numbers of the first and the last of them. */
interface Group {
  readonly kind: RowKind;
  readonly name: string;
  readonly code: string;
  readonly cause: 'refused' | 'held';
  readonly first: number;
  readonly last: number;
}

interface Condition {
  readonly sql: string;
  readonly values: readonly unknown[];
  /** The index that finds its rows; the server chooses if there is none. */
  readonly index?: 'refusal' | 'item' | 'PRIMARY';
}

const fromRows = ({ index }: Condition) =>
  `FROM sluice_quarantine q${index ? ` FORCE INDEX (${index})` : ''}`;

/** Rows that one statement looks at, if no index serves the filter. */
const WINDOW = 4000;
/** Tables with fewer rows are always read to the end, however slow the server is. */
const SMALL = 2 * WINDOW;
const PATIENCE_MS = 5000;
/** Groups that are read one by one; more are read as windows. */
const MOST_GROUPS = 40;
/** Groups that an answer lists. */
export const LISTED_GROUPS = 200;
const LAST = Number.MAX_SAFE_INTEGER;

const GROUPS =
  'SELECT kind, name, error_code, cause, MIN(id) AS first, MAX(id) AS last FROM sluice_quarantine FORCE INDEX (refusal) GROUP BY error_code, kind, name, cause LIMIT 10000';
const IN_GROUP = 'q.error_code = ? AND q.kind = ? AND q.name = ? AND q.cause = ?';

/** Only what the filter names, so that the server can choose an index. */
function conditionOf(filter: CheckedFilter): Condition {
  const { ids, kind, name, key, keyPrefix, code, from, until, partition, sequence } = filter;
  const parts: [sql: string, value: unknown][] = [];
  const add = (sql: string, value: unknown) => {
    if (value !== undefined) parts.push([sql, value]);
  };
  const bytes = (text: string | undefined) => (text === undefined ? undefined : Buffer.from(text));
  const time = (text: string | undefined) => (text === undefined ? undefined : new Date(text));
  // An empty list selects nothing.
  add('q.id IN (?)', ids && (ids.length === 0 ? [0] : ids));
  add('q.kind = ?', kind);
  add('q.name = ?', bytes(name));
  add('q.item_key = ?', bytes(key));
  add("q.item_key LIKE ? ESCAPE '|'", bytes(keyPrefix && beginsWith(keyPrefix)));
  add('q.error_code = ?', code);
  add('q.created_at >= ?', time(from));
  add('q.created_at < ?', time(until));
  add('q.partition_id = ?', partition);
  add('q.sequence = ?', sequence);
  return { sql: parts.map(([sql]) => ` AND ${sql}`).join(''), values: parts.map(([, value]) => value) };
}

/** Whether the groups alone tell which rows match. */
function isOfGroups({ ids, key, keyPrefix, from, until, partition, sequence }: CheckedFilter): boolean {
  return [ids, key, keyPrefix, from, until, partition, sequence].every(criterion => criterion === undefined);
}

/** Rows of a prefix that are sorted by their numbers; of more the table is read in their order. */
const SORTED = 2000;

/**
 * The filter as conditions that exclude each other, each served by an index; undefined if there is none for them.
 * @param isOrdered whether the rows are needed in the order of their numbers
 */
async function served(
  database: Database,
  filter: CheckedFilter,
  isOrdered: boolean,
): Promise<Condition[] | undefined> {
  const { ids, key, keyPrefix } = filter;
  const condition = conditionOf(filter);
  if (condition.sql === '' || ids !== undefined) return [condition];
  const isOfKeys = key !== undefined || keyPrefix !== undefined;
  if (!isOfKeys && !isOfGroups(filter)) return undefined;
  const found = await groups(database, filter);
  if (!isOfKeys) return found.length > MOST_GROUPS ? undefined : found.map(ofGroup);
  const names = new Map(found.map(({ kind, name }) => [kind + name, { kind, name }]));
  if (names.size > MOST_GROUPS) return undefined;
  const conditions = [...names.values()].map(
    (one): Condition => ({ ...conditionOf({ ...filter, ...one }), index: 'item' }),
  );
  if (!isOrdered) return conditions;
  // Only the keys are looked at, which are in the index.
  const keysOnly = [...names.values()].map(
    (one): Condition => ({
      ...conditionOf({ ...one, ...(key === undefined ? { keyPrefix } : { key }) }),
      index: 'item',
    }),
  );
  let rows = 0;
  for (const one of keysOnly) rows += (await countDirectly(database, one, { ms: 0, most: SORTED })).count;
  return rows < SORTED ? conditions : undefined;
}

async function groups(database: Database, filter: CheckedFilter): Promise<Group[]> {
  const rows = await database.query(GROUPS);
  const all = rows.map((row): Group => {
    const { kind, name, error_code: code, cause, first, last } = row;
    return { kind, name: String(name), code: String(code), cause, first: Number(first), last: Number(last) };
  });
  const matches = (wanted: string | undefined, found: string) => wanted === undefined || wanted === found;
  return all.filter(
    ({ kind, name, code }) =>
      matches(filter.kind, kind) && matches(filter.name, name) && matches(filter.code, code),
  );
}

const ofGroup = ({ kind, name, code, cause }: Group): Condition => {
  return { sql: ` AND ${IN_GROUP}`, values: [code, kind, Buffer.from(name), cause], index: 'refusal' };
};

interface Span {
  /** Numbers above this one, up to the other one. */
  readonly after: number;
  readonly last: number;
}

interface Window extends Span {
  /** Whether all rows were looked at with this one. */
  readonly isEnd: boolean;
}

/** Where windows are, all over the table by default, and which comes first. */
interface Windows {
  readonly after?: number;
  readonly last?: number | undefined;
  readonly newestFirst?: boolean;
}

/** What came since a time is found at once from the end: numbers rise with the time, but for a few rows. */
const newestFirst = ({ from }: CheckedFilter) => from !== undefined;

async function patient(database: Database, limits: Limits): Promise<Limits> {
  const { count } = await countDirectly(database, { sql: '', values: [] }, { ...limits, most: SMALL });
  return count < SMALL ? { ...limits, ms: Math.max(limits.ms, PATIENCE_MS) } : limits;
}

/** Windows of the table, one beside the other, until the time is over. */
async function* windows(
  database: Database,
  { after = 0, last = LAST, newestFirst = false }: Windows,
  { ms }: Limits,
): AsyncGenerator<Window> {
  const end = performance.now() + ms;
  for (let [low, high] = [after, last]; ; ) {
    const [edge] = await database.query(
      `SELECT id FROM sluice_quarantine FORCE INDEX (PRIMARY) WHERE id > ? AND id <= ? ORDER BY id ${newestFirst ? 'DESC' : 'ASC'} LIMIT 1 OFFSET ?`,
      [low, high, WINDOW - 1],
    );
    const [from, to] = newestFirst
      ? [edge ? Number(edge.id) - 1 : low, high]
      : [low, edge ? Number(edge.id) : high];
    const isEnd = newestFirst ? from <= low : to >= high;
    yield { after: from, last: to, isEnd };
    if (isEnd || performance.now() > end) return;
    [low, high] = newestFirst ? [low, from] : [to, high];
  }
}

/** How many rows match. */
export async function countRows(database: Database, filter: CheckedFilter, given: Limits): Promise<Count> {
  if (!meansUpdates(filter)) return { count: 0, atLeast: false };
  const limits = await patient(database, given);
  const conditions = await served(database, filter, false);
  if (conditions) return sumOf(await countEach(database, conditions, limits), limits.most);
  const { sql, values } = conditionOf(filter);
  const { last, most } = limits;
  let [count, isAll] = [0, false];
  for await (const window of windows(database, { last, newestFirst: newestFirst(filter) }, limits)) {
    const [row] = await database.query(
      `SELECT COUNT(*) AS found FROM sluice_quarantine q FORCE INDEX (PRIMARY) WHERE q.id > ? AND q.id <= ?${sql}`,
      [window.after, window.last, ...values],
    );
    count += Number(row!.found);
    isAll = window.isEnd;
    if (count > most) return { count: most, atLeast: true };
  }
  return { count, atLeast: !isAll };
}

async function countDirectly(
  database: Database,
  condition: Condition,
  { most, last }: Limits,
): Promise<Count> {
  const { sql, values } = condition;
  const [until, lasts] = last === undefined ? ['TRUE', []] : ['q.id <= ?', [last]];
  const [row] = await database.query(
    `SELECT COUNT(*) AS found FROM (SELECT 1 ${fromRows(condition)} WHERE ${until}${sql} LIMIT ?) c`,
    [...lasts, ...values, most + 1],
  );
  return countUpTo(most, Number(row!.found));
}

/** Counts in the order of the conditions. Once the time is over, nothing is known of a condition. */
async function countEach(
  database: Database,
  conditions: readonly Condition[],
  limits: Limits,
): Promise<Count[]> {
  const end = performance.now() + limits.ms;
  const counts: Count[] = [];
  let left = limits.most;
  for (const condition of conditions) {
    if (performance.now() > end || left <= 0) {
      counts.push({ count: 0, atLeast: true });
      continue;
    }
    const counted = await countDirectly(database, condition, { ...limits, most: left });
    left -= counted.count;
    counts.push(counted);
  }
  return counts;
}

function sumOf(counts: readonly Count[], most: number): Count {
  const count = counts.reduce((sum, one) => sum + one.count, 0);
  return { count: Math.min(count, most), atLeast: count > most || counts.some(({ atLeast }) => atLeast) };
}

export interface RowPage {
  readonly rows: Rows;
  /** Number after which the next page begins; null at the end. */
  readonly next: number | null;
}

/** At most `limit` matching rows with numbers above `after`, in their order. */
export async function pageOfRows(
  database: Database,
  filter: CheckedFilter,
  after: number,
  limit: number,
): Promise<RowPage> {
  if (!meansUpdates(filter)) return { rows: [], next: null };
  const read = (condition: Condition, { after, last }: Span, most: number) =>
    database.query(
      `SELECT q.* ${fromRows(condition)} WHERE q.id > ? AND q.id <= ?${condition.sql} ORDER BY q.id LIMIT ?`,
      [after, last, ...condition.values, most],
    );
  const conditions = await served(database, filter, true);
  if (conditions) {
    const found: Rows = [];
    for (const one of conditions) found.push(...(await read(one, { after, last: LAST }, limit + 1)));
    return pageOf(
      found.sort((a, b) => Number(a.id) - Number(b.id)),
      limit,
    );
  }
  const condition: Condition = { ...conditionOf(filter), index: 'PRIMARY' };
  const rows: Rows = [];
  let reached = after;
  for await (const window of windows(database, { after }, await patient(database, GLANCE))) {
    rows.push(...(await read(condition, window, limit + 1 - rows.length)));
    reached = window.last;
    if (rows.length > limit) break;
  }
  const page = pageOf(rows, limit);
  return page.next === null && reached < LAST ? { ...page, next: reached } : page;
}

function pageOf(rows: Rows, limit: number): RowPage {
  const page = rows.slice(0, limit);
  return { rows: page, next: rows.length > limit ? Number(page.at(-1)!.id) : null };
}

type CountedGroup = QuarantineGroup & { readonly updates: Count };

/** Matching rows by what they have in common, the largest first. */
export async function countedGroups(
  database: Database,
  filter: CheckedFilter,
): Promise<{ readonly groups: readonly CountedGroup[]; readonly total: Count }> {
  if (!meansUpdates(filter)) return { groups: [], total: { count: 0, atLeast: false } };
  const { found, isAll } = isOfGroups(filter)
    ? { found: await groupsByIndex(database, filter), isAll: true }
    : await groupsByWindow(database, filter);
  // Rows that nobody looked at may match, also if no other row does.
  const others: Count = { count: 0, atLeast: !isAll };
  return {
    groups: found.sort((a, b) => b.updates.count - a.updates.count),
    total: sumOf([...found.map(({ updates }) => updates), others], GLANCE.most),
  };
}

async function groupsByIndex(database: Database, filter: CheckedFilter): Promise<CountedGroup[]> {
  const found = await groups(database, filter);
  const counted = await countEach(database, found.map(ofGroup), await patient(database, GLANCE));
  // A group that was not counted has its first and its last row.
  const counts = counted.map(({ count, atLeast }, at) => {
    const known = found[at]!.first === found[at]!.last ? 1 : 2;
    return { count: Math.max(count, known), atLeast };
  });
  const edges = found.flatMap(({ first, last }) => [first, last]);
  const times = new Map<number, string>();
  if (edges.length > 0)
    for (const row of await database.query('SELECT id, created_at FROM sluice_quarantine WHERE id IN (?)', [
      edges,
    ]))
      times.set(Number(row.id), (row.created_at as Date).toISOString());
  return found.flatMap(({ kind, name, code, cause, first, last }, at) => {
    const [oldestAt, newestAt] = [times.get(first) ?? times.get(last), times.get(last) ?? times.get(first)];
    // It left quarantine meanwhile.
    if (oldestAt === undefined || newestAt === undefined) return [];
    return [{ kind, name, code, cause, updates: counts[at]!, oldestAt, newestAt }];
  });
}

async function groupsByWindow(
  database: Database,
  filter: CheckedFilter,
): Promise<{ readonly found: CountedGroup[]; readonly isAll: boolean }> {
  const found = new Map<string, CountedGroup>();
  const read = async (condition: Condition, { after, last }: Span) => {
    const rows = await database.query(
      `SELECT q.kind, q.name, q.error_code, q.cause, COUNT(*) AS found, MIN(q.created_at) AS oldest, MAX(q.created_at) AS newest
       ${fromRows(condition)} WHERE q.id > ? AND q.id <= ?${condition.sql} GROUP BY q.kind, q.name, q.error_code, q.cause`,
      [after, last, ...condition.values],
    );
    for (const row of rows) merge(found, row);
  };
  const conditions = await served(database, filter, true);
  if (conditions) {
    for (const condition of conditions) await read(condition, { after: 0, last: LAST });
    return { found: [...found.values()], isAll: true };
  }
  const condition: Condition = { ...conditionOf(filter), index: 'PRIMARY' };
  let isAll = false;
  const place = { newestFirst: newestFirst(filter) };
  for await (const window of windows(database, place, await patient(database, GLANCE))) {
    await read(condition, window);
    isAll = window.isEnd;
  }
  const counted = [...found.values()].map(group => {
    return { ...group, updates: { ...group.updates, atLeast: !isAll } };
  });
  return { found: counted, isAll };
}

function merge(found: Map<string, CountedGroup>, row: Rows[number]): void {
  const { kind, cause } = row;
  const [name, code] = [String(row.name), String(row.error_code)];
  const [oldestAt, newestAt] = [row.oldest as Date, row.newest as Date].map(time => time.toISOString()) as [
    string,
    string,
  ];
  const key = JSON.stringify([kind, name, code, cause]);
  const before = found.get(key);
  const count = Number(row.found) + (before?.updates.count ?? 0);
  found.set(key, {
    ...{ kind, name, code, cause, updates: { count, atLeast: false } },
    oldestAt: before && before.oldestAt < oldestAt ? before.oldestAt : oldestAt,
    newestAt: before && before.newestAt > newestAt ? before.newestAt : newestAt,
  });
}
