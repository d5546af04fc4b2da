// Errors of a server whose encryption cannot be set up: which server, what is wrong, and what to set.

import { beforeAll, describe, expect, it } from 'vitest';
import { makeCertificates } from '../../scripts/servers/certificates.ts';
import { startMysql, startRedis, startRedisTls } from '../../scripts/servers.ts';
import { createProducer } from '../../src/producer/producer.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { migrate } from '../../src/shared/mysql/migrate.ts';
import type { MysqlLocation } from '../../src/shared/mysql/url.ts';
import type { RedisLocation } from '../../src/shared/redis/url.ts';
import { cleanUp } from '../support/cleanup.ts';
import { temporaryFolder } from '../support/servers.ts';

const limits = { connections: 2, idleTransactionSeconds: 60, lockWaitSeconds: 5 };
/** Longer than a test may take, so an error that a start waits for fails the test. */
const settings = { partitions: 2, startWaitMs: 600_000 };

let servers: { redis: RedisLocation; mysql: MysqlLocation };
let stranger: string;
let plainRedis: string;
let plainMysql: string;

beforeAll(async () => {
  const folder = await temporaryFolder();
  const [redis, mysql, other, redisWithout, mysqlWithout] = await Promise.all([
    startRedisTls({ flavour: 'redis8', directory: `${folder}/redis` }),
    startMysql({ flavour: 'mysql97', directory: `${folder}/mysql`, tls: true }),
    makeCertificates(`${folder}/stranger`),
    startRedis({ flavour: 'redis8', directory: `${folder}/plain-redis` }),
    startMysql({ flavour: 'mysql97', directory: `${folder}/plain-mysql`, args: ['--tls-version='] }),
  ]);
  cleanUp(async () => {
    await Promise.all([redis, mysql, redisWithout, mysqlWithout].map(server => server.discard()));
  });
  servers = {
    redis: { url: redis.url, caFile: redis.caFile },
    mysql: { url: `${mysql.url}/app`, caFile: mysql.caFile! },
  };
  stranger = other.caFile;
  [plainRedis, plainMysql] = [redisWithout.url, `${mysqlWithout.url}/app`];
  const admin = new Database({ ...servers.mysql, url: `${mysql.url}/information_schema` }, limits);
  await admin.query('CREATE DATABASE app');
  await admin.close();
  const database = new Database(servers.mysql, limits);
  await migrate(database, settings.partitions);
  await database.close();
});

const create = (redis: RedisLocation, mysql: MysqlLocation) =>
  createProducer({ redis, mysql, definitions: {}, namespace: 'tls', settings });

it('a producer starts with the CAs of both servers', async () => {
  await (await create(servers.redis, servers.mysql)).close();
});

describe('a Redis with a certificate', () => {
  it.each([
    ['of an unknown CA', () => ({ url: servers.redis.url }), /authority.*is not trusted/],
    ['of another CA', () => ({ url: servers.redis.url, caFile: stranger }), /authority|certificate/],
  ])('%s is refused', async (_, location, said) => {
    const error = await create(location(), servers.mysql).catch(thrown => thrown);
    expect(error).toMatchObject({ code: 'TLS_FAILED', retryable: false });
    expect(error.message).toMatch(/^Redis at 127\.0\.0\.1:\d+ /);
    expect(error.message).toMatch(said);
    expect(error.message).toMatch(/REDIS_CA/);
  });
});

it.each([
  // The client waits for the whole timeout of a command.
  ['a Redis without TLS, asked for TLS,', () => plainRedis.replace('redis:', 'rediss:'), /answer in time/],
  [
    'a Redis with TLS only, asked without TLS,',
    () => servers.redis.url.replace('rediss:', 'redis:'),
    /Redis at/,
  ],
])('%s does not say so, so the start waits for it', async (_, url, said) => {
  const error = await createProducer({
    redis: { url: url() },
    mysql: servers.mysql,
    definitions: {},
    namespace: 'tls',
    settings: { ...settings, startWaitMs: 1 },
  }).catch(thrown => thrown);
  expect(error).toMatchObject({ code: 'REDIS_UNAVAILABLE', message: expect.stringMatching(said) });
});

describe('a MySQL', () => {
  it.each([
    ['with a certificate of an unknown CA', () => ({ url: servers.mysql.url, tls: true }), /certificate/],
    ['with a certificate of another CA', () => ({ url: servers.mysql.url, caFile: stranger }), /certificate/],
    [
      'that takes encrypted connections only',
      () => ({ url: servers.mysql.url }),
      /encrypted connections only/,
    ],
    ['without TLS', () => ({ url: plainMysql, tls: true }), /does not speak TLS/],
  ])('%s is refused', async (_, location, said) => {
    const error = await create(servers.redis, location()).catch(thrown => thrown);
    expect(error).toMatchObject({ code: 'TLS_FAILED', retryable: false });
    expect(error.message).toMatch(/^The database at 127\.0\.0\.1:\d+ /);
    expect(error.message).toMatch(said);
    expect(error.message).toMatch(/MYSQL_TLS.*MYSQL_CA/);
  });
});
