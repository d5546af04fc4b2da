// The upper limit: rows that were summed and sorted before, written with the engine's statement and nothing
// else. They are made before the clock starts, so that this measures MySQL, not this program.

import { setTimeout as delay } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { createPool, type Pool } from 'mysql2/promise';
import { Pace } from '../../scripts/load/pace.ts';
import { OwnTable } from '../../src/shared/values/tables.ts';
import { serve } from './serve.ts';
import { type PeerPlan, type PeerResult, Updates } from './updates.ts';

export interface BulkUpsertPlan extends PeerPlan {
  connections: number;
  updatesPerBatch: number;
  /** Written before the clock starts; `updates` come after them. */
  warmUpUpdates: number;
  /** Open loop, over all connections; as fast as MySQL can without it. */
  batchesPerSecond?: number;
}

interface Batch {
  json: string;
  ranks: Map<number, number>;
}

const UPSERT = new OwnTable('c').sql.add;

class Batches {
  readonly #plan: BulkUpsertPlan;
  readonly #updates: Updates;
  readonly #partitions: number;
  readonly #partitionOf: number[];

  constructor(plan: BulkUpsertPlan, updates: Updates) {
    this.#plan = plan;
    this.#updates = updates;
    this.#partitions = plan.partitions;
    this.#partitionOf = Array.from(
      { length: plan.keys },
      (_, rank) => crc32(updates.name(rank)) % this.#partitions,
    );
  }

  /**
   * Batches of each connection. A partition belongs to one connection, so that none waits for another's rows.
   */
  make(updates: number): Batch[][] {
    const { connections, updatesPerBatch } = this.#plan;
    const made: Batch[][] = Array.from({ length: connections }, () => []);
    for (let left = updates; left > 0; left -= updatesPerBatch * this.#partitions) {
      const drawn = this.#draw(Math.min(left, updatesPerBatch * this.#partitions));
      for (const [partition, ranks] of drawn.entries()) {
        if (ranks.size === 0) continue;
        const rows = [...ranks].map(([rank, n]) => ['page_views', this.#updates.name(rank), n] as const);
        rows.sort((a, b) => (a[1] < b[1] ? -1 : 1));
        made[partition % connections]!.push({ json: JSON.stringify(rows), ranks });
      }
    }
    return made;
  }

  /** One batch for each partition. */
  #draw(updates: number): Map<number, number>[] {
    const drawn: Map<number, number>[] = Array.from({ length: this.#partitions }, () => new Map());
    for (let at = 0; at < updates; at++) {
      const rank = this.#updates.next();
      const batch = drawn[this.#partitionOf[rank]!]!;
      batch.set(rank, (batch.get(rank) ?? 0) + 1);
    }
    return drawn;
  }
}

serve<BulkUpsertPlan, PeerResult>(async plan => {
  const pool = createPool({ uri: plan.mysqlUrl, connectionLimit: plan.connections });
  const updates = new Updates(plan);
  const batches = new Batches(plan, updates);
  const [before, measured] = [batches.make(plan.warmUpUpdates), batches.make(plan.updates)];
  await write(pool, before, updates);
  return async () => {
    const started = performance.now();
    const written = await write(pool, measured, updates, plan.batchesPerSecond);
    const seconds = (performance.now() - started) / 1000;
    await pool.end();
    const { rows, statements } = written;
    return { updates: written.updates, seconds, sums: updates.sums, details: { rows, statements } };
  };
});

async function write(pool: Pool, batches: Batch[][], { sums }: Updates, perSecond = 0) {
  const done = { updates: 0, rows: 0, statements: 0 };
  const pace = new Pace(perSecond, performance.now(), Number.POSITIVE_INFINITY);
  const writer = async (own: Batch[], connection: number) => {
    for (const [at, { json, ranks }] of own.entries()) {
      const early = perSecond > 0 ? pace.dueAt(at * batches.length + connection) - performance.now() : 0;
      if (early > 0) await delay(early);
      await pool.query(UPSERT, [json]);
      done.statements++;
      done.rows += ranks.size;
      for (const [rank, n] of ranks) {
        sums[rank]! += n;
        done.updates += n;
      }
    }
  };
  await Promise.all(batches.map(writer));
  return done;
}
