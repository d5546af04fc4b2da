// Calls and claims that wait for a replica, while their connections break or the primary is demoted.

import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { redisCall } from '../../scripts/servers/redis-protocol.ts';
import { startMysql, startRedisCluster, startRedisSentinel } from '../../scripts/servers.ts';
import { createProducer } from '../../src/producer/producer.ts';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { parseSettings } from '../../src/shared/config/settings.ts';
import { createLog } from '../../src/shared/log.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { migrate } from '../../src/shared/mysql/migrate.ts';
import { Keys } from '../../src/shared/redis/keys.ts';
import { Worker } from '../../src/worker/worker.ts';
import { cleanUp } from '../support/cleanup.ts';
import { temporaryFolder } from '../support/servers.ts';

const settings = parseSettings({ partitions: 8 });
const definitions = { counters: { views: {} } } as const;
/** The client may have written to a primary that is gone; then it does so again. */
const soon = { timeoutMs: 5000 };

async function openDatabase(folder: string): Promise<string> {
  const mysql = await startMysql({ flavour: 'mysql97', directory: join(folder, 'mysql') });
  cleanUp(() => mysql.discard());
  const limits = { ...settings, connections: 1 };
  const admin = new Database({ url: `${mysql.url}/mysql` }, limits);
  await admin.query('CREATE DATABASE app');
  await admin.close();
  const app = new Database({ url: `${mysql.url}/app` }, limits);
  await migrate(app, settings.partitions);
  await app.close();
  return `${mysql.url}/app`;
}

async function openBoth(redis: string, mysql: string) {
  const worker = await Worker.start({
    redis: { url: redis },
    mysql: { url: mysql },
    definitions: parseDefinitions(definitions),
    namespace: 'sluice',
    settings,
    claimDurability: 'replica',
    log: createLog('silent', 'stderr'),
  });
  cleanUp(() => worker.stop());
  const sluice = await createProducer({ redis, mysql, definitions, settings, durability: 'replica' });
  cleanUp(() => sluice.close());
  /** Sends updates to every partition; resolves with the codes of those that did not reach the database. */
  return async () => {
    const updates = Array.from({ length: 64 }, (_, i) => ({ counter: 'views' as const, key: `k${i}` }));
    const results = await sluice.apply(updates);
    const outcomes = results.map(result =>
      result.ok
        ? result.persisted(soon).then(
            () => [],
            error => [error.code],
          )
        : [result.error.code],
    );
    return (await Promise.all(outcomes)).flat();
  };
}

it('an idle Cluster client that lost all its connections finds the primaries again', async () => {
  const folder = await temporaryFolder();
  const mysql = await openDatabase(folder);
  const cluster = await startRedisCluster({
    flavour: 'redis8',
    directory: join(folder, 'redis'),
    replicas: 1,
  });
  cleanUp(() => cluster.discard());
  const push = await openBoth(cluster.url, mysql);
  expect(await push()).toEqual([]);
  for (let round = 0; round < 3; round++) {
    const kill = ['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'];
    await Promise.all(cluster.nodes.slice(0, 3).map(node => redisCall(node, kill)));
    await expect.poll(push, { timeout: 30_000 }).toEqual([]);
    // No other call makes the idle client refresh its layout of the Cluster.
    await delay(500);
  }
});

it('calls and claims leave a primary that Sentinels have demoted', async () => {
  const folder = await temporaryFolder();
  const mysql = await openDatabase(folder);
  const redis = await startRedisSentinel({ flavour: 'redis8', directory: join(folder, 'redis') });
  cleanUp(() => redis.discard());
  const push = await openBoth(redis.url, mysql);
  // All partitions at once, so that the client keeps several connections.
  expect(await push()).toEqual([]);
  const before = await redis.primaryPort();
  await redisCall(redis.sentinels[0]!, ['SENTINEL', 'FAILOVER', 'primary']);
  await expect.poll(redis.primaryPort, { timeout: 20_000 }).not.toBe(before);
  await expect.poll(push, { timeout: 30_000 }).toEqual([]);
});

it('an update that fills Redis is not reported as refused', async () => {
  const folder = await temporaryFolder();
  const mysql = await openDatabase(folder);
  const redis = await startRedisSentinel({ flavour: 'redis8', directory: join(folder, 'redis') });
  cleanUp(() => redis.discard());
  const sluice = await createProducer({
    redis: redis.url,
    mysql,
    definitions,
    settings: { ...settings, memoryLimitPercent: 100, microBatch: 500 },
    durability: 'replica',
  });
  cleanUp(() => sluice.close());
  const views = sluice.counter('views');
  const keys = new Keys('sluice', settings.partitions);
  await views.increment('k');
  const [primary] = redis.nodes;
  const setLimit = (bytes: number) => redisCall(primary!, ['CONFIG', 'SET', 'maxmemory', String(bytes)]);
  const outcomes = new Set<string>();
  // From below what is used now, since the connection that asks frees memory when it ends. How much differs from
  // call to call, so the limit is crossed again and again, in steps that never meet, until all has happened.
  let room = -150_000;
  for (let turn = 0; outcomes.size < 3; turn++) {
    expect(turn, `only ${[...outcomes]} happened`).toBeLessThan(500);
    // One call with many keys and ids of one partition takes more memory in Redis than the call itself. With
    // the right room it starts below the limit and ends above it.
    const ids = Array.from({ length: 5000 }, (_, number) => `${turn}-${number}`)
      .filter(id => keys.partitionOf(id) === 0)
      .slice(0, 500);
    const push = async () => {
      const calls = ids.map(id =>
        views.increment(id, 1, { id }).then(
          receipt => (receipt.duplicate ? 'duplicate' : 'accepted'),
          error => error.code as string,
        ),
      );
      const codes = new Set(await Promise.all(calls));
      expect(codes.size).toBe(1);
      return [...codes][0]!;
    };
    const [info = ''] = await redisCall(primary!, ['INFO', 'memory']);
    await setLimit(Number(/used_memory:(\d+)/.exec(info)![1]) + room);
    const first = await push();
    await setLimit(0);
    outcomes.add(first);
    expect(await push()).toBe(first === 'REDIS_OUT_OF_MEMORY' ? 'accepted' : 'duplicate');
    room += first === 'accepted' ? -4000 : 15_000;
  }
  // The middle one is the case under test.
  expect(outcomes).toEqual(new Set(['REDIS_OUT_OF_MEMORY', 'UNKNOWN_OUTCOME', 'accepted']));
});
