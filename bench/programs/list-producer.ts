// Producer of the Redis list pattern: one LPUSH per update, many in flight.

import { Redis } from 'ioredis';
import { emptied, push } from './push.ts';
import { serve } from './serve.ts';
import { listKey, type PeerPlan, type PeerResult, Updates } from './updates.ts';

const callers = 100;

serve<PeerPlan, PeerResult>(async plan => {
  const redis = new Redis(plan.redisUrl);
  const updates = new Updates(plan);
  const list = listKey(plan.namespace);
  const pushing = {
    ...{ updates, limit: plan.updates, callers, callSize: 1 },
    send: ([rank]: readonly number[]) =>
      redis.lpush(list, JSON.stringify({ key: updates.name(rank!), by: 1 })),
    depth: () => redis.llen(list),
  };
  await push({ ...pushing, seconds: plan.warmUpSeconds });
  await emptied(pushing.depth);
  return async () => {
    const started = performance.now();
    const sent = await push({ ...pushing, seconds: plan.seconds });
    const seconds = (performance.now() - started) / 1000;
    redis.disconnect();
    return { updates: sent, seconds, sums: updates.sums, details: { pushedPerSecond: sent / seconds } };
  };
});
