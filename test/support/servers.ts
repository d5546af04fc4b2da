/** Servers that a test file starts for itself; stopped and removed after it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { startMysql, startRedis } from '../../scripts/servers.ts';

/** A folder that is removed after the test file. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-test-'));
  afterAll(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A Redis 8 and a MySQL 9.7 of this file's own, to be stopped and started at will. */
export async function ownServers() {
  const folder = await temporaryFolder();
  const [redis, mysql] = await Promise.all([
    // With appendfsync always a killed Redis keeps what it answered.
    startRedis({ flavour: 'redis8', directory: join(folder, 'redis'), args: ['--appendfsync', 'always'] }),
    startMysql({ flavour: 'mysql97', directory: join(folder, 'mysql') }),
  ]);
  afterAll(async () => {
    await Promise.all([redis.stop(), mysql.stop()]);
  });
  return { redis, mysql, place: { redisUrl: redis.url, mysqlUrl: mysql.url } };
}
