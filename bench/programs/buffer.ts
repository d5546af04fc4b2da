// A buffer in the process: a map of sums, written with one multi-row upsert every tenth of a second. No call
// is faster, and a crash loses the map: here up to a tenth of a second of updates. If the values are read, the
// sums go to a hash in Redis as well, which a crash may leave different from MySQL.

import { setTimeout as delay, setImmediate } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { createPool } from 'mysql2/promise';
import { serve } from './serve.ts';
import { type PeerPlan, type PeerResult, Updates } from './updates.ts';
import { upsertMany } from './upserts.ts';

const flushInterval = 100;
/** Callers wait while this many keys are buffered, since memory and statements have limits. */
const keyLimit = 5000;
/** Updates between two turns of the event loop, like those of as many requests. */
const turn = 100;

export interface BufferPlan extends PeerPlan {
  /** Values to read at a time, and how often, if any are read. */
  reads?: { everyMs: number; keys: number };
}

/** What pages read: the sums of all that was flushed. */
class Values {
  readonly #redis: Redis;
  readonly #hash: string;
  reads = 0;

  constructor({ redisUrl, namespace }: PeerPlan) {
    this.#redis = new Redis(redisUrl);
    this.#hash = `${namespace}:values`;
  }

  async add(sums: ReadonlyMap<string, number>): Promise<void> {
    const pipeline = this.#redis.pipeline();
    for (const [key, n] of sums) pipeline.hincrby(this.#hash, key, n);
    await pipeline.exec();
  }

  async read(keys: string[]): Promise<void> {
    this.reads += (await this.#redis.hmget(this.#hash, ...keys)).length;
  }

  /** @throws if the sums differ */
  async check(updates: Updates): Promise<void> {
    const stored = await this.#redis.hgetall(this.#hash);
    const wrong = updates.sums.findIndex((sum, rank) => sum !== Number(stored[updates.name(rank)] ?? 0));
    if (wrong >= 0) throw new Error(`the value of ${updates.name(wrong)} in Redis is wrong`);
    this.#redis.disconnect();
  }
}

serve<BufferPlan, PeerResult>(async plan => {
  const values = plan.reads && new Values(plan);
  const pool = createPool({ uri: plan.mysqlUrl, connectionLimit: 1 });
  const updates = new Updates(plan);
  let buffer = new Map<string, number>();
  let rows = 0;
  const flush = async () => {
    const full = buffer;
    buffer = new Map();
    if (full.size === 0) return;
    rows += full.size;
    await Promise.all([upsertMany(pool, full), values?.add(full)]);
  };
  // Draws of its own, so that the updates are the same with reads and without.
  const pages = new Updates(plan, 2);
  const reading = async (isOver: () => boolean) => {
    const { everyMs, keys } = plan.reads ?? { everyMs: 0, keys: 0 };
    while (values && !isOver()) {
      await values.read(Array.from({ length: keys }, () => pages.name(pages.next())));
      await delay(everyMs);
    }
  };
  const write = async (seconds: number) => {
    const started = performance.now();
    const until = started + seconds * 1000;
    let [done, over] = [0, false];
    const flushing = (async () => {
      while (!over) {
        const due = performance.now() + flushInterval;
        while (performance.now() < due && buffer.size < keyLimit && !over) await delay(1);
        await flush();
      }
    })();
    const reader = reading(() => over);
    while (done < plan.updates && performance.now() < until) {
      for (let at = 0; at < turn && done < plan.updates && buffer.size < keyLimit; at++, done++) {
        const rank = updates.next();
        const name = updates.name(rank);
        buffer.set(name, (buffer.get(name) ?? 0) + 1);
        updates.sums[rank]!++;
      }
      await (buffer.size < keyLimit ? setImmediate() : delay(1));
    }
    over = true;
    await flushing;
    await flush();
    await reader;
    return { updates: done, seconds: (performance.now() - started) / 1000 };
  };
  await write(plan.warmUpSeconds);
  return async () => {
    rows = 0;
    const written = await write(plan.seconds);
    await pool.end();
    await values?.check(updates);
    return { ...written, sums: updates.sums, details: { rows, ...(values ? { reads: values.reads } : {}) } };
  };
});
