// The demo's part of given servers: a namespace and a database, which are empty before and afterwards.

import { Cluster, type Redis } from 'ioredis';
import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise';
import type { Database } from '../../src/shared/mysql/database.ts';
import { connectRedis, openRedis, type RedisConnection } from '../../src/shared/redis/connections.ts';
import { redisAddress } from '../../src/shared/redis/url.ts';

/** The namespace or database already holds something that the demo must not touch. */
export class NotEmptyError extends Error {}

async function withRedis<T>(url: string, use: (redis: RedisConnection) => Promise<T>): Promise<T> {
  const redis = openRedis({ url }, () => {});
  try {
    await connectRedis(redis, redisAddress({ url }));
    return await use(redis);
  } finally {
    redis.disconnect();
  }
}

async function* keysOf(redis: RedisConnection, namespace: string): AsyncGenerator<string[]> {
  const nodes = redis instanceof Cluster ? redis.nodes('master') : [redis as Redis];
  for (const node of nodes) {
    let cursor = '0';
    do {
      // Every key begins with the hash tag of a partition or of the namespace.
      const [next, keys] = await node.scan(cursor, 'MATCH', `{${namespace}[:}]*`, 'COUNT', 1000);
      cursor = next;
      if (keys.length > 0) yield keys;
    } while (cursor !== '0');
  }
}

/** @throws NotEmptyError */
export function refuseKeys(url: string, namespace: string): Promise<void> {
  return withRedis(url, async redis => {
    for await (const [key] of keysOf(redis, namespace)) {
      throw new NotEmptyError(
        `Redis at ${redisAddress({ url })} holds keys of the namespace ${namespace} (such as ${key}): another demo ` +
          'is running there, or one was killed. If nobody needs them, delete them, or use another Redis.',
      );
    }
  });
}

export function removeKeys(url: string, namespace: string): Promise<void> {
  return withRedis(url, async redis => {
    // Deletions may make a scan miss keys, so it repeats until it finds none.
    for (let found = true; found; ) {
      found = false;
      for await (const keys of keysOf(redis, namespace)) {
        found = true;
        await Promise.all(keys.map(key => redis.unlink(key)));
      }
    }
  });
}

async function withServer<T>(mysqlUrl: string, use: (server: Connection, name: string) => Promise<T>) {
  const url = new URL(mysqlUrl);
  const name = url.pathname.slice(1);
  url.pathname = '/';
  const server = await createConnection({ uri: url.href, connectTimeout: 5000 }).catch(cause => {
    throw new Error(`MySQL at ${url.host} cannot be used: ${(cause as Error).message || cause.code}`, {
      cause,
    });
  });
  // Without a listener, an error between calls would end the process; calls throw their own.
  server.on('error', () => {});
  try {
    return await use(server, name);
  } finally {
    await server.end().catch(() => server.destroy());
  }
}

/**
 * Returns whether it created the database; false if an empty one existed.
 * @throws NotEmptyError
 */
export function createDatabase(mysqlUrl: string): Promise<boolean> {
  return withServer(mysqlUrl, async (server, name) => {
    const list = async (sql: string) => (await server.query<RowDataPacket[]>(sql, [name]))[0];
    const there = await list('SELECT 1 FROM information_schema.schemata WHERE schema_name = ?');
    const tables = await list('SELECT 1 FROM information_schema.tables WHERE table_schema = ? LIMIT 1');
    if (tables.length > 0) {
      throw new NotEmptyError(
        `the MySQL database ${name} at ${new URL(mysqlUrl).host} has tables: another demo is running there, or one ` +
          `was killed. If nobody needs them, run DROP DATABASE ${name}, or use another MySQL.`,
      );
    }
    if (there.length > 0) return false;
    await server.query(`CREATE DATABASE \`${name}\``);
    return true;
  });
}

/** Drops the database, and creates it again if it existed before the demo. */
export function dropDatabase(mysqlUrl: string, made: boolean): Promise<void> {
  return withServer(mysqlUrl, async (server, name) => {
    await server.query(`DROP DATABASE IF EXISTS \`${name}\``);
    if (!made) await server.query(`CREATE DATABASE \`${name}\``);
  });
}

/** For example "Redis 7.0.15 and MariaDB 10.11.18". */
export async function serverVersions(redisUrl: string, database: Database): Promise<string> {
  const info = await withRedis(redisUrl, redis => redis.info('server'));
  const field = (name: string) => new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1];
  const valkey = field('valkey_version');
  const [row] = await database.query('SELECT VERSION() AS version');
  const version = String(row?.version);
  const number = /^[\d.]+/.exec(version)?.[0];
  return `${valkey ? `Valkey ${valkey}` : `Redis ${field('redis_version')}`} and ${/mariadb/i.test(version) ? 'MariaDB' : 'MySQL'} ${number}`;
}
