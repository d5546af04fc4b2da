// Starts the two servers of a vitest project before its first test and stops them after its last. Vitest
// calls it once for each project that has tests to run.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { startMysql, startRedis } from '../../scripts/servers.ts';
import { hostileInitialArgs, hostileMysql, hostileRedis, makeHostile } from './hostile.ts';
import { ownFolders, pairings } from './pairings.ts';

declare module 'vitest' {
  interface ProvidedContext {
    redisUrl: string;
    mysqlUrl: string;
    redisFlavour: 'redis7' | 'redis8' | 'valkey9';
    mysqlFlavour: 'mariadb' | 'mysql97';
    /** Both URLs are those of the administrator, and Sluice has other users (access.ts). */
    hostile: boolean;
  }
}

/** Hundreds of databases are created and dropped: a file for each of their tables takes twice the time. */
const ONE_FILE = ['--innodb-file-per-table=OFF'];

export default async function startServers(project: TestProject): Promise<() => Promise<void>> {
  const pairing = pairings[project.name] ?? ownFolders[project.name];
  if (!pairing) throw new Error(`no servers are declared for the test project ${project.name}`);
  const { hostile = false } = pairing;
  const directory = await mkdtemp(join(tmpdir(), 'sluice-test-'));
  const [redis, mysql] = await Promise.all([
    startRedis({
      flavour: pairing.redis,
      directory: join(directory, 'redis'),
      ...(hostile && { args: hostileRedis }),
    }),
    startMysql({
      flavour: pairing.mysql,
      directory: join(directory, 'mysql'),
      initialArgs: hostile ? hostileInitialArgs : [],
      args: [...ONE_FILE, ...(hostile ? hostileMysql(pairing.mysql) : [])],
    }),
  ]);
  if (hostile) await makeHostile(mysql.url);
  project.provide('redisUrl', redis.url);
  project.provide('mysqlUrl', mysql.url);
  project.provide('redisFlavour', pairing.redis);
  project.provide('mysqlFlavour', pairing.mysql);
  project.provide('hostile', hostile);
  return async () => {
    await Promise.all([redis.discard(), mysql.discard()]);
    await rm(directory, { recursive: true, force: true });
  };
}
