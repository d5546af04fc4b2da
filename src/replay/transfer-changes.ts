/**
 * What operators do with transfers that are aside, since MySQL refused the credit. A retry opens the row, so that a
 * worker sends the credit again; a return makes another account its destination first, in general the source.
 *
 * Rows are changed in pages of one partition. A page is one transaction, which holds the lock of the partition's
 * watermark: the flush that could write a credit holds it too, so it sees each row either before the change or
 * after it. One lock for a page, not one for each row: in a busy partition, each lock waits for a flush.
 */
import type { PoolConnection, ResultSetHeader } from 'mysql2/promise';
import { AnswerMissingError, InvalidUpdateError } from '../shared/errors.ts';
import { LIMITS } from '../shared/limits.ts';
import { type Database, readSql } from '../shared/mysql/database.ts';
import { jsonParts } from '../shared/mysql/statement-size.ts';
import { lockWatermark } from '../shared/partition/watermark.ts';
import type { Keys } from '../shared/redis/keys.ts';
import { checkText } from '../shared/updates/key.ts';
import { repeatConflicts } from './conflicts.ts';
import { readTransfers, type TransitTransfer } from './transfers.ts';

/**
 * - `retried`, `returned`
 * - `open`: the row is not aside, so a worker may write the credit at any moment; or somebody changed it meanwhile
 * - `gone`: there is no such row; the credit was written, or there never was such a transfer
 */
export type TransferOutcome = 'retried' | 'returned' | 'open' | 'gone';

/** A return to the account that is the destination already. */
const SAME = 'refused:INVALID_ACCOUNT';

/** What becomes of a transfer that is aside. */
export interface TransferChange {
  readonly done: 'retried' | 'returned';
  /** Its destination from now on; undefined for a return that changes nothing. */
  targetOf(row: TransitTransfer): Destination | undefined;
}

interface Destination {
  readonly account: string;
  readonly partition: number;
}

/** A transfer as it was, and what became of it. */
export interface ChangedTransfer {
  readonly row: TransitTransfer;
  readonly outcome: TransferOutcome | typeof SAME;
}

/** Called in the transaction of a page, to record what became of each row. */
export type RecordChanges = (
  connection: PoolConnection,
  changed: readonly { readonly row: TransitTransfer; readonly outcome: string }[],
) => Promise<void>;

const OPEN = readSql(new URL('./sql/open-again.sql', import.meta.url));
/** Most rows of a page: a flush waits for the page's lock, some milliseconds. */
const PAGE = 300;
/** Most rows that wait for their pages to be full. */
const WAITING = 20_000;

export const RETRY: TransferChange = {
  done: 'retried',
  targetOf: ({ to, partition }) => ({ account: to, partition }),
};

/** @param to the account that gets the points; the source by default */
export function returning(keys: Pick<Keys, 'partitionOf'>, to?: string): TransferChange {
  return {
    done: 'returned',
    targetOf: row => {
      const account = to ?? row.from;
      return account === row.to ? undefined : { account, partition: keys.partitionOf(account) };
    },
  };
}

/** The rows in pages of one partition. */
export async function* inPages(
  rows: AsyncIterable<TransitTransfer> | Iterable<TransitTransfer>,
): AsyncGenerator<readonly TransitTransfer[]> {
  const pages = new Map<number, TransitTransfer[]>();
  let waiting = 0;
  for await (const row of rows) {
    const page = pages.get(row.partition) ?? [];
    page.push(row);
    pages.set(row.partition, page);
    waiting++;
    const full = page.length >= PAGE ? page : waiting >= WAITING ? longest(pages) : undefined;
    if (!full) continue;
    pages.delete(full[0]!.partition);
    waiting -= full.length;
    yield full;
  }
  yield* pages.values();
}

function longest(pages: ReadonlyMap<number, TransitTransfer[]>): TransitTransfer[] {
  return [...pages.values()].reduce((a, b) => (b.length > a.length ? b : a));
}

/**
 * Changes those of these transfers that are still aside as they were listed: all of them, or none after an error.
 * @param page of one partition
 * @throws DatabaseUnavailableError, AccessDeniedError, DatabaseFailedError
 */
export async function changeTransfers(
  database: Database,
  page: readonly TransitTransfer[],
  change: TransferChange,
  record: RecordChanges = async () => {},
): Promise<readonly ChangedTransfer[]> {
  const attempt = () =>
    database.transaction(async connection => {
      await lockWatermark(connection, page[0]!.partition);
      const names = page.map(({ transfer }) => transfer);
      const there = new Map((await readTransfers(connection, names)).map(row => [row.transfer, row]));
      const opened: [transfer: string, account: string, partition: number][] = [];
      const changed = page.map((listed): ChangedTransfer => {
        const row = there.get(listed.transfer);
        if (!row) return { row: listed, outcome: 'gone' };
        if (!isAsListed(row, listed)) return { row, outcome: 'open' };
        const target = change.targetOf(row);
        if (!target) return { row, outcome: SAME };
        opened.push([row.transfer, target.account, target.partition]);
        return { row, outcome: change.done };
      });
      await record(connection, changed);
      await open(connection, opened);
      return changed;
    });
  return database.explained(() => repeatConflicts(attempt));
}

/** Another operator may have been faster. Then this lock may be that of a partition which the row has left. */
function isAsListed(row: TransitTransfer, listed: TransitTransfer): boolean {
  const isSame = row.partition === listed.partition && row.to === listed.to && row.code === listed.code;
  return isSame && row.state === 'aside';
}

/** @throws AnswerMissingError if one of them is not aside, so that none is opened */
async function open(
  connection: PoolConnection,
  rows: readonly [transfer: string, account: string, partition: number][],
): Promise<void> {
  for (const { json, rows: part } of jsonParts(connection, rows, row => row)) {
    const [{ affectedRows }] = await connection.query<ResultSetHeader>(OPEN, [json]);
    if (affectedRows !== part.length) throw new AnswerMissingError('the row of a transfer that is aside');
  }
}

/** Opens a transfer that is aside. @throws as `changeTransfers` */
export async function retryTransfer(
  database: Database,
  transfer: string,
  record?: RecordChanges,
): Promise<TransferOutcome> {
  return (await changeOne(database, transfer, RETRY, record)) as TransferOutcome;
}

/**
 * Makes the source, or another account, the destination of a transfer that is aside, and opens it.
 * @param to the account that gets the points; the source by default
 * @throws InvalidUpdateError if `to` is no account or the destination already; otherwise as `changeTransfers`
 */
export async function returnTransfer(
  database: Database,
  keys: Pick<Keys, 'partitionOf'>,
  transfer: string,
  to?: string,
  record?: RecordChanges,
): Promise<TransferOutcome> {
  if (to !== undefined) checkText(to, 'INVALID_ACCOUNT', 'account', LIMITS.account);
  const outcome = await changeOne(database, transfer, returning(keys, to), record);
  if (outcome !== SAME) return outcome;
  throw new InvalidUpdateError(
    'INVALID_ACCOUNT',
    'The transfer already has this account as its destination; retry it, or name another account.',
  );
}

async function changeOne(
  database: Database,
  transfer: string,
  change: TransferChange,
  record?: RecordChanges,
): Promise<ChangedTransfer['outcome']> {
  const read = (connection: PoolConnection) => readTransfers(connection, [transfer]);
  const [row] = await database.explained(() => database.session(read));
  if (!row) return 'gone';
  const [changed] = await changeTransfers(database, [row], change, record);
  return changed!.outcome;
}
