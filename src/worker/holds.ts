/**
 * Holds of a batch: rows of `sluice_holds`, in the transaction of their batch (docs/decisions/0029-holds.md). The caller
 * holds the lock of the partition's watermark, so nobody else writes them. Only a post also moves points: it goes on as
 * an ordinary debit.
 */
import type { PoolConnection, ResultSetHeader } from 'mysql2/promise';
import { AnswerMissingError } from '../shared/errors.ts';
import { idText } from '../shared/item.ts';
import { queryRows, readSql } from '../shared/mysql/database.ts';
import { jsonParts } from '../shared/mysql/statement-size.ts';
import { HOLD_STATUSES, type HoldStatus, holdOf, type RecordedHold } from '../shared/updates/hold.ts';
import type { RecordedEntry } from '../shared/updates/record.ts';
import type { Batch } from './batch.ts';

const sql = (name: string) => readSql(new URL(`./sql/${name}.sql`, import.meta.url));
const FIND = sql('find-holds');
const INSERT = sql('insert-holds');
const END = sql('end-holds');
const ADD_OPEN = sql('add-open-holds');

type HoldEntry = RecordedEntry & { readonly hold: RecordedHold };

/** A hold that a batch begins, or ends, or both. */
interface Changed {
  readonly program: string;
  readonly account: string;
  readonly id: string;
  readonly partition: number;
  readonly amount: number;
  status: HoldStatus;
  posted: number;
  /** Times are ms; null without one. */
  endedAt: number | null;
  /** Null if MySQL has its row. */
  readonly begun: { readonly expiresAt: number | null; readonly createdAt: number } | null;
}

/** What a batch does to holds. */
export interface HoldPlan {
  readonly changed: readonly Changed[];
  /** All that may go into the ledger: the other entries, and the posts that count, in their order. */
  readonly ledger: readonly RecordedEntry[];
  /** Entries that MySQL must not have: of a hold that it knows, or of an end after another one. */
  readonly leftOut: readonly RecordedEntry[];
}

function isOfHold(entry: RecordedEntry): entry is HoldEntry {
  return entry.hold !== undefined;
}

function nameOf(entry: RecordedEntry): string {
  return idText(entry.item, holdOf(entry.id)!);
}

/** Decides about the holds of these batches, of different partitions. Writes nothing. */
export async function planHolds(
  connection: PoolConnection,
  batches: readonly Batch[],
): Promise<Map<Batch, HoldPlan>> {
  const holds = await known(
    connection,
    batches.flatMap(({ entries }) => entries.filter(isOfHold)),
  );
  return new Map(batches.map(batch => [batch, planOf(batch, holds)]));
}

/** @param holds as they stand; updated with each entry, in the order of their acceptance */
function planOf({ partition, entries }: Batch, holds: Map<string, Changed>): HoldPlan {
  if (!entries.some(isOfHold)) return { changed: [], ledger: entries, leftOut: [] };
  const changed = new Set<Changed>();
  const leftOut: RecordedEntry[] = [];
  const ledger: RecordedEntry[] = [];
  for (const entry of entries) {
    if (!isOfHold(entry)) {
      ledger.push(entry);
      continue;
    }
    const name = nameOf(entry);
    const hold =
      entry.hold.action === 'h' ? begun(partition, entry, holds.get(name)) : ended(entry, holds.get(name));
    if (!hold) {
      leftOut.push(entry);
      continue;
    }
    holds.set(name, hold);
    changed.add(hold);
    if (entry.hold.action === 'p') ledger.push(entry);
  }
  return { changed: [...changed], ledger, leftOut };
}

function begun(partition: number, entry: HoldEntry, row: Changed | undefined): Changed | undefined {
  if (row) return undefined;
  const { program, account, hold, acceptedAt } = entry;
  return {
    ...{ program, account },
    id: holdOf(entry.id)!,
    partition,
    amount: hold.held,
    status: 'open',
    posted: 0,
    endedAt: null,
    begun: { expiresAt: hold.expiresAt > 0 ? hold.expiresAt : null, createdAt: acceptedAt },
  };
}

