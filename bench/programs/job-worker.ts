// A BullMQ worker that writes the updates of its jobs to MySQL: each with its own statement, or all jobs in
// flight together in one multi-row upsert, whose commit completes them. (Only the paid edition of BullMQ
// gives several jobs to one call of a processor; with the free one, the process collects them.)

import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'bullmq';
import { createPool, type Pool } from 'mysql2/promise';
import { connect, type JobData, openQueue, queueName, unfinished } from './jobs.ts';
import { serve } from './serve.ts';
import type { PeerPlan } from './updates.ts';
import { upsertMany, upsertOne } from './upserts.ts';

export interface JobWorkerPlan extends PeerPlan {
  /** Jobs in flight at a time. */
  concurrency: number;
  connections: number;
  collects: boolean;
}

export interface JobWorkerResult {
  statements: number;
}

const lookEvery = 10;

/** Sums up the updates of jobs until the maximum number waits, or for a moment. */
class Collector {
  readonly #pool: Pool;
  readonly #size: number;
  #waiting: { key: string; done: () => void; failed: (error: unknown) => void }[] = [];
  #timer: NodeJS.Timeout | undefined;
  statements = 0;

  constructor(pool: Pool, size: number) {
    this.#pool = pool;
    this.#size = size;
  }

  add(key: string): Promise<void> {
    return new Promise((done, failed) => {
      this.#waiting.push({ key, done, failed });
      if (this.#waiting.length >= this.#size) void this.#write();
      else this.#timer ??= setTimeout(() => void this.#write(), lookEvery);
    });
  }

  async #write(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const jobs = this.#waiting;
    this.#waiting = [];
    const sums = new Map<string, number>();
    for (const { key } of jobs) sums.set(key, (sums.get(key) ?? 0) + 1);
    this.statements++;
    try {
      await upsertMany(this.#pool, sums);
      for (const { done } of jobs) done();
    } catch (error) {
      for (const { failed } of jobs) failed(error);
    }
  }
}

serve<JobWorkerPlan, JobWorkerResult>(async plan => {
  const { concurrency, connections, collects } = plan;
  const connection = connect(plan.redisUrl);
  const pool = createPool({ uri: plan.mysqlUrl, connectionLimit: connections });
  const collector = new Collector(pool, concurrency);
  let statements = 0;
  const worker = new Worker<JobData>(
    queueName,
    async ({ data }) => {
      if (collects) return collector.add(data.key);
      statements++;
      await upsertOne(pool, data.key);
    },
    { connection, prefix: plan.namespace, concurrency },
  );
  worker.on('error', () => {});
  await worker.waitUntilReady();
  return async () => {
    const queue = openQueue(connection, plan.namespace);
    while ((await unfinished(queue)) > 0) await delay(lookEvery);
    // Not awaited, since the clock stops when the last job is done.
    const close = async () => {
      await worker.close();
      await queue.close();
      await pool.end();
      connection.disconnect();
    };
    void close();
    return { statements: statements + collector.statements };
  };
});
