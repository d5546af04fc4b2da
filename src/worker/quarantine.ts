/** Puts updates into quarantine, in the transaction of their batch, and tells which errors are refusals. */
import type { PoolConnection } from 'mysql2/promise';
import { ROW_KINDS, type RowKind } from '../shared/item.ts';
import { readSql } from '../shared/mysql/database.ts';
import { classifyDatabaseError, databaseErrorCode } from '../shared/mysql/errors.ts';
import { jsonParts, roomFor } from '../shared/mysql/statement-size.ts';
import type { RecordedEntry } from '../shared/updates/record.ts';
import { RefusedValueError } from '../shared/values/refusal.ts';
import type { Batch, CounterSum } from './batch.ts';

export type Cause = 'refused' | 'held';

export interface AsideUpdate {
  readonly kind: RowKind;
  readonly name: string;
  readonly key: string;
  readonly amount: number;
  /** Only a `last` value has one; null for the other kinds. */
  readonly version: number | null;
  /** The entry's id; null for the other kinds. */
  readonly id: string | null;
  /** JSON with all that a replay needs beyond the columns. */
  readonly payload: string;
}

/** With the code of why it is not written. */
export type CodedUpdate = AsideUpdate & { readonly code: string };

export function counterPayload(updates: number): string {
  return JSON.stringify({ updates });
}

export function counterAside({ kind, name, key, amount, version, updates }: CounterSum): AsideUpdate {
  return {
    kind: ROW_KINDS[kind],
    name,
    key,
    amount,
    version: kind === '=' ? version : null,
    id: null,
    payload: counterPayload(updates),
  };
}

export function entryAside({ program, account, amount, id, payload }: RecordedEntry): AsideUpdate {
  return { kind: 'entry', name: program, key: account, amount, version: null, id, payload };
}

const INSERT = readSql(new URL('./sql/quarantine.sql', import.meta.url));
const INSERT_ONE = readSql(new URL('./sql/quarantine-one.sql', import.meta.url));

/** Whether the error is about the data, so that a retry cannot help. */
export function isRefusal(error: unknown): boolean {
  return error instanceof RefusedValueError || classifyDatabaseError(error) === 'refused';
}

export function refusalCode(error: unknown): string {
  return error instanceof RefusedValueError ? error.code : databaseErrorCode(error);
}

/** Puts updates of one kind aside. */
export async function quarantine(
  connection: PoolConnection,
  { partition, sequence }: Pick<Batch, 'partition' | 'sequence'>,
  updates: readonly CodedUpdate[],
  cause: Cause,
): Promise<void> {
  const encode = ({ name, key, amount, version, id, code, payload }: CodedUpdate) => [
    ...[name, key, amount, version, id, code, payload],
  ];
  for (const { json, rows } of jsonParts(connection, updates, encode)) {
    const { kind } = rows[0]!;
    // The longest entry may not fit as JSON; the plain INSERT of one row takes it.
    if (rows.length === 1 && json.bytes > roomFor(connection))
      await quarantineOne(connection, partition, sequence, rows[0]!, cause);
    else await connection.query(INSERT, [partition, sequence, kind, cause, json]);
  }
}

async function quarantineOne(
  connection: PoolConnection,
  partition: number,
  sequence: number,
  { kind, name, key, amount, version, id, payload, code }: CodedUpdate,
  cause: Cause,
): Promise<void> {
  const entryId = id === null ? null : Buffer.from(id);
  await connection.query(INSERT_ONE, [
    partition,
    sequence,
    kind,
    Buffer.from(name),
    Buffer.from(key),
    amount,
    version,
    entryId,
    code,
    payload,
    cause,
  ]);
}
