// A BullMQ job per update: added one by one with many calls in flight, or many at once with addBulk.

import { connect, openQueue, unfinished } from './jobs.ts';
import { emptied, push } from './push.ts';
import { serve } from './serve.ts';
import { type PeerPlan, type PeerResult, Updates } from './updates.ts';

export interface JobProducerPlan extends PeerPlan {
  callers: number;
  /** Jobs per call; more than one uses addBulk. */
  callSize: number;
}

serve<JobProducerPlan, PeerResult>(async plan => {
  const connection = connect(plan.redisUrl);
  const queue = openQueue(connection, plan.namespace);
  const updates = new Updates(plan);
  const job = (rank: number) => ({ name: 'add', data: { key: updates.name(rank) } });
  const pushing = {
    ...{ updates, limit: plan.updates, callers: plan.callers, callSize: plan.callSize },
    send: (ranks: readonly number[]) =>
      plan.callSize === 1 ? queue.add('add', job(ranks[0]!).data) : queue.addBulk(ranks.map(job)),
    depth: () => queue.getWaitingCount(),
  };
  await push({ ...pushing, seconds: plan.warmUpSeconds });
  await emptied(() => unfinished(queue));
  return async () => {
    const started = performance.now();
    const sent = await push({ ...pushing, seconds: plan.seconds });
    const seconds = (performance.now() - started) / 1000;
    await queue.close();
    connection.disconnect();
    return { updates: sent, seconds, sums: updates.sums, details: { pushedPerSecond: sent / seconds } };
  };
});
