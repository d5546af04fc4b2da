/**
 * A primary that freezes with its connections open, and thaws. If that takes longer than Sentinels or a
 * Cluster wait, a replica is promoted meanwhile. The old primary then comes back as a zombie that believes to
 * be the primary until it is told, and reads from its sockets what clients had sent.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type RunningServer, waitFor } from '../../servers.ts';
import { HUNG_MS } from '../hung.ts';
import { agrees, isPrimary, type RedisSide, silenceMs } from '../redis-side.ts';
import { replicaOf } from './failover.ts';
import { between, type Fault, now, oneOf, type Scene } from './fault.ts';

export const redisStop: Fault = {
  kind: 'redisStop',
  isOutage: true,
  async run(scene) {
    const {
      random,
      stack: { redis },
    } = scene;
    const victim = oneOf(random, await redis.primaries());
    const isLong = redis.topology !== 'standalone' && random() < 0.6;
    return isLong ? stopUntilReplaced(victim, scene) : stopForAWhile(victim, scene);
  },
};

async function stopForAWhile(victim: RunningServer, { stack: { redis }, random }: Scene) {
  const ms =
    redis.topology === 'standalone' ? between(random, 200, 3000) : between(random, 100, 0.7 * silenceMs);
  victim.kill('SIGSTOP');
  try {
    await delay(ms);
  } finally {
    victim.kill('SIGCONT');
  }
  return { what: `a primary stopped for ${ms} ms`, since: now(), meanwhile: redis.recovered() };
}

async function stopUntilReplaced(victim: RunningServer, { stack: { redis }, durability, random }: Scene) {
  const isReplaced = await watcherOf(victim, redis);
  victim.kill('SIGSTOP');
  try {
    await waitFor('promotion', HUNG_MS, isReplaced);
  } catch (error) {
    victim.kill('SIGCONT');
    throw error;
  }
  const since = now();
  // Either soon, while clients are still connected, or after all have left. In a Cluster, the new master has
  // no replica until then, so calls that ask for a copy must wait.
  const isSoon = random() < 0.5 || (redis.topology === 'cluster' && durability === 'replica');
  const ms = isSoon ? between(random, 0, 300) : between(random, 300, 8000);
  const meanwhile = delay(ms).then(() => {
    victim.kill('SIGCONT');
    return redis.recovered();
  });
  return { what: `a primary stopped until ${ms} ms after the promotion`, since, meanwhile };
}

/** Returns a check of whether another node has become primary. */
async function watcherOf(victim: RunningServer, redis: RedisSide): Promise<() => Promise<boolean>> {
  if (redis.topology === 'cluster') {
    const replica = await replicaOf(victim, redis);
    return async () => (await isPrimary(replica)) && (await agrees(replica));
  }
  return async () => {
    const [primary] = await redis.primaries();
    return primary !== undefined && primary !== victim && (await isPrimary(primary));
  };
}
