// Sentinels and a primary with users of their own: errors name the server that refused, and a failover works.

import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { redisCall } from '../../scripts/servers/redis-protocol.ts';
import { type RedisSentinel, startRedisSentinel } from '../../scripts/servers.ts';
import { readConfig } from '../../src/shared/config/config.ts';
import { connectRedis, openRedis } from '../../src/shared/redis/connections.ts';
import type { RedisLocation } from '../../src/shared/redis/url.ts';
import { cleanUp } from '../support/cleanup.ts';
import { until } from '../support/engine.ts';
import { readSentinelRights } from '../support/rights.ts';
import { temporaryFolder } from '../support/servers.ts';

let servers: RedisSentinel;

/** Users: of Sentinels among themselves, of Sentinels for the nodes, and of the nodes for each other. */
beforeAll(async () => {
  servers = await startRedisSentinel({
    flavour: 'redis8',
    directory: join(await temporaryFolder(), 'redis'),
    replicas: 1,
  });
  cleanUp(() => servers.discard());
  for (const sentinel of servers.sentinels)
    await redisCall(
      sentinel,
      ['SENTINEL', 'CONFIG', 'SET', 'sentinel-user', 'peer'],
      ['SENTINEL', 'CONFIG', 'SET', 'sentinel-pass', 'peers'],
      ['SENTINEL', 'SET', 'primary', 'auth-pass', 'data:/@'],
      ['ACL', 'SETUSER', 'peer', 'on', '>peers', '&*', '+@all'],
      ['ACL', 'SETUSER', 'sluice', 'reset', 'on', '>watch:/@', ...readSentinelRights()],
      ['ACL', 'SETUSER', 'nobody', 'reset', 'on', '>watch:/@', '+@connection'],
      ['ACL', 'SETUSER', 'default', 'resetpass', '>else'],
    );
  for (const node of servers.nodes)
    await redisCall(node, ['CONFIG', 'SET', 'masterauth', 'data:/@', 'requirepass', 'data:/@']);
});

async function connect(more: Partial<RedisLocation>, limitMs?: number) {
  const connection = openRedis({ url: servers.url, ...more }, () => {});
  cleanUp(() => connection.disconnect());
  await connectRedis(connection, 'test', limitMs);
  return connection;
}

const right = { password: 'data:/@', sentinelUsername: 'sluice', sentinelPassword: 'watch:/@' };

it.each([
  ['no password', { sentinelUsername: undefined, sentinelPassword: undefined }, 'NOAUTH'],
  ['a wrong password', { sentinelPassword: 'wrong' }, 'WRONGPASS'],
  ['the password of the primary', { sentinelUsername: undefined, sentinelPassword: 'data:/@' }, 'WRONGPASS'],
  ['a user without rights', { sentinelUsername: 'nobody' }, 'NOPERM'],
])('a Sentinel refuses %s, and the error names it', async (_, wrong, reply) => {
  const started = performance.now();
  const error = await connect({ ...right, ...wrong }, 60_000).catch(error => error);
  expect(error).toMatchObject({ code: 'ACCESS_DENIED', retryable: false });
  expect(error.message).toMatch(
    new RegExp(
      `^The Sentinel at 127\\.0\\.0\\.1:\\d+ refused .*\\(${reply}\\); check REDIS_SENTINEL_USERNAME`,
    ),
  );
  expect(servers.sentinels.some(({ port }) => error.message.includes(`:${port} `))).toBe(true);
  // At the first refusal, not at the end of the time limit.
  expect(performance.now() - started).toBeLessThan(30_000);
});

it.each([
  ['no password', undefined, 'NOAUTH'],
  ['a wrong password', 'wrong', 'WRONGPASS'],
])('a primary refuses %s, and the error names it', async (_, password, reply) => {
  const port = servers.nodes[0]!.port;
  await expect(connect({ ...right, password })).rejects.toMatchObject({
    code: 'ACCESS_DENIED',
    message: expect.stringMatching(`Redis at 127.0.0.1:${port} refused .*${reply} to HELLO`),
  });
});

it('an unknown name of the primary is reported', async () => {
  const url = servers.url.replace(/primary$/, 'elsewhere');
  await expect(connect({ ...right, url })).rejects.toMatchObject({
    code: 'REDIS_UNAVAILABLE',
    message: expect.stringMatching(/knows no primary (of that name|named elsewhere)/),
  });
});

it('a client with all credentials and a database number connects, also after a failover', async () => {
  const { redis } = readConfig({
    REDIS_URL: `${servers.url}/2`,
    REDIS_PASSWORD: 'data:/@',
    REDIS_SENTINEL_USERNAME: 'sluice',
    REDIS_SENTINEL_PASSWORD: 'watch:/@',
  });
  const connection = await connect(redis);
  await connection.set('k', 'v');
  expect(await connection.wait(1, 5000)).toBe(1);
  const node = (index: number) => ({ port: servers.nodes[index]!.port, password: 'data:/@' });
  expect(await redisCall(node(0), ['SELECT', '2'], ['GET', 'k'])).toEqual(['OK', 'v']);
  servers.nodes[0]!.kill('SIGKILL');
  await until(
    async () => (await redisCall(node(1), ['INFO', 'replication'])).join().includes('role:master'),
    'a promotion',
  );
  await connection.set('k', 'w');
  expect(await redisCall(node(1), ['SELECT', '2'], ['GET', 'k'])).toEqual(['OK', 'w']);
});
