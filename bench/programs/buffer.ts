// A buffer in the process: a map of sums, written with one multi-row upsert every tenth of a second. No call
// is faster, and a crash loses the map: here up to a tenth of a second of updates.

import { setTimeout as delay, setImmediate } from 'node:timers/promises';
import { createPool } from 'mysql2/promise';
import { serve } from './serve.ts';
import { type PeerPlan, type PeerResult, Updates } from './updates.ts';
import { upsertMany } from './upserts.ts';

const flushInterval = 100;
/** Callers wait while this many keys are buffered, since memory and statements have limits. */
const keyLimit = 5000;
/** Updates between two turns of the event loop, like those of as many requests. */
const turn = 100;

serve<PeerPlan, PeerResult>(async plan => {
  const pool = createPool({ uri: plan.mysqlUrl, connectionLimit: 1 });
  const updates = new Updates(plan);
  let buffer = new Map<string, number>();
  let rows = 0;
  const flush = async () => {
    const full = buffer;
    buffer = new Map();
    if (full.size === 0) return;
    rows += full.size;
    await upsertMany(pool, full);
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
    return { updates: done, seconds: (performance.now() - started) / 1000 };
  };
  await write(plan.warmUpSeconds);
  return async () => {
    rows = 0;
    const written = await write(plan.seconds);
    await pool.end();
    return { ...written, sums: updates.sums, details: { rows } };
  };
});
