/** An update in quarantine: a row of `sluice_quarantine`, and the record of what an operation did to it. */
import { createHash } from 'node:crypto';
import type { PoolConnection } from 'mysql2/promise';
import { parseExact } from '../exact-json.ts';
import type { RowKind } from '../item.ts';
import { queryRows, readSql } from '../mysql/database.ts';
import { jsonParts } from '../mysql/statement-size.ts';
import { holdOf } from './hold.ts';

/** An update that MySQL refused, or that waits for its mapped table. */
export interface FailedUpdate {
  /** Its number in `sluice_quarantine`. */
  readonly id: number;
  /** `max`, `min` and `last` are values, by the rule that keeps one of two. */
  readonly kind: RowKind;
  /** Counter, program or value. */
  readonly name: string;
  /** Key or account. */
  readonly key: string;
  /** The amount of an entry, the sum of a counter's increments in one batch, or the number that a value is put to. */
  readonly amount: number;
  /** Number of increments in that sum, or of puts of which this one was kept; 1 for an entry. */
  readonly updates: number;
  /** Version of a `last` value; null for the other kinds. */
  readonly version: number | null;
  /** The entry's idempotency key; null for the other kinds, as reason and metadata are. */
  readonly entryId: string | null;
  readonly reason: string | null;
  /** A number that JavaScript would write differently is raw JSON, so `JSON.stringify` keeps it. */
  readonly metadata: Record<string, unknown> | null;
  /** The destination, if it is the debit of a transfer; else null. */
  readonly to: string | null;
  /** The id of the hold, if it is the debit of a post; else null. */
  readonly hold: string | null;
  /** `refused`: an operator decides about it. `held`: a worker writes it once its mapped table takes rows. */
  readonly cause: 'refused' | 'held';
  /** Error code of the database or of Sluice; docs/replay.md lists them. */
  readonly code: string;
  readonly partition: number;
  /** Sequence number of the batch in which it was refused. */
  readonly sequence: number;
  /** ISO 8601. */
  readonly quarantinedAt: string;
  /** The only operation that may drop or edit it; null if none has taken it. */
  readonly takenBy: number | null;
}

/** Held rows by counter, program or value, and an error code of the database. */
export const HELD_BY_NAME =
  "SELECT kind, name, COUNT(*) AS held, MAX(error_code) AS code FROM sluice_quarantine WHERE cause = 'held' GROUP BY kind, name";
const LOCK = 'SELECT * FROM sluice_quarantine WHERE id = ? FOR UPDATE';
const RECORD = readSql(new URL('./sql/record-item.sql', import.meta.url));
const RECORD_TRANSFERS = readSql(new URL('./sql/record-transfers.sql', import.meta.url));

/** Locks the row until the transaction ends. Undefined if it is no longer in quarantine. */
export async function lockFailedUpdate(
  connection: PoolConnection,
  id: number,
): Promise<FailedUpdate | undefined> {
  const [row] = await queryRows(connection, LOCK, [id]);
  return row && toFailedUpdate(row);
}

/**
 * Records what an operation did to an update, in the caller's transaction.
 * @param done false for an outcome that changed nothing; it never replaces one that did
 */
export async function recordItem(
  connection: PoolConnection,
  operation: number,
  update: FailedUpdate,
  outcome: string,
  done = true,
): Promise<void> {
  const original = JSON.stringify(update);
  await connection.query(RECORD, [operation, update.id, outcome, original, digestOf(update), done ? 1 : 0]);
}

/**
 * Records what an operation did to the hold that it names. It has no number.
 * @param original the hold before that, as JSON
 */
export async function recordHold(
  connection: PoolConnection,
  operation: number,
  outcome: string,
  original: string,
): Promise<void> {
  await connection.query(RECORD, [operation, 0, outcome, original, null, 1]);
}

function digestOf({ kind, name, key, entryId }: FailedUpdate): Buffer | null {
  return kind === 'entry' && entryId !== null ? entryDigest(name, key, entryId) : null;
}

/** By it, records of what operations did to an entry are found. */
export function entryDigest(program: string, account: string, id: string): Buffer {
  return createHash('sha256')
    .update(JSON.stringify([program, account, id]))
    .digest()
    .subarray(0, 16);
}

/** What an operation did to a transfer that waits for its credit. */
interface TransferRecord {
  readonly transfer: string;
  readonly outcome: string;
  /** The transfer before that, as JSON. */
  readonly original: string;
}

/** The same for transfers. */
export async function recordTransfers(
  connection: PoolConnection,
  operation: number,
  records: readonly TransferRecord[],
): Promise<void> {
  const encode = ({ transfer, outcome, original }: TransferRecord) => [transfer, outcome, original];
  for (const { json } of jsonParts(connection, records, encode))
    await connection.query(RECORD_TRANSFERS, [operation, json]);
}

export function toFailedUpdate(row: Readonly<Record<string, unknown>>): FailedUpdate {
  const payload = parsePayload(String(row.payload));
  const [, , , , reason, ...rest] = Array.isArray(payload) ? payload : [];
  const counted = Array.isArray(payload) ? undefined : (payload as { updates?: number } | null)?.updates;
  return {
    id: Number(row.id),
    kind: row.kind as FailedUpdate['kind'],
    name: String(row.name),
    key: String(row.item_key),
    amount: Number(row.amount),
    updates: counted ?? 1,
    version: row.version === null || row.version === undefined ? null : Number(row.version),
    entryId: row.entry_id === null ? null : String(row.entry_id),
    reason: (reason as string | null | undefined) ?? null,
    metadata: (rest.at(-1) as Record<string, unknown> | null | undefined) ?? null,
    to: rest.length > 1 ? (rest[0] as string) : null,
    hold: (row.entry_id === null ? undefined : holdOf(String(row.entry_id))) ?? null,
    cause: row.cause as FailedUpdate['cause'],
    code: String(row.error_code),
    partition: Number(row.partition_id),
    sequence: Number(row.sequence),
    quarantinedAt: (row.created_at as Date).toISOString(),
    takenBy: row.operation === null ? null : Number(row.operation),
  };
}

/** Undefined if it is not JSON: an operator must still be able to see such a row. */
function parsePayload(text: string): unknown {
  try {
    return parseExact(text);
  } catch {
    return undefined;
  }
}
