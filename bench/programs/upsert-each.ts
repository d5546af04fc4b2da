// One upsert per update, straight to MySQL on several connections, as in a service with nothing in between.

import { createPool } from 'mysql2/promise';
import { serve } from './serve.ts';
import { type PeerPlan, type PeerResult, Updates } from './updates.ts';
import { upsertOne } from './upserts.ts';

export interface UpsertEachPlan extends PeerPlan {
  connections: number;
}

serve<UpsertEachPlan, PeerResult>(async plan => {
  const pool = createPool({ uri: plan.mysqlUrl, connectionLimit: plan.connections });
  const updates = new Updates(plan);
  const write = async (seconds: number) => {
    const started = performance.now();
    const until = started + seconds * 1000;
    let done = 0;
    const caller = async () => {
      while (done < plan.updates && performance.now() < until) {
        done++;
        const rank = updates.next();
        await upsertOne(pool, updates.name(rank));
        updates.sums[rank]!++;
      }
    };
    await Promise.all(Array.from({ length: plan.connections }, caller));
    return { updates: done, seconds: (performance.now() - started) / 1000 };
  };
  await write(plan.warmUpSeconds);
  return async () => {
    const written = await write(plan.seconds);
    await pool.end();
    return { ...written, sums: updates.sums, details: { connections: plan.connections } };
  };
});
