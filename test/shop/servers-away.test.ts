// The example shop while its servers are away, one after another. They are the test's own.

import { scryptSync } from 'node:crypto';
import { expect, it } from 'vitest';
import { until } from '../support/engine.ts';
import { ownServers } from '../support/servers.ts';
import { callAtOnce, openShop } from '../support/shop.ts';

const READERS = 200;
/** Costs little to check. */
const PASSWORD = ['scrypt', 1024, '', scryptSync('x', '', 32, { N: 1024 }).toString('base64url')].join('$');
const USER = ['service', 'on', '>service-password', '~*', '&*', '+@all'];

it('without MySQL it counts, without Redis it says when to come back, and it needs no restart', async () => {
  const { redis, mysql, servers } = await ownServers();
  const shop = await openShop({ servers });
  await shop.redis.call('ACL', 'SETUSER', ...USER);
  // The password comes from a file, as container platforms provide it.
  const { base, call, metrics } = await shop.api({
    REDIS_URL: shop.env.REDIS_URL!.replace('//', '//service@'),
    REDIS_PASSWORD_FILE: shop.file('secret', 'service-password\n'),
    // What is read is old at once, and loaded again.
    PRODUCT_FRESH_MS: '1',
    LOAD_MS: '10000',
    STATEMENT_MS: '10000',
  });
  const hasty = await shop.api({ STATEMENT_MS: '1000' });
  await shop.database.query(
    "INSERT INTO products (id, name, category, description, price_cents) VALUES (1, 'One', 'x', '', 1), (2, 'Two', 'x', '', 1)",
  );
  const product = async (id: number) => {
    const { status, headers, body } = await call('GET', `/products/${id}`);
    return { status, cache: headers.get('x-cache'), name: body.product?.name };
  };
  const change = (to: object) => call('PUT', '/products/1', to, { 'x-admin-key': shop.env.ADMIN_KEY! });
  const page = '/pages/home/views';
  const health = async () => {
    const { status, body } = await call('GET', '/health');
    return { status, ...body };
  };
  const isHealth = (wanted: object) => async () => {
    try {
      expect(await health()).toMatchObject(wanted);
      return true;
    } catch {
      return false;
    }
  };
  const well = { status: 200, redis: 'connected', database: 'connected', cache: 'connected' };
  expect(await health()).toEqual(well);
  expect((await call('POST', page)).status).toBe(204);
  // The shop's own connections have the password too.
  expect((await call('GET', '/feed?user=1')).status).toBe(200);
  for (let times = 0; times < 2; times++)
    expect(await product(1)).toEqual({ status: 200, cache: 'MISS', name: 'One' });

  await shop.database.query("INSERT INTO users (id, name, city, password) VALUES (7, 'ann', 'Oslo', ?)", [
    PASSWORD,
  ]);
  const restock = { 'x-admin-key': shop.env.ADMIN_KEY!, 'idempotency-key': 'delivery' };
  expect((await call('POST', '/products/1/stock', { pieces: 5 }, restock)).status).toBe(201);
  const login = () => call('POST', '/login', { name: 'ann', password: 'x' });
  const cookie = { cookie: (await login()).headers.get('set-cookie')!.split(';')[0]! };
  const profile = () => call('GET', '/profile', undefined, cookie);
  const pay = () => call('POST', '/payments', { order: 'o1', product: 1, user: 7 });

  mysql.kill('SIGKILL');
  await until(isHealth({ status: 200, redis: 'connected', database: 'disconnected' }), 'MySQL to be gone');
  expect((await call('POST', page)).status).toBe(204);
  const cold = await call('GET', '/accounts/cold/balance');
  expect(cold).toMatchObject({ status: 503, body: { code: 'DATABASE_UNAVAILABLE' } });
  expect(cold.headers.get('retry-after')).toBe('1');
  const unread = await call('GET', '/feed?user=1');
  expect(unread).toMatchObject({ status: 503, body: { code: 'UNAVAILABLE' } });
  expect(unread.headers.get('retry-after')).toBe('1');
  expect((await call('POST', '/posts', { user: 2, body: 'lost' })).status).toBe(503);
  // What was read before is given out, marked; what was not cannot be read.
  expect(await product(1)).toEqual({ status: 200, cache: 'STALE', name: 'One' });
  expect(await product(2)).toMatchObject({ status: 503 });
  expect((await change({ name: 'Uno' })).status).toBe(503);
  expect(await product(1)).toEqual({ status: 200, cache: 'STALE', name: 'One' });
  expect(await pay()).toMatchObject({ status: 503, body: { code: 'UNAVAILABLE' } });
  await mysql.restart();
  await until(async () => (await product(1)).cache === 'MISS', 'MySQL to be asked again');

  // A MySQL that does not answer is away too: nobody waits for it longer than a load may take.
  mysql.kill('SIGSTOP');
  expect(await product(1)).toEqual({ status: 200, cache: 'STALE', name: 'One' });
  expect((await change({ name: 'Uno' })).status).toBe(503);
  const asked = [
    hasty.call('GET', '/feed?user=1'),
    hasty.call('POST', '/posts', { user: 2, body: 'unknown' }),
    hasty.call('POST', '/payments', { order: 'o2', product: 1, user: 7 }),
    hasty.call('POST', '/login', { name: 'ann', password: 'x' }),
  ];
  for (const answer of await Promise.all(asked))
    expect(answer).toMatchObject({ status: 503, body: { code: 'UNAVAILABLE' } });
  mysql.kill('SIGCONT');
  await until(async () => (await hasty.call('GET', '/feed?user=1')).status === 200, 'feeds again');
  await until(async () => (await product(1)).cache === 'MISS', 'MySQL to be asked again');
  expect((await product(1)).name).toBe('One');

  redis.kill('SIGKILL');
  // A call that was already sent would have an unknown outcome instead.
  await until(isHealth({ status: 503, redis: 'disconnected', database: 'connected' }), 'Redis to be gone');
  const uncounted = await call('POST', page);
  expect(uncounted).toMatchObject({ status: 503, body: { code: 'REDIS_UNAVAILABLE' } });
  expect(uncounted.headers.get('retry-after')).toBe('1');
  expect((await call('GET', '/feed?user=1')).headers.get('retry-after')).toBe('1');
  // A post is in MySQL, and gets into the feeds when Redis is back.
  expect((await call('POST', '/posts', { user: 2, body: 'kept' })).status).toBe(201);
  for (const refused of [await login(), await profile(), await pay()]) {
    expect(refused).toMatchObject({ status: 503 });
    expect(refused.headers.get('retry-after')).toBe('1');
  }
  // This process limits by itself.
  const limited = await Promise.all(Array.from({ length: 25 }, () => call('GET', '/limits/token')));
  expect(limited.filter(({ status }) => status === 200).length).toBe(20);
  expect(limited.filter(({ status }) => status === 429).length).toBe(5);
  await redis.restart();
  // The restarted Redis has lost the user, which was created at run time.
  await shop.redis.call('ACL', 'SETUSER', ...USER);
  await until(isHealth(well), 'both to be back');
  expect((await call('GET', page)).body).toEqual({ views: 2 });
  await until(async () => (await profile()).status === 200, "the shop's own connection to be back");
  // Begun while Redis was away.
  expect((await pay()).status).toBe(200);
  expect((await call('GET', '/products/1/stock')).body).toEqual({ pieces: 4 });

  await shop.cache.stop();
  await until(isHealth({ status: 200, redis: 'connected', cache: 'disconnected' }), 'the cache to be gone');
  // Right answers, and no herd: readers of a product share a query.
  const queries = async () => Number(/^shop_catalogue_queries_total (\d+)$/m.exec(await metrics())![1]);
  const before = await queries();
  // The first query waits for the table until all have asked.
  await shop.database.session(async connection => {
    await connection.query('LOCK TABLES products WRITE');
    const readers = callAtOnce(`${base}/products/2`, READERS);
    await readers.sent();
    await until(async () => (await queries()) > before, 'the first query');
    await connection.query('UNLOCK TABLES');
    const answers = await readers.answers();
    expect(answers.every(({ status, body }) => status === 200 && body.product.name === 'Two')).toBe(true);
  });
  expect((await queries()) - before).toBeLessThan(READERS / 4);
  expect((await change({ name: 'Uno' })).status).toBe(200);
  expect(await product(1)).toEqual({ status: 200, cache: 'MISS', name: 'Uno' });
  await shop.cache.restart();
  await until(isHealth(well), 'the cache to be back');
  for (let times = 0; times < 3; times++) expect((await product(1)).name).toBe('Uno');
}, 120_000);

