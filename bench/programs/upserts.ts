// The two statements with which peers write counters: for one row, and for many.

import type { Pool } from 'mysql2/promise';

const ONE = `INSERT INTO sluice_counters (counter, counter_key, value, updated_at)
  VALUES ('page_views', ?, 1, UTC_TIMESTAMP(3))
  ON DUPLICATE KEY UPDATE value = value + 1, updated_at = UTC_TIMESTAMP(3)`;
const MANY = (rows: number) => `INSERT INTO sluice_counters (counter, counter_key, value, updated_at)
  VALUES ${Array.from({ length: rows }, () => "('page_views', ?, ?, UTC_TIMESTAMP(3))").join()} AS new
  ON DUPLICATE KEY UPDATE value = sluice_counters.value + new.value, updated_at = new.updated_at`;

export async function upsertOne(pool: Pool, key: string): Promise<void> {
  await pool.execute(ONE, [Buffer.from(key)]);
}

/** Writes many rows in one statement, sorted by key, so that two statements cannot deadlock. */
export async function upsertMany(pool: Pool, sums: ReadonlyMap<string, number>): Promise<void> {
  const rows = [...sums].sort(([a], [b]) => (a < b ? -1 : 1));
  // Text, not prepared: every number of rows is another statement, and a prepared one allows 65,535 values.
  await pool.query(
    MANY(rows.length),
    rows.flatMap(([key, n]) => [Buffer.from(key), n]),
  );
}
