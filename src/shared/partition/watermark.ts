/** The watermark row of a partition: the last batch that MySQL applied, and the epoch. */
import type { PoolConnection, ResultSetHeader } from 'mysql2/promise';
import { AnswerMissingError, NotMigratedError } from '../errors.ts';
import { fillSql, queryRows, readSql } from '../mysql/database.ts';

export interface Watermark {
  readonly sequence: number;
  readonly token: string;
  readonly epoch: string;
  /**
   * Updates of the partition that the database has, by Redis' count of its history; 0 if no batch was written
   * since format 2, which counts them.
   */
  readonly updates: number;
}

/** A watermark, as far as Redis' state is compared with it. */
export type Position = Omit<Watermark, 'updates'>;

/** The row, read under its lock. */
export interface LockedWatermark extends Watermark {
  /** Whether the partition may have held updates, which wait for their mapped table. */
  readonly mayHold: boolean;
}

const LOCK = readSql(new URL('./sql/lock-watermark.sql', import.meta.url));
const UNLOCKED = LOCK.replace(/ FOR UPDATE$/, '');
const READ = 'SELECT partition_id FROM sluice_partitions WHERE partition_id = ?';
const MOVE = readSql(new URL('./sql/move-watermark.sql', import.meta.url));
const LOCK_FREE = readSql(new URL('./sql/lock-watermarks.sql', import.meta.url));
const MOVE_ALL = readSql(new URL('./sql/move-watermarks.sql', import.meta.url));

/** Locks and reads the row. @throws NotMigratedError if it is absent, since an absent row locks nothing */
export async function lockWatermark(connection: PoolConnection, partition: number): Promise<LockedWatermark> {
  const [row] = await queryRows(connection, LOCK, [partition]);
  if (!row) throw absent(partition);
  return toLocked(row);
}

/** Reads the row without a lock, so it may change at once. @throws NotMigratedError */
export async function readWatermark(connection: PoolConnection, partition: number): Promise<Watermark> {
  const [row] = await queryRows(connection, UNLOCKED, [partition]);
  if (!row) throw absent(partition);
  return toWatermark(row);
}

function absent(partition: number): NotMigratedError {
  return new NotMigratedError(`The database has no watermark row for partition ${partition}`);
}

/**
 * Like `lockWatermark`, but returns undefined at once if the row is locked. SKIP LOCKED cannot tell an absent
 * row from a locked one, so a second query looks for the row without a lock.
 * @throws NotMigratedError
 */
export async function tryLockWatermark(
  connection: PoolConnection,
  partition: number,
): Promise<Watermark | undefined> {
  const [row] = await queryRows(connection, `${LOCK} SKIP LOCKED`, [partition]);
  if (row) return toWatermark(row);
  const [seen] = await queryRows(connection, READ, [partition]);
  if (!seen) throw absent(partition);
  return undefined;
}

/**
 * Locks and reads the rows that are free, and waits for none. A row that is absent is left out like a locked
 * one; `lockWatermark` tells the two apart.
 */
export async function lockFreeWatermarks(
  connection: PoolConnection,
  partitions: readonly number[],
): Promise<Map<number, LockedWatermark>> {
  const rows = await queryRows(connection, LOCK_FREE, [partitions]);
  return new Map(rows.map(row => [Number(row.partition_id), toLocked(row)]));
}

/** Must be called under the row's lock. */
export async function moveWatermark(
  connection: PoolConnection,
  partition: number,
  { sequence, token, epoch, updates }: Watermark,
): Promise<void> {
  const [moved] = await connection.query<ResultSetHeader>(MOVE, [sequence, token, epoch, updates, partition]);
  if (moved.affectedRows !== 1) throw new AnswerMissingError(`the watermark row of partition ${partition}`);
}

/** Moves several watermarks in one statement, under the same epochs and under the locks of their rows. */
export async function moveWatermarks(
  connection: PoolConnection,
  moves: readonly (Omit<Watermark, 'epoch'> & { readonly partition: number })[],
): Promise<void> {
  const { sql } = fillSql(
    { sql: MOVE_ALL },
    { more: ' UNION ALL SELECT ?, ?, ?, ?'.repeat(moves.length - 1) },
  );
  const values = moves.flatMap(({ partition, sequence, token, updates }) => {
    return [partition, sequence, token, updates];
  });
  const [moved] = await connection.query<ResultSetHeader>(sql, values);
  if (moved.affectedRows !== moves.length)
    throw new AnswerMissingError(`watermark rows of partitions ${moves.map(({ partition }) => partition)}`);
}

/** Sets whether the partition may have held updates. Must be called under the row's lock. */
export async function setMayHold(
  connection: PoolConnection,
  partition: number,
  mayHold: boolean,
): Promise<void> {
  await connection.query('UPDATE sluice_partitions SET held = ? WHERE partition_id = ?', [
    mayHold ? 1 : 0,
    partition,
  ]);
}

function toLocked(row: Readonly<Record<string, unknown>>): LockedWatermark {
  return { ...toWatermark(row), mayHold: wholeNumber(row, 'held') === 1 };
}

/** @throws AnswerMissingError */
export function toWatermark(row: Readonly<Record<string, unknown>>): Watermark {
  return { ...toPosition(row), updates: wholeNumber(row, 'updates') };
}

/** @throws AnswerMissingError */
export function toPosition(row: Readonly<Record<string, unknown>>): Position {
  return { sequence: wholeNumber(row, 'sequence'), token: text(row, 'token'), epoch: text(row, 'epoch') };
}

function wholeNumber(row: Readonly<Record<string, unknown>>, column: string): number {
  const value = Number(row[column] ?? Number.NaN);
  if (!Number.isSafeInteger(value)) throw new AnswerMissingError(`${column} of a watermark`);
  return value;
}

function text(row: Readonly<Record<string, unknown>>, column: string): string {
  const value = row[column];
  if (value === undefined || value === null) throw new AnswerMissingError(`${column} of a watermark`);
  return String(value);
}
