/**
 * Compares the sums in `sluice_open_holds`, which metrics and pages show, with the open rows of `sluice_holds`,
 * partition by partition, and sets them right on request. Traffic may go on.
 */
import type { PoolConnection } from 'mysql2/promise';
import { type Database, queryRows, type Rows, readSql } from '../shared/mysql/database.ts';
import { lockWatermark } from '../shared/partition/watermark.ts';

/** Sums of a program's open holds in a partition that are not those of its rows. Points are exact texts. */
export interface OpenHoldsDifference {
  readonly program: string;
  readonly partition: number;
  readonly holds: number;
  readonly points: string;
  readonly expectedHolds: number;
  readonly expectedPoints: string;
}

const DIFFERENCES = readSql(new URL('./sql/open-holds-differences.sql', import.meta.url));
const PARTITIONS = 'SELECT DISTINCT partition_id FROM sluice_open_holds';
const ADD = 'INSERT IGNORE INTO sluice_open_holds (program, partition_id, holds, points) VALUES (?, ?, 0, 0)';
const SET = 'UPDATE sluice_open_holds SET holds = ?, points = ? WHERE program = ? AND partition_id = ?';

/**
 * @param partitions their number
 * @param repair sets the sums right, and returns those from before
 * @throws what mysql2 throws
 */
export async function openHoldsDifferences(
  database: Database,
  partitions: number,
  repair = false,
): Promise<OpenHoldsDifference[]> {
  const recorded = (await database.query(PARTITIONS)).map(row => Number(row.partition_id));
  const all = new Set([...Array(partitions).keys(), ...recorded]);
  const differences: OpenHoldsDifference[] = [];
  for (const partition of all) {
    const found = await database.query(DIFFERENCES, [partition, partition]);
    if (found.length === 0) continue;
    const wrong = repair
      ? await database.transaction(connection => setRight(connection, partition, partition < partitions))
      : found;
    differences.push(...wrong.map(row => toDifference(row, partition)));
  }
  return differences;
}

/** Nobody else writes the rows and the sums under the lock of the watermark. A partition that is gone has none. */
async function setRight(connection: PoolConnection, partition: number, exists: boolean): Promise<Rows> {
  if (exists) await lockWatermark(connection, partition);
  const wrong = await queryRows(connection, DIFFERENCES, [partition, partition]);
  for (const { program, holds, points } of wrong) {
    await connection.query(ADD, [program, partition]);
    await connection.query(SET, [String(holds), String(points), program, partition]);
  }
  return wrong;
}

function toDifference(row: Rows[number], partition: number): OpenHoldsDifference {
  return {
    program: String(row.program),
    partition,
    holds: Number(row.kept_holds),
    points: String(row.kept_points),
    expectedHolds: Number(row.holds),
    expectedPoints: String(row.points),
  };
}
