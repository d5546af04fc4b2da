// The upper limit of points: ledger rows and sums of accounts that were made before, written with the engine's
// two statements and nothing else. They are made before the clock starts, so that this measures MySQL.

import { crc32 } from 'node:zlib';
import { createPool, type Pool } from 'mysql2/promise';
import { Traffic } from '../../scripts/load/traffic.ts';
import { readSql } from '../../src/shared/mysql/database.ts';
import { OwnTable } from '../../src/shared/values/tables.ts';
import { ledgerNumber } from '../../src/worker/entries.ts';
import type { BulkUpsertPlan } from './bulk-upsert.ts';
import { serve } from './serve.ts';
import type { PeerResult } from './updates.ts';

interface Batch {
  readonly entriesJson: string;
  readonly sumsJson: string;
  readonly entries: number;
  readonly accounts: number;
}

const UPSERT = new OwnTable('p').sql.add;
const INSERT = readSql(new URL('../../src/worker/sql/insert-entries.sql', import.meta.url));

class Batches {
  readonly balances: Float64Array;
  readonly entries: Float64Array;
  readonly #plan: BulkUpsertPlan;
  readonly #traffic: Traffic;
  #sequence = 0;

  constructor(plan: BulkUpsertPlan) {
    this.#plan = plan;
    this.#traffic = new Traffic({ counterKeys: 1, accounts: plan.keys, pointsShare: 1, seed: 1 });
    this.balances = new Float64Array(plan.keys);
    this.entries = new Float64Array(plan.keys);
  }

  /**
   * Batches of each connection. A partition belongs to one connection, so that none waits for another's rows,
   * and a connection writes its partitions together, as the engine writes those of a group.
   */
  make(updates: number): Batch[][] {
    const { connections, updatesPerBatch, partitions } = this.#plan;
    const made: Batch[][] = Array.from({ length: connections }, () => []);
    const inEach = updatesPerBatch * partitions;
    for (let left = updates; left > 0; left -= inEach)
      for (const [connection, batch] of this.#draw(Math.min(left, inEach)).entries())
        made[connection]!.push(batch);
    return made;
  }

  /** One batch for each connection. */
  #draw(count: number): Batch[] {
    const { connections, partitions } = this.#plan;
    const sequence = ++this.#sequence;
    const positions = new Array<number>(partitions).fill(0);
    const parts = Array.from({ length: connections }, () => ({
      rows: [] as unknown[][],
      sums: new Map<string, number>(),
    }));
    const { updates, targets } = this.#traffic.call(count);
    for (const [at, update] of updates.entries()) {
      if (!('account' in update) || !('amount' in update) || 'post' in update) continue;
      const { points, account, amount, id, reason } = update;
      const partition = crc32(account) % partitions;
      const number = -1 - targets[at]!;
      this.balances[number]! += amount;
      this.entries[number]!++;
      const ledgerNo = ledgerNumber(sequence, positions[partition]!++).toString();
      const { rows, sums } = parts[partition % connections]!;
      const balance = this.balances[number];
      rows.push([partition, ledgerNo, points, account, id, amount, balance, reason, null, Date.now()]);
      sums.set(account, (sums.get(account) ?? 0) + amount);
    }
    return parts.map(({ rows, sums }) => ({
      entriesJson: JSON.stringify(rows.toSorted(([a], [b]) => Number(a) - Number(b))),
      sumsJson: JSON.stringify(
        [...sums].sort(([a], [b]) => (a < b ? -1 : 1)).map(([account, sum]) => ['loyalty', account, sum]),
      ),
      entries: rows.length,
      accounts: sums.size,
    }));
  }
}

serve<BulkUpsertPlan, PeerResult>(async plan => {
  const pool = createPool({ uri: plan.mysqlUrl, connectionLimit: plan.connections });
  const batches = new Batches(plan);
  const [before, measured] = [batches.make(plan.warmUpUpdates), batches.make(plan.updates)];
  await write(pool, before);
  return async () => {
    const started = performance.now();
    const { updates, ...details } = await write(pool, measured);
    const seconds = (performance.now() - started) / 1000;
    await pool.end();
    const { balances, entries } = batches;
    return { updates, seconds, sums: new Float64Array(0), balances, entries, details };
  };
});

async function write(pool: Pool, batches: Batch[][]) {
  const done = { updates: 0, rows: 0, statements: 0 };
  const writer = async (own: Batch[]) => {
    for (const { sumsJson, entriesJson, entries, accounts } of own) {
      await pool.query(UPSERT, [sumsJson]);
      await pool.query(INSERT, [entriesJson]);
      done.statements += 2;
      done.updates += entries;
      done.rows += entries + accounts;
    }
  };
  await Promise.all(batches.map(writer));
  return done;
}
