/** An update in quarantine: what a row of `sluice_quarantine` means, and the record of what an operation did to it. */
import type { PoolConnection } from 'mysql2/promise';
import { parseExact } from '../exact-json.ts';
import { queryRows, readSql } from '../mysql/database.ts';

/** An update that MySQL refused for its own sake, or that waits for its mapped table. */
export interface FailedUpdate {
  /** Its number in `sluice_quarantine`. */
  readonly id: number;
  readonly kind: 'counter' | 'entry';
  /** Counter or program. */
  readonly name: string;
  /** Counter key or account. */
  readonly key: string;
  /** What it adds; of a counter, the sum of its increments in one batch. */
  readonly amount: number;
  /** How many increments the amount sums up; 1 for an entry. */
  readonly updates: number;
  /** The entry's idempotency key; null for a counter, as reason and metadata are. */
  readonly entryId: string | null;
  readonly reason: string | null;
  /** `JSON.stringify` writes it as it was given: a number that JavaScript would write in another way is a `JSON.rawJSON`. */
  readonly metadata: Record<string, unknown> | null;
  /** `refused`: an operator deals with it. `held`: a worker writes it by itself once its mapped table takes rows. */
  readonly cause: 'refused' | 'held';
  /** What the database said: one of docs/replay.md. */
  readonly code: string;
  readonly partition: number;
  /** Of the batch in which it was refused. */
  readonly sequence: number;
  /** When it was put aside, ISO 8601. */
  readonly quarantinedAt: string;
  /** The operation that drops or edits it and that alone may; null if none does. */
  readonly takenBy: number | null;
}

/** Rows that wait for a mapped table, by counter or program, and what the database said. */
export const HELD_BY_NAME =
  "SELECT kind, name, COUNT(*) AS held, MAX(error_code) AS code FROM sluice_quarantine WHERE cause = 'held' GROUP BY kind, name";
const LOCK = 'SELECT * FROM sluice_quarantine WHERE id = ? FOR UPDATE';
const RECORD = readSql(new URL('./sql/record-item.sql', import.meta.url));

/** The row, locked until the transaction ends; undefined where it is in quarantine no more. */
export async function lockFailedUpdate(
  connection: PoolConnection,
  id: number,
): Promise<FailedUpdate | undefined> {
  const [row] = await queryRows(connection, LOCK, [id]);
  return row && toFailedUpdate(row);
}

/**
 * Records what an operation did to an update, in the caller's transaction.
 * @param done false for an outcome that changed nothing, which never replaces one that did
 */
export async function recordItem(
  connection: PoolConnection,
  operation: number,
  update: FailedUpdate,
  outcome: string,
  done = true,
): Promise<void> {
  await connection.query(RECORD, [operation, update.id, outcome, JSON.stringify(update), done ? 1 : 0]);
}

export function toFailedUpdate(row: Readonly<Record<string, unknown>>): FailedUpdate {
  const payload = parsePayload(String(row.payload));
  const entry = Array.isArray(payload) ? payload : [];
  const counted = Array.isArray(payload) ? undefined : (payload as { updates?: number } | null)?.updates;
  return {
    id: Number(row.id),
    kind: row.kind as FailedUpdate['kind'],
    name: String(row.name),
    key: String(row.item_key),
    amount: Number(row.amount),
    updates: counted ?? 1,
    entryId: row.entry_id === null ? null : String(row.entry_id),
    reason: (entry[4] as string | null | undefined) ?? null,
    metadata: (entry[5] as Record<string, unknown> | null | undefined) ?? null,
    cause: row.cause as FailedUpdate['cause'],
    code: String(row.error_code),
    partition: Number(row.partition_id),
    sequence: Number(row.sequence),
    quarantinedAt: (row.created_at as Date).toISOString(),
    takenBy: row.operation === null ? null : Number(row.operation),
  };
}

/** Undefined where it is no JSON: an operator wants to see such a row all the same. */
function parsePayload(text: string): unknown {
  try {
    return parseExact(text);
  } catch {
    return undefined;
  }
}
