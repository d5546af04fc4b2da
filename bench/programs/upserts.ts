// The two statements that peers write counters with: one row, and many rows at once.

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

/** One statement. Rows are sorted by key, so that two at a time cannot wait for each other in a circle. */
export async function upsertMany(pool: Pool, sums: ReadonlyMap<string, number>): Promise<void> {
  const rows = [...sums].sort(([a], [b]) => (a < b ? -1 : 1));
  // Text and not prepared: there is a statement for each number of rows, and a prepared one ends at 65,535 values.
  await pool.query(
    MANY(rows.length),
    rows.flatMap(([key, n]) => [Buffer.from(key), n]),
  );
}