it('a server that takes no writes after a failover is one that is away, and times are those of the clock in any zone', async () => {
  const { servers } = await ownServers();
  const shop = await openShop({ servers });
  await shop.database.query("SET GLOBAL time_zone = '+05:00'");
  const { call } = await shop.api();
  const follow = (author: number) => call('POST', '/follow', { user: 1, author });
  const isAway = async () => {
    const answer = await follow(3);
    expect(answer).toMatchObject({ status: 503, body: { code: 'UNAVAILABLE' } });
    expect(answer.headers.get('retry-after')).toBe('1');
  };
  expect((await follow(2)).status).toBe(201);
  expect((await call('POST', '/posts', { user: 2, body: 'now' })).status).toBe(201);
  const { at } = (await call('GET', '/feed?user=1')).body.posts[0];
  expect(Math.abs(Date.parse(at) - Date.now())).toBeLessThan(600_000);
  const admin = { 'x-admin-key': shop.env.ADMIN_KEY! };
  expect((await call('POST', '/bonus/2026', { points: 1 }, admin)).body.endedAt).toBe(null);
  await shop.database.query('UPDATE bonus_runs SET ended_at = CURRENT_TIMESTAMP(3)');
  const { endedAt } = (await call('GET', '/bonus/2026')).body;
  expect(Math.abs(Date.parse(endedAt) - Date.now())).toBeLessThan(600_000);

  await shop.database.query('SET GLOBAL super_read_only = ON');
  await isAway();
  await shop.database.query('SET GLOBAL super_read_only = OFF, GLOBAL read_only = OFF');
  await shop.redis.call('REPLICAOF', '127.0.0.1', '1');
  await isAway();
  await shop.redis.call('REPLICAOF', 'NO', 'ONE');
  expect((await follow(3)).status).toBe(200);
}, 120_000);
