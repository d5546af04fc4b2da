// The ceiling: rows that are summed and sorted beforehand, written with the engine's own statement and nothing else.
// They are made before the clock starts: what is measured is MySQL, not this program.

import { crc32 } from 'node:zlib';
import { createPool, type Pool } from 'mysql2/promise';
import { readSql } from '../../src/shared/mysql.ts';
import { parseSettings } from '../../src/shared/settings.ts';
import { serve } from './serve.ts';
import { type PeerPlan, type PeerResult, Updates } from './updates.ts';

export interface BulkUpsertPlan extends PeerPlan {
  connections: number;
  updatesPerBatch: number;
}

interface Batch {
  json: string;
  ranks: Map<number, number>;
}

const UPSERT = readSql(new URL('../../src/shared/sql/add-counters.sql', import.meta.url));
/** More than MySQL takes here, so that no batch comes twice in one measurement. */
const rowsPerSecond = 150_000;

/** For each connection its batches: a partition belongs to one, so that no two wait for each other's rows. */
function prepare(
  { connections, updatesPerBatch, keys, ...load }: BulkUpsertPlan,
  updates: Updates,
): Batch[][] {
  const { partitions } = parseSettings();
  const partitionOf = Array.from({ length: keys }, (_, rank) => crc32(updates.name(rank)) % partitions);
  const prepared: Batch[][] = Array.from({ length: connections }, () => []);
  const wanted = Math.min(rowsPerSecond * (load.seconds + load.warmUpSeconds), 2 * load.updates);
  for (let rows = 0; rows < wanted; ) {
    const batches: Map<number, number>[] = Array.from({ length: partitions }, () => new Map());
    for (let drawn = 0; drawn < updatesPerBatch * partitions; drawn++) {
      const rank = updates.next();
      const batch = batches[partitionOf[rank]!]!;
      batch.set(rank, (batch.get(rank) ?? 0) + 1);
    }
    for (const [partition, ranks] of batches.entries()) {
      if (ranks.size === 0) continue;
      const sorted = [...ranks].map(([rank, n]) => ['page_views', updates.name(rank), n] as const);
      sorted.sort((a, b) => (a[1] < b[1] ? -1 : 1));
      prepared[partition % connections]!.push({ json: JSON.stringify(sorted), ranks });
      rows += ranks.size;
    }
  }
  return prepared;
}

serve<BulkUpsertPlan, PeerResult>(async plan => {
  const pool = createPool({ uri: plan.mysqlUrl, connectionLimit: plan.connections });
  const updates = new Updates(plan);
  const prepared = prepare(plan, updates);
  const next = prepared.map(() => 0);
  const write = async (seconds: number) => {
    const done = { updates: 0, rows: 0, statements: 0 };
    const started = performance.now();
    const until = started + seconds * 1000;
    const writer = async (batches: Batch[], connection: number) => {
      while (batches.length > 0 && done.updates < plan.updates && performance.now() < until) {
        const batch = batches[next[connection]!++ % batches.length]!;
        await upsert(pool, batch.json);
        done.statements++;
        done.rows += batch.ranks.size;
        for (const [rank, n] of batch.ranks) {
          updates.sums[rank]! += n;
          done.updates += n;
        }
      }
    };
    await Promise.all(prepared.map(writer));
    return { ...done, seconds: (performance.now() - started) / 1000 };
  };
  await write(plan.warmUpSeconds);
  return async () => {
    const { updates: written, seconds, rows, statements } = await write(plan.seconds);
    await pool.end();
    return { updates: written, seconds, sums: updates.sums, details: { rows, statements } };
  };
});

async function upsert(pool: Pool, json: string): Promise<void> {
  await pool.query(UPSERT, [json]);
}
