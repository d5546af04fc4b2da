// TLS to both servers, users with only the documented rights, and servers that are refused at start.

import { join } from 'node:path';
import { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { startMysql, startRedisTls } from '../../scripts/servers.ts';
import { createProducer } from '../../src/producer/producer.ts';
import { openFailed } from '../../src/replay/index.ts';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { parseSettings } from '../../src/shared/config/settings.ts';
import { createLog } from '../../src/shared/log.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { migrate } from '../../src/shared/mysql/migrate.ts';
import type { MysqlLocation } from '../../src/shared/mysql/url.ts';
import { Keys } from '../../src/shared/redis/keys.ts';
import { REDIS_FORMAT } from '../../src/shared/redis/layout.ts';
import type { RedisLocation } from '../../src/shared/redis/url.ts';
import { Worker } from '../../src/worker/worker.ts';
import { cleanUp } from '../support/cleanup.ts';
import { definitions, until } from '../support/engine.ts';
import { readRights } from '../support/rights.ts';
import { ownServers, temporaryFolder } from '../support/servers.ts';

const settings = parseSettings({ partitions: 4 });
const limits = { connections: 2, idleTransactionSeconds: 60, lockWaitSeconds: 5 };
const log = createLog('silent', 'stderr');

async function prepare(mysql: MysqlLocation, database = 'app'): Promise<string> {
  const at = (name: string) => mysql.url.replace(/\/?$/, `/${name}`);
  const admin = new Database({ ...mysql, url: at('mysql') }, limits);
  await admin.query(`CREATE DATABASE ${database}`);
  await admin.close();
  const app = new Database({ ...mysql, url: at(database) }, limits);
  await migrate(app, settings.partitions);
  await app.close();
  return at(database);
}

/** Sends one update of each kind until it is in MySQL, and makes every read. */
async function roundTrip(redis: RedisLocation, mysql: MysqlLocation, namespace = 'sluice'): Promise<void> {
  const worker = await Worker.start({
    redis,
    mysql,
    definitions: parseDefinitions(definitions),
    namespace,
    settings,
    log,
  });
  const sluice = await createProducer({ redis, mysql, definitions, settings, namespace });
  await (await sluice.counter('views').increment('k', 1, { id: 'x' })).persisted();
  await (await sluice.points('loyalty').credit('a', 5, { id: 'y' })).persisted();
  expect(await sluice.counter('views').get('k')).toBe(1);
  expect(await sluice.points('loyalty').history('a')).toHaveLength(1);
  expect(await worker.metrics.registry.metrics()).toMatch(/sluice_queue_depth\{state="failed"\} 0/);
  await operate(redis, mysql, namespace);
  expect((await worker.readiness()).ready).toBe(true);
  await sluice.close();
  expect(await worker.stop()).toBe(true);
}

/** Replays, edits and drops quarantined updates. */
async function operate(redis: RedisLocation, mysql: MysqlLocation, namespace: string): Promise<void> {
  const database = new Database(mysql, limits);
  for (const key of ['replayed', 'edited', 'dropped']) {
    const partition = new Keys(namespace, settings.partitions).partitionOf(key);
    await database.query(
      `INSERT INTO sluice_quarantine (partition_id, sequence, kind, name, item_key, amount, error_code, payload, created_at)
       VALUES (?, 1, 'counter', 'views', ?, 2, 'X', '{"updates":1}', UTC_TIMESTAMP(3))`,
      [partition, Buffer.from(key)],
    );
  }
  const failed = await openFailed({ redis, mysql, definitions, settings, namespace });
  const author = { operator: 'olga', reason: 'a test' };
  const outcomes = [
    await failed.replay({ key: 'replayed' }, author),
    await failed.edit({ key: 'edited' }, { amount: 3 }, author),
    await failed.drop({ key: 'dropped' }, author),
  ].map(report => report.updates);
  expect(outcomes).toEqual([{ replayed: 1 }, { edited: 1 }, { dropped: 1 }]);
  expect(await failed.operations()).toHaveLength(3);
  await failed.close();
  await database.close();
}

it('producers and workers speak TLS to both servers, and refuse certificates that they cannot verify', async () => {
  const folder = await temporaryFolder();
  const [redis, mysql] = await Promise.all([
    startRedisTls({ flavour: 'redis8', directory: join(folder, 'redis') }),
    startMysql({ flavour: 'mysql97', directory: join(folder, 'mysql'), tls: true }),
  ]);
  cleanUp(async () => {
    await redis.discard();
    await mysql.discard();
  });
  const caFile = mysql.caFile!;
  const url = await prepare({ url: mysql.url, caFile });
  await roundTrip({ url: redis.url, caFile: redis.caFile }, { url, caFile });
  const options = { definitions, settings };
  await expect(
    createProducer({ ...options, redis: redis.url, mysql: { url, caFile } }),
  ).rejects.toMatchObject({ code: 'TLS_FAILED' });
  const trusted = { url: redis.url, caFile: redis.caFile };
  await expect(
    createProducer({ ...options, redis: trusted, mysql: { url, tls: true } }),
  ).rejects.toMatchObject({ code: 'TLS_FAILED' });
});

it('the rights of docs/rights.md suffice', async () => {
  const { redis, mysql } = await ownServers();
  const rights = readRights('tenant', 'app');
  const admin = new Redis(redis.url);
  await admin.call('ACL', 'SETUSER', 'sluice', 'reset', 'on', '>pass:word@/', ...rights.redis);
  const url = await prepare({ url: mysql.url });
  const root = new Database({ url }, limits);
  await root.query("CREATE USER 'sluice'@'%' IDENTIFIED BY 'pass:word@/'");
  for (const grant of rights.mysql) await root.query(grant);
  const user = { user: 'sluice', password: 'pass:word@/' };
  const redisUser = { url: redis.url, username: 'sluice', password: 'pass:word@/' };
  await roundTrip(redisUser, { url, ...user }, 'tenant');
  // The rights end at the namespace and at the database.
  const options = { definitions, settings, mysql: { url, ...user } };
  const limited = new Redis(redis.url, { username: 'sluice', password: 'pass:word@/' });
  await expect(limited.hset('{other}:format', 'format', 1)).rejects.toThrow('NOPERM');
  limited.disconnect();
  await expect(createProducer({ ...options, redis: redisUser, namespace: 'other' })).rejects.toMatchObject({
    code: 'INVALID_CONFIGURATION',
  });
  const wrong = { ...redisUser, password: 'wrong' };
  await expect(createProducer({ ...options, redis: wrong, namespace: 'tenant' })).rejects.toMatchObject({
    code: 'ACCESS_DENIED',
  });
  const denied = createProducer({
    ...options,
    redis: redisUser,
    namespace: 'tenant',
    mysql: { url, user: 'sluice', password: 'wrong' },
  });
  await expect(denied).rejects.toMatchObject({ code: 'ACCESS_DENIED' });
  admin.disconnect();
  await root.close();
});

describe('an unsuitable server', () => {
  it('is refused at start', async () => {
    const { redis, mysql } = await ownServers();
    const url = await prepare({ url: mysql.url });
    const admin = new Redis(redis.url);
    const start = (more: object = {}) =>
      createProducer({ redis: redis.url, mysql: url, definitions, settings, ...more });
    await admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
    await expect(start()).rejects.toMatchObject({ code: 'REDIS_UNSUITABLE' });
    await admin.config('SET', 'maxmemory-policy', 'noeviction');
    const sluice = await start();
    await expect(start({ settings: { partitions: 5 } })).rejects.toMatchObject({
      code: 'PARTITION_COUNT_MISMATCH',
    });
    await admin.hset('{sluice}:format', 'format', 99);
    await expect(start()).rejects.toMatchObject({ code: 'NEWER_FORMAT' });
    await admin.hset('{sluice}:format', 'format', 3);
    await expect(start()).rejects.toMatchObject({
      code: 'REDIS_UNSUITABLE',
      message: expect.stringMatching(/format 3/),
    });
    await admin.hset('{sluice}:format', 'format', REDIS_FORMAT);
    await expect(start({ mysql: url.replace(/app$/, 'mysql') })).rejects.toMatchObject({
      code: 'NOT_MIGRATED',
    });
    await expect(start({ redis: 'redis://127.0.0.1:1' })).rejects.toMatchObject({
      code: 'REDIS_UNAVAILABLE',
    });
    await expect(start({ mysql: 'mysql://root@127.0.0.1:1/app' })).rejects.toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
    });
    await expect(start({ redis: 'http://x' })).rejects.toMatchObject({ code: 'INVALID_CONFIGURATION' });
    await expect(start({ settings: { flushIntervallMs: 5 } })).rejects.toMatchObject({
      code: 'INVALID_CONFIGURATION',
    });

    // A full Redis refuses updates with a code, and can still be drained.
    await sluice.counter('views').increment('before');
    await admin.config('SET', 'maxmemory', '1mb');
    await expect(sluice.counter('views').increment('after')).rejects.toMatchObject({
      code: 'REDIS_OUT_OF_MEMORY',
      retryable: true,
    });
    const worker = await Worker.start({
      redis: { url: redis.url },
      mysql: { url },
      definitions: parseDefinitions(definitions),
      namespace: 'sluice',
      settings: parseSettings({ partitions: 4, stuckAfterMs: 300, sweepIntervalMs: 50 }),
      log,
    });
    const app = new Database({ url }, limits);
    await until(
      async () => (await app.query('SELECT value FROM sluice_counters')).length === 1,
      'the full Redis to drain',
    );
    await worker.stop();
    await admin.config('SET', 'maxmemory', '0');
    const goesOn = () =>
      sluice
        .counter('views')
        .increment('after')
        .then(
          () => true,
          error => {
            if (error.code !== 'BACKPRESSURE') throw error;
            return false;
          },
        );
    await until(goesOn, 'the producer to see that there is room');
    await sluice.close();
    await app.close();
    admin.disconnect();
  });
});
