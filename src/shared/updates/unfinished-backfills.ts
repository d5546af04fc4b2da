/** How far backfills are that are not finished: for the metrics and `status`. */
import type { PoolConnection } from 'mysql2/promise';
import type { Kind } from '../item.ts';
import { queryRows, readSql } from '../mysql/database.ts';

export interface UnfinishedBackfill {
  readonly run: string;
  /** What it copies, and where to. */
  readonly table: string;
  readonly value: string;
  readonly kind: Kind;
  readonly to: string;
  /** Rows that there were when it began. */
  readonly rows: number;
  /** Rows that it has passed. */
  readonly passed: number;
  /** Whether a process carries it out. */
  readonly isCarriedOut: boolean;
  /** The page under way: none; recorded, and perhaps sent in part; accepted by Redis, and not all in MySQL. */
  readonly page: 'none' | 'sending' | 'accepted';
  /** How long ago it passed rows, seconds; at first, how long ago it began. */
  readonly progressSeconds: number;
  /** How long it took to pass them, seconds, pauses included. */
  readonly tookSeconds: number;
}

const UNFINISHED = readSql(new URL('./sql/unfinished-backfills.sql', import.meta.url));

/** The newest ones, the last to begin first. @throws what mysql2 throws */
export async function readUnfinishedBackfills(connection: PoolConnection): Promise<UnfinishedBackfill[]> {
  const rows = await queryRows(connection, UNFINISHED);
  return rows.map(row => {
    const { table, value, kind, to } = JSON.parse(String(row.spec));
    const { found, passed } = JSON.parse(String(row.counts));
    const isSent = Number(row.hasPage) === 1;
    return {
      run: String(row.run),
      ...{ table, value, kind, to, passed, rows: found },
      isCarriedOut: Number(row.isCarriedOut) === 1,
      page: !isSent ? 'none' : Number(row.isAccepted) === 1 ? 'accepted' : 'sending',
      // The server that answers may have another clock than the one that wrote the row.
      progressSeconds: Math.max(0, Number(row.age)) / 1_000_000,
      tookSeconds: Math.max(0, Number(row.took)) / 1_000_000,
    };
  });
}
