// HINCRBY at a steady rate on one connection, pipelined by ioredis: the least that a call of Redis can be. A
// latency counts from when its call was due, as in `steady`.

import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { Latencies } from '../../scripts/load/latencies.ts';
import { Pace } from '../../scripts/load/pace.ts';
import { serve } from './serve.ts';
import { type PeerPlan, type PeerResult, Updates } from './updates.ts';

export interface SteadyHincrbyPlan extends PeerPlan {
  perSecond: number;
}

const tickMs = 1;

serve<SteadyHincrbyPlan, PeerResult>(async plan => {
  const redis = new Redis(plan.redisUrl, { enableAutoPipelining: true });
  const updates = new Updates(plan);
  const hash = `${plan.namespace}:values`;
  const push = async (seconds: number) => {
    const latencies = new Latencies();
    const started = performance.now();
    const calls = Math.min(plan.updates, Math.ceil(plan.perSecond * seconds));
    const pace = new Pace(plan.perSecond, started, calls);
    let open = 0;
    const call = async (due: number) => {
      const rank = updates.next();
      open++;
      await redis.hincrby(hash, updates.name(rank), 1);
      updates.sums[rank]!++;
      latencies.note(performance.now() - due);
      open--;
    };
    for (let sent = 0; !pace.isOver(sent) || open > 0; ) {
      for (const due = pace.dueBy(performance.now()); sent < due; sent++) void call(pace.dueAt(sent));
      await delay(tickMs);
    }
    return { updates: calls, seconds: (performance.now() - started) / 1000, latencies };
  };
  await push(plan.warmUpSeconds);
  return async () => {
    const { latencies, ...pushed } = await push(plan.seconds);
    const stored = await redis.hgetall(hash);
    const wrong = updates.sums.findIndex((sum, rank) => sum !== Number(stored[updates.name(rank)] ?? 0));
    if (wrong >= 0) throw new Error(`the value of ${updates.name(wrong)} in Redis is wrong`);
    redis.disconnect();
    const details = { callP50Ms: latencies.percentile(0.5), callP99Ms: latencies.percentile(0.99) };
    return { ...pushed, sums: updates.sums, details };
  };
});
