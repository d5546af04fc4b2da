/**
 * The journal: recent batches of each partition, with their tokens and outcomes, written in the transaction
 * of each batch. It tells whether a batch that Redis or a late worker still has was written before.
 */
import type { PoolConnection } from 'mysql2/promise';
import { queryRow, queryRows, readSql } from '../shared/mysql/database.ts';
import { literalBytes, roomFor } from '../shared/mysql/statement-size.ts';
import type { Batch } from './batch.ts';

/** Results of a batch's rows, recorded for the worker that acknowledges it, which may be another one. */
export interface Outcome {
  /** Accounts (items) whose live value is wrong, since an entry was in the ledger already. */
  readonly late: string[];
  /** Kind and item of live values that an amendment changed in vain; absent in records of older versions. */
  readonly reload?: string[];
  /** Updates of the batch that went into quarantine, held ones included. */
  readonly quarantined: number;
  /** Held ones of them; absent in records of older versions. */
  readonly held?: number;
  /** Entries left out because their id is in quarantine already; absent in records of older versions. */
  readonly quarantinedBefore?: number;
  /** Counter keys claimed in total, this batch included: receipts find the batch of a sum by it. */
  readonly popped?: number;
}

/** What the journal keeps of a batch. */
export interface BatchRecord {
  readonly batch: Batch;
  /** Ledger rows. */
  readonly entries: number;
  /** Rows of values and of the ledger. */
  readonly rows: number;
  readonly outcome: Outcome;
}

const RECORD = readSql(new URL('./sql/record-batch.sql', import.meta.url));
const ROW = RECORD.slice(RECORD.indexOf('(?'));
const PRUNE_EVERY = 64;
/** Most bytes of an outcome: it is one row in MySQL and one call of ack.lua. */
const LONGEST_OUTCOME = 256 * 1024;

/** Whether the outcome fits a row of the journal and a statement on this connection. */
export function fitsJournal(connection: PoolConnection, outcome: Outcome): boolean {
  return literalBytes(JSON.stringify(outcome)) <= Math.min(LONGEST_OUTCOME, roomFor(connection));
}

export class Journal {
  readonly #keep: number;

  /** @param keep number of batches of a partition */
  constructor(keep: number) {
    this.#keep = keep;
  }

  /**
   * Records batches of different partitions, in one statement; every 64th time of a partition it also deletes
   * its old ones.
   */
  async record(connection: PoolConnection, records: readonly BatchRecord[]): Promise<void> {
    const values = records.flatMap(({ batch, entries, rows, outcome }) => {
      const { partition, sequence, token, updates } = batch;
      return [partition, sequence, token, entries, updates, JSON.stringify({ ...outcome, rows })];
    });
    await connection.query(`${RECORD}${`, ${ROW}`.repeat(records.length - 1)}`, values);
    for (const { batch } of records) await this.#prune(connection, batch);
  }

  async #prune(connection: PoolConnection, { partition, sequence }: Batch): Promise<void> {
    const last = sequence - this.#keep;
    if (sequence % PRUNE_EVERY !== 0 || last <= 0) return;
    await connection.query(
      'DELETE FROM sluice_batches WHERE partition_id = ? AND sequence <= ? ORDER BY sequence LIMIT ?',
      [partition, last, PRUNE_EVERY * 4],
    );
  }

  /** The outcome of the batch with this token; undefined if the journal does not have it, or no longer. */
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

  /** The oldest sequence number; undefined if the journal is empty. */
  async oldest(connection: PoolConnection, partition: number): Promise<number | undefined> {
    const row = await queryRow(
      connection,
      'SELECT MIN(sequence) AS oldest FROM sluice_batches WHERE partition_id = ?',
      [partition],
    );
    return row.oldest === null ? undefined : Number(row.oldest);
  }
}
