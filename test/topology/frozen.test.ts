// A Redis primary freezes with its connections open: everybody leaves it once a replica is promoted, and what
// it still answers after it thaws counts once or not at all.

import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { beforeAll, expect, it } from 'vitest';
import { redisCall } from '../../scripts/servers/redis-protocol.ts';
import {
  type RunningServer,
  startMysql,
  startRedisCluster,
  startRedisSentinel,
} from '../../scripts/servers.ts';
import { cleanUp } from '../support/cleanup.ts';
import { type Engine, openEngine, until } from '../support/engine.ts';
import { temporaryFolder } from '../support/servers.ts';

const partitions = 8;
const silenceMs = 1000;
const promisedMs = 5000;
/** The promise is for a quiet machine. A flush while nothing is wrong shows how busy this one is. */
const recoveryMs = (calmMs: number) => promisedMs + 5 * calmMs;

let mysql: RunningServer;
beforeAll(async () => {
  mysql = await startMysql({ flavour: 'mysql97', directory: join(await temporaryFolder(), 'mysql') });
  cleanUp(() => mysql.discard());
});

async function openOn(redisUrl: string) {
  const engine = await openEngine({ partitions }, { redisUrl, mysqlUrl: mysql.url });
  // Claims wait for a replica by default, as long as there is one.
  await engine.worker();
  const sluice = await engine.producer();
  const keys = Array.from({ length: 64 }, (_, i) => `k${i}`);
  expect(new Set(keys.map(key => engine.keys.partitionOf(key))).size).toBe(partitions);
  let rounds = 0;
  /** Sends one update per key, under the same id until it is in the database; resolves with the time, ms. */
  const flush = async () => {
    const round = ++rounds;
    const since = performance.now();
    const send = async (key: string) => {
      for (;;) {
        const increment = sluice.counter('views').increment(key, 1, { id: `${key}.${round}` });
        const done = increment.then(receipt => receipt.persisted({ timeoutMs: 2000 }));
        if (
          await done.then(
            () => true,
            () => false,
          )
        )
          return;
        await delay(20);
      }
    };
    await Promise.all(keys.map(send));
    return performance.now() - since;
  };
  return { engine, flush, expected: () => new Map(keys.map(key => [key, rounds])) };
}

async function inMysql(engine: Engine): Promise<Map<string, number>> {
  const rows = await engine.database.query('SELECT counter_key, value FROM sluice_counters');
  return new Map(rows.map(row => [String(row.counter_key), Number(row.value)]));
}

const says = async (node: RunningServer, command: string[], text: string) =>
  (await redisCall(node, command).catch(() => ['']))[0]!.includes(text);

it('on a Cluster, every partition flushes again within 5 s of the promotion, while the old master is frozen', async () => {
  const folder = await temporaryFolder();
  const options = { flavour: 'redis8', replicas: 1, nodeTimeoutMs: silenceMs } as const;
  const cluster = await startRedisCluster({ ...options, directory: join(folder, 'redis') });
  cleanUp(() => cluster.discard());
  const { engine, flush, expected } = await openOn(cluster.url);
  await flush();
  const calmMs = await flush();

  const [master, replica] = [cluster.nodes[0]!, cluster.nodes[3]!];
  master.kill('SIGSTOP');
  const isPromoted = async () =>
    (await says(replica, ['INFO', 'replication'], 'role:master')) &&
    (await says(replica, ['CLUSTER', 'INFO'], 'cluster_state:ok'));
  const calling = flush();
  await until(isPromoted, 'promotion');
  const promotion = performance.now();
  await calling;
  expect(performance.now() - promotion).toBeLessThan(recoveryMs(calmMs));
  expect(await flush()).toBeLessThan(recoveryMs(calmMs));

  master.kill('SIGCONT');
  await until(() => says(master, ['INFO', 'replication'], 'master_link_status:up'), 'demotion');
  await flush();
  expect(await inMysql(engine)).toEqual(expected());
});

it('behind Sentinels, every partition flushes again within 5 s of the promotion', async () => {
  const folder = await temporaryFolder();
  const options = { flavour: 'redis8', downAfterMs: silenceMs } as const;
  const servers = await startRedisSentinel({ ...options, directory: join(folder, 'redis') });
  cleanUp(() => servers.discard());
  const { engine, flush, expected } = await openOn(servers.url);
  await flush();
  const calmMs = await flush();

  const [old] = servers.nodes;
  old!.kill('SIGSTOP');
  const calling = flush();
  await until(async () => (await servers.primaryPort()) !== old!.port, 'promotion');
  const promotion = performance.now();
  await calling;
  expect(performance.now() - promotion).toBeLessThan(recoveryMs(calmMs));

  old!.kill('SIGCONT');
  await flush();
  expect(await inMysql(engine)).toEqual(expected());
});
