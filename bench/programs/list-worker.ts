// Worker of the Redis list pattern: a loop that takes 100 updates off the list and writes them row by row. A
// crash loses what was taken and not written yet, up to 100 updates.

import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { createPool } from 'mysql2/promise';
import { serve } from './serve.ts';
import { listKey, type PeerPlan } from './updates.ts';
import { upsertOne } from './upserts.ts';

export interface ListWorkerResult {
  statements: number;
}

const batch = 100;
const idle = 10;

serve<PeerPlan, ListWorkerResult>(async plan => {
  const redis = new Redis(plan.redisUrl);
  const pool = createPool({ uri: plan.mysqlUrl, connectionLimit: 1 });
  let [statements, last] = [0, false];
  const loop = async () => {
    for (;;) {
      const taken = await redis.rpop(listKey(plan.namespace), batch);
      for (const text of taken ?? []) {
        const { key } = JSON.parse(text) as { key: string };
        await upsertOne(pool, key);
        statements++;
      }
      if (taken) continue;
      if (last) break;
      await delay(idle);
    }
  };
  const looping = loop();
  looping.catch(() => {});
  return async () => {
    last = true;
    await looping;
    await pool.end();
    redis.disconnect();
    return { statements };
  };
});
