/**
 * Checks holds against the ledger: each posted hold has one entry of what was posted, and no other hold has one. Traffic
 * may go on. Rows and entries are read page by page, so that memory does not grow with their number.
 */
import { type Database, type Rows, readSql } from '../shared/mysql/database.ts';
import { endId, holdOf } from '../shared/updates/hold.ts';

/** A hold whose row and entry do not fit. */
export interface HoldDifference {
  readonly program: string;
  readonly account: string;
  readonly hold: string;
  /**
   * - `NO_ENTRY`: a posted hold that took no points: its entry is neither in the ledger nor in quarantine, and no operator
   *   dropped it there
   * - `AMOUNTS_DIFFER`: its entry took more or less than was posted
   * - `NOT_POSTED`: an entry that took points of a hold that is not posted
   * - `NO_HOLD`: an entry that took points of a hold that nobody made
   */
  readonly problem: 'NO_ENTRY' | 'AMOUNTS_DIFFER' | 'NOT_POSTED' | 'NO_HOLD';
  /** Points that its row says were taken. */
  readonly posted: number;
  /** Points that the ledger says were taken. */
  readonly taken: number;
}

const sql = (name: string) => readSql(new URL(`./sql/${name}.sql`, import.meta.url));
const HOLDS_PAGE = sql('holds-page');
const HOLDS = sql('hold-differences');
const POSTS_PAGE = sql('posts-page');
const POSTS = sql('posts-without-hold');
const PROGRAMS = 'SELECT DISTINCT program FROM sluice_holds';
const DROPPED = `SELECT operation_id, quarantine_id, original FROM sluice_operation_items
  WHERE transfer = '' AND outcome = 'dropped' AND (operation_id > ? OR (operation_id = ? AND quarantine_id > ?))
  ORDER BY operation_id, quarantine_id LIMIT ?`;
const PAGE = 1000;
const NOTHING = Buffer.alloc(0);
/** Not below any account. */
const LAST = Buffer.alloc(255, 0xff);
const FIRST_POST = Buffer.from(endId(''));

/**
 * @param pageSize most rows in one page
 * @throws what mysql2 throws
 */
export async function* holdDifferences(database: Database, pageSize = PAGE): AsyncGenerator<HoldDifference> {
  for (const { program } of await database.query(PROGRAMS)) yield* ofProgram(database, program, pageSize);
  yield* postsWithoutHold(database, pageSize);
}

async function* ofProgram(
  database: Database,
  program: unknown,
  pageSize: number,
): AsyncGenerator<HoldDifference> {
  for (let [account, hold]: unknown[] = [NOTHING, NOTHING]; ; ) {
    const after = [account, account, hold];
    const [page] = await database.query(HOLDS_PAGE, [program, ...after, pageSize - 1]);
    const end = page ? [page.account, page.account, page.hold_id] : [LAST, LAST, LAST];
    const rows = await database.query(HOLDS, [program, ...after, ...end]);
    const found = rows.map(row => toDifference({ ...row, program }));
    yield* await withoutDropped(database, found, pageSize);
    if (!page) return;
    [account, hold] = [page.account, page.hold_id];
  }
}

async function* postsWithoutHold(database: Database, pageSize: number): AsyncGenerator<HoldDifference> {
  for (let after: unknown[] = [FIRST_POST, FIRST_POST, NOTHING, NOTHING, NOTHING]; ; ) {
    const [page] = await database.query(POSTS_PAGE, [...after, pageSize - 1]);
    const end = page
      ? [page.entry_id, page.entry_id, page.account, page.account, page.program]
      : [LAST, LAST, LAST, LAST, LAST];
    for (const { program, account, entry_id, amount } of await database.query(POSTS, [...after, ...end]))
      yield {
        program: String(program),
        account: String(account),
        hold: holdOf(String(entry_id))!,
        problem: 'NO_HOLD',
        posted: 0,
        taken: 0 - Number(amount),
      };
    if (!page) return;
    after = end;
  }
}

function toDifference({ program, account, hold_id, status, posted, amount }: Rows[number]): HoldDifference {
  const problem = status !== 'posted' ? 'NOT_POSTED' : amount === null ? 'NO_ENTRY' : 'AMOUNTS_DIFFER';
  return {
    program: String(program),
    account: String(account),
    hold: String(hold_id),
    problem,
    posted: Number(posted),
    taken: 0 - Number(amount ?? 0),
  };
}

/** Leaves out what an operator decided: a post in quarantine may have been dropped there. */
async function withoutDropped(
  database: Database,
  found: readonly HoldDifference[],
  pageSize: number,
): Promise<HoldDifference[]> {
  const nameOf = (program: string, account: string, id: string) => JSON.stringify([program, account, id]);
  const open = new Map(found.map(one => [nameOf(one.program, one.account, endId(one.hold)), one]));
  for (let [operation, item]: unknown[] = [0, 0]; open.size > 0; ) {
    const rows = await database.query(DROPPED, [operation, operation, item, pageSize]);
    for (const { original } of rows) {
      const { name, key, entryId } = JSON.parse(String(original)) as Record<string, string>;
      const known = open.get(nameOf(name!, key!, entryId!));
      if (known?.problem === 'NO_ENTRY') open.delete(nameOf(name!, key!, entryId!));
    }
    if (rows.length < pageSize) break;
    [operation, item] = [rows.at(-1)!.operation_id, rows.at(-1)!.quarantine_id];
  }
  return [...open.values()];
}
