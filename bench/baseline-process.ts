// The program of a baseline: upserts straight to MySQL, one update at a time or summed up in batches.
// Batches are made before the clock starts: what is measured is MySQL, not this program.

import { crc32 } from 'node:zlib';
import { createPool, type Pool } from 'mysql2/promise';
import { counterKey } from '../scripts/load/traffic.ts';
import { seededRandom, Zipf } from '../scripts/load/zipf.ts';
import { readSql } from '../src/shared/mysql.ts';
import { parseSettings } from '../src/shared/settings.ts';
import type { Load } from './scenario.ts';

export interface BaselinePlan extends Load {
  mysqlUrl: string;
  mode: 'single' | 'bulk';
  keys: number;
  connections: number;
  updatesPerBatch: number;
}

export interface BaselineResult {
  updates: number;
  rows: number;
  statements: number;
  seconds: number;
  /** What was written, by key rank, with the warm-up. */
  sums: Float64Array;
}

interface Batch {
  json: string;
  sums: Map<number, number>;
}

const SINGLE = `INSERT INTO sluice_counters (counter, counter_key, value, updated_at)
  VALUES ('page_views', ?, 1, UTC_TIMESTAMP(3)) ON DUPLICATE KEY UPDATE value = value + 1, updated_at = UTC_TIMESTAMP(3)`;
const BULK = readSql(new URL('../src/shared/sql/add-counters.sql', import.meta.url));
const preparedRounds = 40;

class Baseline {
  readonly #plan: BaselinePlan;
  readonly #zipf: Zipf;
  readonly #keys: Buffer[];
  readonly #batches: Batch[][];
  readonly #sums: Float64Array;

  constructor(plan: BaselinePlan) {
    this.#plan = plan;
    this.#zipf = new Zipf(plan.keys, 1, seededRandom(1));
    this.#keys = Array.from({ length: plan.keys }, (_, rank) => Buffer.from(counterKey(rank)));
    this.#batches = plan.mode === 'bulk' ? this.#prepare() : [];
    this.#sums = new Float64Array(plan.keys);
  }

  /** For each connection its batches: a partition belongs to one, so that no two wait for each other's rows. */
  #prepare(): Batch[][] {
    const { connections, updatesPerBatch } = this.#plan;
    const { partitions } = parseSettings();
    const partitionOf = this.#keys.map(key => crc32(key) % partitions);
    const prepared: Batch[][] = Array.from({ length: connections }, () => []);
    for (let round = 0; round < preparedRounds; round++) {
      const sums: Map<number, number>[] = Array.from({ length: partitions }, () => new Map());
      for (let drawn = 0; drawn < updatesPerBatch * partitions; drawn++) {
        const rank = this.#zipf.next();
        const sum = sums[partitionOf[rank]!]!;
        sum.set(rank, (sum.get(rank) ?? 0) + 1);
      }
      for (const [partition, sum] of sums.entries()) {
        const rows = [...sum].map(([rank, n]) => ['page_views', counterKey(rank), n]);
        rows.sort((a, b) => (a[1]! < b[1]! ? -1 : 1));
        if (rows.length > 0)
          prepared[partition % connections]!.push({ json: JSON.stringify(rows), sums: sum });
      }
    }
    return prepared;
  }

  async run(pool: Pool, seconds: number): Promise<Omit<BaselineResult, 'sums'>> {
    const { updates: limit, mode, connections } = this.#plan;
    const done = { updates: 0, rows: 0, statements: 0 };
    const started = performance.now();
    const until = started + seconds * 1000;
    let at = 0;
    const write = async (connection: number) => {
      const batches = this.#batches[connection] ?? [];
      const own = await pool.getConnection();
      while (done.updates < limit && performance.now() < until) {
        if (mode === 'single') {
          const rank = this.#zipf.next();
          await own.query(SINGLE, [this.#keys[rank]]);
          this.#note(done, new Map([[rank, 1]]));
        } else {
          const batch = batches[at++ % batches.length]!;
          await own.query(BULK, [batch.json]);
          this.#note(done, batch.sums);
        }
      }
      own.release();
    };
    await Promise.all(Array.from({ length: connections }, (_, connection) => write(connection)));
    return { ...done, seconds: (performance.now() - started) / 1000 };
  }

  #note(done: { updates: number; rows: number; statements: number }, sums: Map<number, number>): void {
    done.statements++;
    done.rows += sums.size;
    for (const [rank, n] of sums) {
      this.#sums[rank]! += n;
      done.updates += n;
    }
  }

  result(measured: Omit<BaselineResult, 'sums'>): BaselineResult {
    return { ...measured, sums: this.#sums };
  }
}

process.once('disconnect', () => process.exit());
process.once('message', async (plan: BaselinePlan) => {
  const pool = createPool({ uri: plan.mysqlUrl, connectionLimit: plan.connections });
  const baseline = new Baseline(plan);
  await baseline.run(pool, plan.warmUpSeconds);
  const measured = await baseline.run(pool, plan.seconds);
  await pool.end();
  process.send?.(baseline.result(measured));
});
