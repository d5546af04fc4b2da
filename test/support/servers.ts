/** Servers that a test starts for itself; they are stopped and removed after it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import { startMysql, startRedis, startRedisCluster } from '../../scripts/servers.ts';
import { cleanUp } from './cleanup.ts';

/** A folder that is removed after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-test-'));
  cleanUp(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts a Redis of the project's kind without other clients. @returns its URL */
export async function quietRedis(): Promise<string> {
  const directory = await temporaryFolder();
  const server = await startRedis({ flavour: inject('redisFlavour'), directory });
  cleanUp(() => server.discard());
  return server.url;
}

/**
 * Starts a Redis 8 and a MySQL 9.7 that the test may stop and restart.
 * @param args for Redis; with `appendfsync always`, a killed Redis keeps everything it acknowledged
 */
export async function ownServers(args = ['--appendfsync', 'always']) {
  const folder = await temporaryFolder();
  const [redis, mysql] = await Promise.all([
    startRedis({ flavour: 'redis8', directory: join(folder, 'redis'), args }),
    startMysql({ flavour: 'mysql97', directory: join(folder, 'mysql') }),
  ]);
  cleanUp(async () => {
    await Promise.all([redis.discard(), mysql.discard()]);
  });
  return { redis, mysql, servers: { redisUrl: redis.url, mysqlUrl: mysql.url } };
}

/** Starts a Redis Cluster with three masters, and a MySQL 9.7. */
export async function ownCluster() {
  const folder = await temporaryFolder();
  const [cluster, mysql] = await Promise.all([
    startRedisCluster({ flavour: 'redis8', directory: join(folder, 'redis') }),
    startMysql({ flavour: 'mysql97', directory: join(folder, 'mysql') }),
  ]);
  cleanUp(async () => {
    await Promise.all([cluster.discard(), mysql.discard()]);
  });
  return { cluster, servers: { redisUrl: cluster.url, mysqlUrl: mysql.url } };
}
