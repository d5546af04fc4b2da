/** Primaries that are killed or hand over, and slots that move, under Sentinels and in a Cluster. */
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { Keys } from '../../../src/shared/redis/keys.ts';
import type { Random } from '../../load/zipf.ts';
import { redisCall } from '../../servers/redis-protocol.ts';
import { type RunningServer, waitFor } from '../../servers.ts';
import { HUNG_MS } from '../hung.ts';
import { agrees, isPrimary, type RedisSide } from '../redis-side.ts';
import { namespace } from '../stack.ts';
import { partitions } from '../traffic.ts';
import { between, type Fault, now, oneOf } from './fault.ts';

const pageOfKeys = 100;

const promotion = (condition: () => Promise<boolean>) => waitFor('promotion', HUNG_MS, condition);

export const sentinelFailover: Fault = {
  kind: 'sentinelFailover',
  isOutage: true,
  weight: 4,
  topologies: ['sentinel'],
  async run({ stack, random }) {
    const { redis } = stack;
    const [victim] = await redis.primaries();
    const isPromoted = async () => {
      const [primary] = await redis.primaries();
      return primary !== undefined && primary !== victim && (await isPrimary(primary));
    };
    if (random() < 0.4) {
      await promotion(async () => {
        // Sentinels refuse it until the previous failover is complete.
        await redisCall(redis.sentinels[0]!, ['SENTINEL', 'FAILOVER', 'primary']);
        return true;
      });
      await promotion(isPromoted);
      return { what: 'SENTINEL FAILOVER', since: now(), meanwhile: redis.recovered() };
    }
    const alone = await killPrimary(
      victim!,
      redis.nodes.filter(node => node !== victim),
      random,
    );
    await promotion(isPromoted);
    const since = now();
    const ms = between(random, 0, 2000);
    const meanwhile = delay(ms).then(() => comeBack(victim!, redis));
    return { what: `SIGKILL of the primary${alone}, back ${ms} ms after the promotion`, since, meanwhile };
  },
};

/**
 * Kills the primary; in half of the cases its replicas stopped following before, so its last answers are
 * lost. Their connections are cut too, or they would still read what it had sent.
 */
async function killPrimary(
  primary: RunningServer,
  replicas: readonly RunningServer[],
  random: Random,
): Promise<string> {
  if (random() < 0.5) {
    primary.kill('SIGKILL');
    return '';
  }
  const ms = between(random, 50, 600);
  for (const replica of replicas) replica.kill('SIGSTOP');
  await redisCall(primary, ['CLIENT', 'KILL', 'TYPE', 'replica']);
  await delay(ms);
  primary.kill('SIGKILL');
  for (const replica of replicas) replica.kill('SIGCONT');
  return ` after ${ms} ms without its replicas`;
}

async function comeBack(node: RunningServer, redis: RedisSide): Promise<void> {
  await node.restart();
  await redis.recovered();
}

export const clusterFailover: Fault = {
  kind: 'clusterFailover',
  isOutage: true,
  weight: 4,
  topologies: ['cluster'],
  async run({ stack, random }) {
    const { redis } = stack;
    const victim = oneOf(random, await redis.primaries());
    const replica = await replicaOf(victim, redis);
    if (random() < 0.4) {
      await redisCall(replica, ['CLUSTER', 'FAILOVER']);
      await promotion(() => isPrimary(replica));
      return { what: 'CLUSTER FAILOVER', since: now(), meanwhile: redis.recovered() };
    }
    const alone = await killPrimary(victim, [replica], random);
    await promotion(async () => (await isPrimary(replica)) && (await agrees(replica)));
    const since = now();
    const ms = between(random, 0, 500);
    // Soon, since the new master has no replica until then.
    const meanwhile = delay(ms).then(() => comeBack(victim, redis));
    return { what: `SIGKILL of a master${alone}, back ${ms} ms after the promotion`, since, meanwhile };
  },
};

export async function replicaOf(master: RunningServer, redis: RedisSide): Promise<RunningServer> {
  const [info = ''] = await redisCall(master, ['INFO', 'replication']);
  const port = Number(/^slave0:ip=[^,]*,port=(\d+)/m.exec(info)?.[1]);
  const replica = redis.nodes.find(node => node.port === port);
  if (!replica) throw new Error(`a master of the cluster has no replica: ${info}`);
  return replica;
}

export const clusterMigration: Fault = {
  kind: 'clusterMigration',
  weight: 3,
  topologies: ['cluster'],
  async run({ stack, random }) {
    const partition = between(random, 0, partitions - 1);
    const state = new Keys(namespace, partitions).state(partition);
    const masters = await stack.redis.primaries();
    const clients = masters.map(node => new Redis(node.url));
    for (const client of clients) client.on('error', () => {});
    try {
      const moved = await moveSlot(clients, state);
      return { what: `moved the slot of partition ${partition}, ${moved} keys`, since: now() };
    } finally {
      for (const client of clients) client.disconnect();
    }
  },
};

/** Moves a slot to the next master, key by key, during calls. Resolves with the number of keys. */
async function moveSlot(masters: Redis[], key: string): Promise<number> {
  const ids = await Promise.all(masters.map(node => node.cluster('MYID') as Promise<string>));
  const slot = Number(await masters[0]!.cluster('KEYSLOT', key));
  const ranges = await masters[0]!.cluster('SLOTS');
  const [, , owner] = ranges.find(([first, last]) => first <= slot && slot <= last)!;
  const at = ids.indexOf(owner![2]);
  const next = (at + 1) % masters.length;
  const [from, to] = [masters[at]!, masters[next]!];
  await to.cluster('SETSLOT', slot, 'IMPORTING', ids[at]!);
  await from.cluster('SETSLOT', slot, 'MIGRATING', ids[next]!);
  const port = String(to.options.port);
  let moved = 0;
  for (;;) {
    const keys = (await from.cluster('GETKEYSINSLOT', slot, pageOfKeys)) as string[];
    if (keys.length === 0) break;
    // Without REPLACE, so that a key which a stopped script created on the target fails the run.
    await from.call('MIGRATE', '127.0.0.1', port, '', '0', '5000', 'KEYS', ...keys);
    moved += keys.length;
  }
  // The new owner first, so that the slot always has an owner.
  for (const node of [to, from, ...masters.filter(node => node !== to && node !== from)]) {
    await node.cluster('SETSLOT', slot, 'NODE', ids[next]!);
  }
  return moved;
}