/** Ends the hold, if this end counts. */
function ended(
  { hold: { action }, amount, acceptedAt }: HoldEntry,
  row: Changed | undefined,
): Changed | undefined {
  const posted = 0 - amount;
  if (row?.status !== 'open' || posted > row.amount) return undefined;
  row.status = HOLD_STATUSES[action as 'p' | 'v' | 'e'];
  row.posted = posted;
  row.endedAt = acceptedAt;
  return row;
}

/** The rows of the holds that these entries name. */
async function known(
  connection: PoolConnection,
  actions: readonly HoldEntry[],
): Promise<Map<string, Changed>> {
  const names = new Map(actions.map(entry => [nameOf(entry), entry]));
  const rows = new Map<string, Changed>();
  const encode = ({ program, account, id }: RecordedEntry) => [program, account, holdOf(id)!];
  for (const { json } of jsonParts(connection, [...names.values()], encode))
    for (const row of await queryRows(connection, FIND, [json])) {
      const [program, account, id] = [String(row.program), String(row.account), String(row.hold_id)];
      rows.set(idText(`${program}:${account}`, id), {
        ...{ program, account, id },
        partition: Number(row.partition_id),
        amount: Number(row.amount),
        status: row.status as HoldStatus,
        posted: 0,
        endedAt: null,
        begun: null,
      });
    }
  return rows;
}

/** Writes the rows. @throws the error of MySQL; AnswerMissingError if an open row is gone */
export async function writeHolds(connection: PoolConnection, changed: readonly Changed[]): Promise<void> {
  const encode = ({ program, account, id, partition, begun, amount, status, posted, endedAt }: Changed) => [
    ...[program, account, id, partition, amount, status, posted],
    ...[begun?.expiresAt, begun?.createdAt, endedAt],
  ];
  const fresh = changed.filter(({ begun }) => begun !== null);
  for (const { json } of jsonParts(connection, fresh, encode)) await connection.query(INSERT, [json]);
  const others = changed.filter(({ begun }) => begun === null);
  for (const { json, rows } of jsonParts(connection, others, encode)) {
    const [{ affectedRows }] = await connection.query<ResultSetHeader>(END, [json]);
    if (affectedRows !== rows.length) throw new AnswerMissingError('the row of an open hold');
  }
  await addOpen(connection, changed);
}

/** Sums of a program's open holds in a partition. */
interface OpenHolds {
  readonly program: string;
  readonly partition: number;
  holds: number;
  /** The amounts of a batch may add up to more than a number keeps exactly. */
  points: bigint;
}

/** Keeps the sums of open holds equal to their rows. A hold that begins and ends in one batch changes nothing. */
async function addOpen(connection: PoolConnection, changed: readonly Changed[]): Promise<void> {
  const sums = new Map<string, OpenHolds>();
  for (const { program, partition, amount, status, begun } of changed) {
    const sign = (status === 'open' ? 1 : 0) - (begun === null ? 1 : 0);
    if (sign === 0) continue;
    const name = `${partition}:${program}`;
    const sum = sums.get(name) ?? { program, partition, holds: 0, points: 0n };
    sums.set(name, sum);
    sum.holds += sign;
    sum.points += BigInt(sign * amount);
  }
  const encode = ({ program, partition, holds, points }: OpenHolds) => [
    program,
    partition,
    holds,
    `${points}`,
  ];
  const others = [...sums.values()].filter(({ holds, points }) => holds !== 0 || points !== 0n);
  for (const { json } of jsonParts(connection, others, encode)) await connection.query(ADD_OPEN, [json]);
}

/** The live values that an entry leaves wrong if it is left out: its account and its hold's record. */
export function liveFieldsOf(entry: RecordedEntry): readonly string[] {
  return [`p${entry.item}`, `h${nameOf(entry)}`];
}
