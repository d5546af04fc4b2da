// The shop with the users of Redis that deploy/compose/secrets.sh makes: their rights suffice for all parts.

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { cleanUp } from '../support/cleanup.ts';
import { until } from '../support/engine.ts';
import { temporaryFolder } from '../support/servers.ts';
import { openShop } from '../support/shop.ts';

const script = fileURLToPath(new URL('../../deploy/compose/secrets.sh', import.meta.url));

it('runs with the rights of docker compose, which do not let it empty a server', async () => {
  const secrets = join(await temporaryFolder(), 'secrets');
  await promisify(execFile)('bash', [script, secrets]);
  const shop = await openShop();
  const cache = new Redis(shop.cache.url);
  cleanUp(() => cache.disconnect());
  const user = async (redis: Redis, file: string, name: string) => {
    const line = readFileSync(join(secrets, file), 'utf8').split('\n');
    const [, , ...rules] = line.find(text => text.startsWith(`user ${name} `))!.split(' ');
    // The server is shared with other tests, so the name is this test's own.
    const own = `${name}-${shop.name}`;
    await redis.call('ACL', 'SETUSER', own, ...rules);
    cleanUp(() => redis.call('ACL', 'DELUSER', own));
    return (url: string) => url.replace('//', `//${own}@`);
  };
  const asShop = await user(shop.redis, 'redis_users', 'shop');
  const asCache = await user(cache, 'cache_users', 'cache');
  const env = {
    REDIS_URL: asShop(shop.env.REDIS_URL!),
    REDIS_PASSWORD_FILE: join(secrets, 'shop_redis_password'),
    CACHE_REDIS_URL: asCache(shop.cache.url),
    CACHE_REDIS_PASSWORD_FILE: join(secrets, 'cache_password'),
    ADMIN_KEY_FILE: join(secrets, 'admin_key'),
    SESSION_SECRET_FILE: join(secrets, 'session_secret'),
  };
  await shop.run('seed', { USERS: '20', PRODUCTS: '20' });
  await shop.worker();
  const jobs = shop.begin('jobs', { ...env, METRICS_PORT: '0' });
  const { call } = await shop.api(env);
  const key = { 'x-admin-key': readFileSync(join(secrets, 'admin_key'), 'utf8') };

  expect((await call('GET', '/products/7')).headers.get('x-cache')).toBe('MISS');
  expect((await call('GET', '/products/7')).headers.get('x-cache')).toBe('HIT');
  expect((await call('GET', '/cache/stats')).body.memoryBytes).toBeGreaterThan(0);
  expect((await call('POST', '/cache/clear', {}, key)).status).toBe(200);
  expect((await call('POST', '/products/7/views')).status).toBe(204);
  const stocked = { ...key, 'idempotency-key': 'first' };
  expect((await call('POST', '/products/7/stock', { pieces: 2 }, stocked)).body).toEqual({ pieces: 2 });
  expect((await call('POST', '/payments', { order: 'o1', user: 4, product: 7 })).status).toBe(200);
  for (const kind of ['fixed', 'sliding', 'token', 'leaky'])
    expect((await call('GET', `/limits/${kind}`)).headers.get('ratelimit')).toMatch(/;r=\d/);
  const login = { name: 'user4', password: 'correct horse battery staple' };
  const cookie = (await call('POST', '/login', login)).headers.get('set-cookie')!.split(';')[0]!;
  expect((await call('GET', '/profile', undefined, { cookie })).status).toBe(200);
  await call('POST', '/follow', { user: 4, author: 9 });
  await call('GET', '/feed?user=4');
  const { id } = (await call('POST', '/posts', { user: 9, body: 'hello' })).body;
  await until(
    async () => (await call('GET', '/feed?user=4')).body.posts[0]?.id === id,
    'the post in the feed',
  );
  await call('POST', '/bonus/2026', { points: 1 }, key);
  await until(async () => (await call('GET', '/bonus/2026')).body.endedAt !== null, 'the end of the bonus');
  // A missing right would be in the log of the process that has met it.
  expect(jobs.stdout() + jobs.stderr()).not.toContain('NOPERM');

  const withPassword = new URL(env.REDIS_URL);
  withPassword.password = readFileSync(env.REDIS_PASSWORD_FILE, 'utf8');
  const plain = new Redis(withPassword.href);
  cleanUp(() => plain.disconnect());
  await expect(plain.flushall()).rejects.toThrow(/NOPERM/);
}, 120_000);
