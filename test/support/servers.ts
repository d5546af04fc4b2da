/** Servers that a test starts for itself; stopped and removed after it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startMysql, startRedis, startRedisCluster } from '../../scripts/servers.ts';
import { cleanUp } from './cleanup.ts';

/** A folder that is removed after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-test-'));
  cleanUp(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * A Redis 8 and a MySQL 9.7 of the test's own, to be stopped and started at will.
 * @param args of Redis; with appendfsync always a killed one keeps what it answered
 */
export async function ownServers(args = ['--appendfsync', 'always']) {
  const folder = await temporaryFolder();
  const [redis, mysql] = await Promise.all([
    startRedis({ flavour: 'redis8', directory: join(folder, 'redis'), args }),
    startMysql({ flavour: 'mysql97', directory: join(folder, 'mysql') }),
  ]);
  cleanUp(async () => {
    await Promise.all([redis.stop(), mysql.stop()]);
  });
  return { redis, mysql, servers: { redisUrl: redis.url, mysqlUrl: mysql.url } };
}

/** A Redis Cluster of three masters and a MySQL 9.7 of the test's own. */
export async function ownCluster() {
  const folder = await temporaryFolder();
  const [cluster, mysql] = await Promise.all([
    startRedisCluster({ flavour: 'redis8', directory: join(folder, 'redis') }),
    startMysql({ flavour: 'mysql97', directory: join(folder, 'mysql') }),
  ]);
  cleanUp(async () => {
    await Promise.all([cluster.stop(), mysql.stop()]);
  });
  return { cluster, servers: { redisUrl: cluster.url, mysqlUrl: mysql.url } };
}
