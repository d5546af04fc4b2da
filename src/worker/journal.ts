/**
 * The journal: recent batches of each partition, their tokens and what became of them, so that late answers and workers
 * from the past are recognised. Written in the transaction of each batch.
 */
import type { PoolConnection } from 'mysql2/promise';
import { queryRow, queryRows, readSql } from '../shared/mysql/database.ts';
import { literalBytes, roomFor } from '../shared/mysql/statement-size.ts';
import type { Batch } from './batch.ts';

/** What became of a batch's rows; recorded in the journal, so that whoever acknowledges knows it. */
export interface Outcome {
  /** Items (`p`rogram accounts) whose live value is wrong, since an entry was in the ledger already. */
  readonly late: string[];
  /** Kind and item of live values that an amendment changed for nothing; absent in what older versions recorded. */
  readonly reload?: string[];
  /** Updates of the batch that went into quarantine, those that are held included. */
  readonly quarantined: number;
  /** Those of them that wait for their mapped table; absent in what older versions recorded. */
  readonly held?: number;
  /** Entries that were left out because the first with their id is in quarantine; absent in what older versions recorded. */
  readonly quarantinedBefore?: number;
  /** How many counter keys were claimed up to this batch, by which receipts find the batch of a sum. */
  readonly popped?: number;
}

const RECORD = readSql(new URL('./sql/record-batch.sql', import.meta.url));
const PRUNE_EVERY = 64;
/** Longest list of live values in an outcome, bytes: it is one row in MySQL, and one call of `ack` in Redis. */
const LONGEST_OUTCOME = 256 * 1024;

/** Whether a row of the journal can hold the outcome, on this connection. */
export function fitsJournal(connection: PoolConnection, outcome: Outcome): boolean {
  return literalBytes(JSON.stringify(outcome)) <= Math.min(LONGEST_OUTCOME, roomFor(connection));
}

export class Journal {
  readonly #keep: number;

  /** @param keep batches of a partition that are remembered */
  constructor(keep: number) {
    this.#keep = keep;
  }

  /** Writes the batch down, and now and then forgets the oldest ones. */
  async record(
    connection: PoolConnection,
    { partition, sequence, token, updates }: Batch,
    entries: number,
    rows: number,
    outcome: Outcome,
  ): Promise<void> {
    const content = JSON.stringify({ ...outcome, rows });
    await connection.query(RECORD, [partition, sequence, token, entries, updates, content]);
    const last = sequence - this.#keep;
    if (sequence % PRUNE_EVERY !== 0 || last <= 0) return;
    await connection.query(
      'DELETE FROM sluice_batches WHERE partition_id = ? AND sequence <= ? ORDER BY sequence LIMIT ?',
      [partition, last, PRUNE_EVERY * 4],
    );
  }

  /** What became of the batch with this token; undefined where it is not known (any more). */
  async find(connection: PoolConnection, { partition, token }: Batch): Promise<Outcome | undefined> {
    const [row] = await queryRows(
      connection,
      'SELECT outcome FROM sluice_batches WHERE partition_id = ? AND token = ? ORDER BY sequence DESC LIMIT 1',
      [partition, token],
    );
    if (!row) return undefined;
    const { outcome } = row;
    // MariaDB gives JSON as text.
    return (typeof outcome === 'string' ? JSON.parse(outcome) : outcome) ?? { late: [], quarantined: 0 };
  }

  /** The oldest sequence number; undefined where nothing is written down. */
  async oldest(connection: PoolConnection, partition: number): Promise<number | undefined> {
    const row = await queryRow(
      connection,
      'SELECT MIN(sequence) AS oldest FROM sluice_batches WHERE partition_id = ?',
      [partition],
    );
    return row.oldest === null ? undefined : Number(row.oldest);
  }
}
