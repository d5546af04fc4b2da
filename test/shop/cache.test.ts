// The cache of the example shop: several processes, a Redis of its own, and a MySQL behind a gate that holds answers.

import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { beforeAll, beforeEach, expect, inject, it } from 'vitest';
import { openRedis } from '../../src/shared/redis/connections.ts';
import { cleanUp } from '../support/cleanup.ts';
import { until } from '../support/engine.ts';
import { openProxy } from '../support/proxy.ts';
import { type Answer, callAtOnce, openShop, type Shop, type ShopProcess } from '../support/shop.ts';

const PROCESSES = 4;
const CALLERS = 1000;

let shop: Shop;
/** Between the last process and the cache's Redis. */
let proxy: Awaited<ReturnType<typeof openProxy>>;
let gate: Awaited<ReturnType<typeof openGate>>;
/** The first one reaches MySQL through the gate, the last one writes through. */
let processes: ShopProcess[];
let [gated, one, two, through]: ShopProcess[] = [];
let cacheRedis: Redis;
let prefix: string;
let product = 0;
let id: string;

/** A proxy before MySQL that can hold what one side says, and let it go later. */
async function openGate(mysqlUrl: string) {
  const url = new URL(mysqlUrl);
  const mysql = { port: Number(url.port), host: url.hostname };
  const held: [Socket, Buffer][] = [];
  let wanted: string | undefined;
  let wantedOfClient: string | undefined;
  const sockets = new Set<Socket>();
  const server = createServer(client => {
    const upstream = connect(mysql);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        client.destroy();
        // MySQL does not notice that the client is gone before it has done what was said.
        if (!held.some(([to]) => to === upstream)) upstream.destroy();
      });
    }
    client.on('data', data => {
      if (wantedOfClient !== undefined && data.includes(wantedOfClient)) held.push([upstream, data]);
      else upstream.write(data);
    });
    upstream.on('data', data => {
      if (wanted !== undefined && data.includes(wanted)) held.push([client, data]);
      else client.write(data);
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  cleanUp(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.toString(),
    /** Holds answers with this text, and resolves when there is one. */
    hold: (text: string) => {
      wanted = text;
      return until(() => held.length > 0, 'MySQL to have answered');
    },
    /** Holds statements with this text before MySQL gets them. */
    holdStatements: (text: string) => {
      wantedOfClient = text;
    },
    open: () => {
      wanted = undefined;
      wantedOfClient = undefined;
      for (const [to, data] of held.splice(0)) to.write(data);
    },
  };
}

beforeAll(async () => {
  shop = await openShop();
  cacheRedis = openRedis({ url: shop.cache.url }, () => {}) as Redis;
  cleanUp(() => cacheRedis.disconnect());
  prefix = `${shop.name}:shop:cache`;
  gate = await openGate(shop.env.MYSQL_URL!);
  proxy = await openProxy(shop.cache.url);
  const rows = Array.from({ length: 60 }, (_, index) => [
    index + 1,
    `Product ${index + 1}`,
    index < 40 ? 'books' : 'toys',
    'Of use.',
    100,
  ]);
  await shop.database.query('INSERT INTO products (id, name, category, description, price_cents) VALUES ?', [
    rows,
  ]);
  await shop.database.query(
    "INSERT INTO users (id, name, city, password) VALUES (1, 'user1', 'Oslo', 'scrypt$secret')",
  );
  // A lock lasts longer than any test waits, and so does what a process keeps.
  const env = { LOAD_MS: '20000', LOCAL_MS: '600000' };
  const start = (more: Record<string, string>) => shop.api({ ...env, ...more });
  // Two at a time: four would all be slow to start.
  processes = [
    ...(await Promise.all([
      start({ EARLY_REFRESH: 'none', MYSQL_URL: gate.url }),
      start({ EARLY_REFRESH: 'chance' }),
    ])),
    ...(await Promise.all([
      start({ EARLY_REFRESH: 'ahead' }),
      start({ EARLY_REFRESH: 'none', CACHE_WRITE: 'write-through', CACHE_REDIS_URL: proxy.url }),
    ])),
  ];
  [gated, one, two, through] = processes;
});

beforeEach(() => {
  id = String(++product);
});

const how = ({ status, headers, body }: Answer) => ({
  status,
  cache: headers.get('x-cache'),
  source: body.source,
});
const hit = { status: 200, cache: 'HIT', source: 'cache' };
const miss = { status: 200, cache: 'MISS', source: 'database' };
const read = (process = one!, path = `/products/${id}`) => process.call('GET', path);
const put = (change: object, process = one!, key = shop.env.ADMIN_KEY!) =>
  process.call('PUT', `/products/${id}`, change, { 'x-admin-key': key });
const clear = (what: object, process = one!, key = shop.env.ADMIN_KEY!) =>
  process.call('POST', '/cache/clear', what, { 'x-admin-key': key });
const keyOf = (of = id) => `${prefix}:{product:${of}}`;

async function metric(process: ShopProcess, name: string): Promise<number> {
  const lines = (await process.metrics()).split('\n').filter(line => line.startsWith(name));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}
const queries = async () =>
  (await Promise.all(processes.map(each => metric(each, 'shop_catalogue_queries_total')))).reduce(
    (a, b) => a + b,
  );

it('answers say where they come from, a page follows a key, and no user shows a password', async () => {
  expect(how(await read())).toEqual(miss);
  const again = await read();
  expect(how(again)).toEqual(hit);
  expect(again.body.product).toEqual({
    id: Number(id),
    name: `Product ${id}`,
    category: 'books',
    description: 'Of use.',
    priceCents: 100,
  });
  expect(again.body.tookMs).toBeGreaterThanOrEqual(0);
  expect(how(await read(one, `/products/${id}/nocache`))).toEqual(miss);
  // Another process finds it in Redis, then in its own memory.
  const before = await queries();
  for (let times = 0; times < 2; times++) expect(how(await read(two))).toEqual(hit);

  const first = (await read(one, '/products?category=books')).body.products;
  expect(first.length).toBe(20);
  const after = first.at(-1).id;
  const rest = (await read(one, `/products?category=books&after=${after}`)).body.products;
  expect(rest.map((row: { id: number }) => row.id)).toEqual(
    Array.from({ length: 20 }, (_, index) => after + 1 + index),
  );
  expect(how(await read(two, '/products?category=books'))).toEqual(hit);
  expect((await read(one, '/products?category=none')).body.products).toEqual([]);
  expect(await queries()).toBe(before + 3);

  for (const path of ['/users/1', '/users/1/nocache', '/users/1'])
    expect((await read(one, path)).body.user).toEqual({ id: 1, name: 'user1', city: 'Oslo' });
  expect((await read(one, '/products/0')).status).toBe(400);
  expect((await read(one, '/products?after=x')).status).toBe(400);
});

it('a change can be loaded at once: written through', async () => {
  await read(two);
  expect((await put({ name: 'Written' }, through)).status).toBe(200);
  const before = await queries();
  await until(async () => (await read(two)).body.product.name === 'Written', 'the news');
  expect(await queries()).toBe(before);
});

it('what is not there is cached too, but shortly', async () => {
  id = '4711';
  for (const cache of ['MISS', 'HIT']) {
    const answer = await read();
    expect([answer.status, answer.body.code, answer.headers.get('x-cache')]).toEqual([
      404,
      'UNKNOWN_PRODUCT',
      cache,
    ]);
  }
  const { value, endsAt, beganAt } = JSON.parse((await cacheRedis.get(keyOf()))!);
  expect(value).toBeNull();
  expect(endsAt - beganAt).toBeLessThanOrEqual(10_000);
  // Nor is it kept for the time when MySQL is away: then nobody knows whether it is there by now.
  expect(await cacheRedis.pttl(keyOf())).toBeLessThanOrEqual(10_000);
});

it('while MySQL is locked, no old answer says that there is no such product', async () => {
  const fleeting = await shop.api({ NOT_FOUND_MS: '1', STATEMENT_MS: '1000', LOAD_MS: '1000', WARM_UP: '0' });
  id = '4713';
  expect((await read(fleeting)).status).toBe(404);
  await shop.database.session(async connection => {
    await connection.query('LOCK TABLES products WRITE');
    expect(how(await read(fleeting))).toMatchObject({ status: 503 });
    await connection.query('UNLOCK TABLES');
  });
});

it('lifetimes follow the kind of data, and differ a little', async () => {
  await read(one, '/users/1');
  await read(one, '/products');
  const lives = async (pattern: string) => {
    const keys = await cacheRedis.keys(`${prefix}:{${pattern}}`);
    const entries = await Promise.all(keys.map(async key => JSON.parse((await cacheRedis.get(key))!)));
    return entries.map(({ endsAt, beganAt }) => endsAt - beganAt);
  };
  for (let other = 41; other <= 50; other++) await read(one, `/products/${other}`);
  const hour = 3_600_000;
  const products = await Promise.all(
    Array.from({ length: 10 }, (_, index) => lives(`product:${41 + index}`)),
  );
  for (const [life] of products) {
    expect(life).toBeGreaterThan(0.9 * hour - 1);
    expect(life).toBeLessThanOrEqual(hour);
  }
  expect(new Set(products.flat().map(Math.round)).size).toBeGreaterThan(5);
  expect((await lives('user:1'))[0]).toBeGreaterThan(21 * hour);
  expect((await lives('list:/0'))[0]).toBeLessThanOrEqual(300_000);
});

it('1,000 callers of a cold product in four processes are one query of MySQL', async () => {
  const before = await queries();
  // The process behind the gate has the lock; all others wait for it.
  const held = gate.hold(`Product ${id}`);
  const first = read(gated);
  await held;
  const calls = processes.map(({ base }, index) =>
    callAtOnce(`${base}/products/${id}`, CALLERS / PROCESSES - (index === 0 ? 1 : 0)),
  );
  await Promise.all(calls.map(({ sent }) => sent()));
  await until(async () => (await queries()) === before + 1, 'metrics');
  gate.open();
  const { status, body } = await first;
  expect([status, body.product.name]).toEqual([200, `Product ${id}`]);
  const answers = (await Promise.all(calls.map(({ answers }) => answers()))).flat();
  expect(answers.length).toBe(CALLERS - 1);
  expect(new Set(answers.map(answer => `${answer.status} ${answer.body.product.name}`))).toEqual(
    new Set([`200 Product ${id}`]),
  );
  expect(await queries()).toBe(before + 1);
});

it('a change is seen by all processes, in their own memory too, and in lists', async () => {
  for (const process of processes) await read(process);
  await read(two, '/products?category=books');
  expect((await put({ priceCents: 7 }, one, 'guessed')).status).toBe(403);
  expect((await put({ password: 'x' })).status).toBe(400);
  expect((await put({ priceCents: -1 })).status).toBe(400);
  expect((await put({})).status).toBe(400);
  const changed = await put({ priceCents: 7, name: 'Better' });
  expect([changed.status, changed.body.product.priceCents, changed.body.product.category]).toEqual([
    200,
    7,
    'books',
  ]);
  expect((await read()).body.product.priceCents).toBe(7);
  for (const process of processes)
    await until(
      async () => (await read(process)).body.product.priceCents === 7,
      'a process to hear of the change',
    );
  const names = async () =>
    (await read(two, '/products?category=books')).body.products.map((row: { name: string }) => row.name);
  await until(async () => (await names()).includes('Better'), 'a list to be loaded again');
  id = '4712';
  expect((await put({ priceCents: 7 })).body.code).toBe('UNKNOWN_PRODUCT');
});

it('a load that began before a change is not kept after it', async () => {
  const held = gate.hold(`Product ${id}`);
  const old = read(gated);
  await held;
  expect((await put({ name: 'New' })).status).toBe(200);
  gate.open();
  // He asked before the change.
  expect((await old).body.product.name).toBe(`Product ${id}`);
  for (const process of processes) expect((await read(process)).body.product.name).toBe('New');
});

it('a process that died with the lock stops the others only until the limit of the lock', async () => {
  const mortal = await shop.api({ MYSQL_URL: gate.url, LOAD_MS: '2000', WARM_UP: '0' });
  const held = gate.hold(`Product ${id}`);
  const unanswered = read(mortal).catch(() => 'no answer');
  await held;
  mortal.child.kill('SIGKILL');
  await unanswered;
  gate.open();
  // A lock without a limit; -2 is one that is gone by now.
  expect(await cacheRedis.pttl(`${keyOf()}:lock`)).not.toBe(-1);
  // He would wait 20 s for a lock that lives.
  expect(how(await read(two))).toEqual(miss);
  expect(await cacheRedis.exists(`${keyOf()}:lock`)).toBe(0);
});

it('a lock belongs to its token: whoever comes late neither frees it nor stores', async () => {
  const { takeLease } = await import(join(inject('shopFolder'), 'src/stampede/lease.ts'));
  const redis = cacheRedis;
  const key = keyOf('of a test');
  const { lease: late } = await takeLease(redis, key, 60_000);
  expect((await takeLease(redis, key, 60_000)).lease).toBeUndefined();
  await redis.del(`${key}:lock`); // Its time is over.
  const { lease: holder } = await takeLease(redis, key, 60_000);
  await late.release();
  expect(await late.store('old', 60_000)).toBe(false);
  expect((await takeLease(redis, key, 60_000)).lease).toBeUndefined();
  expect(await holder.store('new', 60_000)).toBe(true);
  expect(await takeLease(redis, key, 60_000)).toMatchObject({ text: 'new', lease: {} });
});

it('a load that waited for its turn longer than its lock lasts is kept', async () => {
  const narrow = await shop.api({ MYSQL_URL: gate.url, LOADS: '1', LOAD_MS: '20000', WARM_UP: '0' });
  const held = gate.hold(`Product ${id}`);
  const first = read(narrow);
  await held;
  const other = String(++product);
  const second = read(narrow, `/products/${other}`);
  await until(async () => (await cacheRedis.exists(`${keyOf(other)}:lock`)) === 1, 'the lock of the second');
  const begin = performance.now();
  await until(() => performance.now() - begin > 100, 'a wait that is one');
  await cacheRedis.del(`${keyOf(other)}:lock`); // Its time is over.
  gate.open();
  expect(how(await first)).toEqual(miss);
  expect(how(await second)).toEqual(miss);
  expect(how(await read(two, `/products/${other}`))).toEqual(hit);
});

it('nobody waits for his turn to load longer than a load may take', async () => {
  const { limitLoads } = await import(join(inject('shopFolder'), 'src/protection/limits.ts'));
  const limited = limitLoads({ loads: 1, waitingLoads: 100, loadMs: 1000 });
  let begun = 0;
  const load = async () => {
    begun++;
    await sleep(400);
  };
  // Together they take 4 s, each far less than its limit.
  const loads = await Promise.allSettled(Array.from({ length: 10 }, () => limited('product', load)));
  const refused = loads.filter(({ status }) => status === 'rejected');
  expect(begun).toBeLessThan(10);
  expect(refused.length).toBeGreaterThanOrEqual(10 - begun);
  for (const { reason } of refused as PromiseRejectedResult[])
    expect(reason).toMatchObject({ statusCode: 503, code: 'DATABASE_BUSY', retryAfter: 1 });
});

it('early refreshes are due as XFetch says, or in the last tenth', async () => {
  const { isDueByChance, isDueAhead } = await import(join(inject('shopFolder'), 'src/stampede/early.ts'));
  const life = { beganAt: 0, endsAt: 10_000, loadMs: 100 };
  // now - loadMs * ln(random) >= endsAt. With random = 1/e, a load of 100 ms is due 100 ms before the end.
  for (const [loads, isDue] of [
    [0.9, false],
    [1.1, true],
  ] as const) {
    expect(isDueByChance(life, 9900, Math.exp(-loads))).toBe(isDue);
    expect(isDueByChance({ ...life, loadMs: 1000 }, 9000, Math.exp(-loads))).toBe(isDue);
    expect(isDueByChance(life, 9000, Math.exp(-10 * loads))).toBe(isDue);
  }
  const share = (now: number) =>
    Array.from({ length: 1000 }, (_, index) => isDueByChance(life, now, (index + 0.5) / 1000)).filter(Boolean)
      .length;
  // exp(-remaining / loadMs) of all readers.
  for (const now of [9700, 9800, 9900, 9950])
    expect(share(now) / 1000).toBeCloseTo(Math.exp((now - 10_000) / 100), 2);
  expect([8999, 9000].map(now => isDueAhead(life, now))).toEqual([false, true]);
});

it('an entry that ends soon is loaded again in the background, by one process, and nobody waits', async () => {
  for (const [process, aged] of [
    // As if the load took an hour; as if nearly all of its life were over.
    [one, () => ({ beganAt: 1, loadMs: 3_600_000 })],
    [two, () => ({ beganAt: 1, endsAt: Date.now() + 60_000 })],
  ] as const) {
    await read(gated);
    const entry = async () => JSON.parse((await cacheRedis.get(keyOf()))!);
    await cacheRedis.set(keyOf(), JSON.stringify({ ...(await entry()), ...aged() }), 'PX', 600_000);
    const before = await queries();
    await until(async () => {
      expect(how(await read(process))).toEqual(hit);
      return (await entry()).beganAt > 1;
    }, 'an early refresh');
    expect(await queries()).toBe(before + 1);
    id = String(++product);
  }
});

it('a start warms up from the ranks of views, and does not need them', async () => {
  // The processes above started without ranks, since no worker had built them.
  await shop.worker();
  id = '60';
  expect((await one!.call('POST', `/products/${id}/views`)).status).toBeLessThan(300);
  await until(async () => (await read(one, '/leaderboard')).status === 200, 'a worker to build ranks');
  await until(async () => {
    const warm = await shop.api({ WARM_UP_MS: '10000' });
    const { cache } = how(await read(warm));
    warm.child.kill('SIGKILL');
    return cache === 'HIT';
  }, 'a start to be warm');
});

it('its numbers are numbers, and clearing reaches all processes', async () => {
  await read();
  const { body } = await read(one, '/cache/stats');
  for (const name of ['hits', 'misses', 'stale', 'failed', 'hitRate', 'localKeys', 'keys', 'memoryBytes'])
    expect(typeof body[name], name).toBe('number');
  expect(body.hits).toBe(
    (await metric(one!, 'shop_cache_reads_total{kind="product",result="hit"}')) +
      (await metric(one!, 'shop_cache_reads_total{kind="user",result="hit"}')) +
      (await metric(one!, 'shop_cache_reads_total{kind="list",result="hit"}')),
  );
  expect(body.hitRate).toBeGreaterThan(0);
  expect(body.hitRate).toBeLessThan(1);
  expect(body.memoryBytes).toBeGreaterThan(500_000);

  expect((await clear({}, one, 'guessed')).status).toBe(403);
  for (const [what, cleared] of [
    [{ tag: 'products' }, 'products'],
    [{}, 'everything'],
  ] as const) {
    for (const process of processes) {
      await read(process);
      await read(process, '/users/1');
    }
    expect(await clear(what)).toMatchObject({ status: 200, body: { cleared } });
    // Past the cache: only who has dropped the entry sees it.
    await shop.database.query('UPDATE products SET name = ? WHERE id = ?', [`Cleared ${cleared}`, id]);
    await shop.database.query('UPDATE users SET city = ? WHERE id = 1', [cleared]);
    await clear(what);
    for (const process of processes)
      await until(async () => (await read(process)).body.product.name === `Cleared ${cleared}`, 'a product');
    const user = (await read(two, '/users/1')).body.user.city;
    expect(user).toBe(cleared === 'everything' ? 'everything' : 'Oslo');
  }
});

it('a change that the cache could not hear of is told to it later', async () => {
  for (const process of processes) await read(process);
  proxy.refuse();
  expect((await put({ name: 'Alone' }, through)).status).toBe(200);
  // This process reads past the cache; the others cannot know yet.
  for (let times = 0; times < 3; times++) expect(how(await read(through))).toEqual(miss);
  expect((await read(through)).body.product.name).toBe('Alone');
  expect((await clear({ tag: 'a tag' }, through)).status).toBe(202);
  proxy.open();
  for (const process of processes)
    await until(async () => (await read(process)).body.product.name === 'Alone', 'the news');
  await until(async () => how(await read(through)).cache === 'HIT', 'the cache to be used again');
});

it('a change while the cache is deaf is never followed by an old answer', async () => {
  for (const process of processes) await read(process);
  // The subscriptions are lost for a moment, and with them the news.
  await cacheRedis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  expect((await put({ name: 'Unheard' })).status).toBe(200);
  for (const process of processes)
    await until(async () => (await read(process)).body.product.name === 'Unheard', 'the news');

  // Redis does not answer: a change is kept for it, and every process reads past it.
  shop.cache.kill('SIGSTOP');
  try {
    expect((await put({ name: 'Late' })).status).toBe(200);
    expect((await read()).body.product.name).toBe('Late');
    // The others notice that they hear nothing.
    for (const process of processes)
      await until(async () => (await read(process)).body.product.name === 'Late', 'a deaf process');
  } finally {
    shop.cache.kill('SIGCONT');
  }
  for (const process of processes)
    await until(async () => (await read(process)).body.product.name === 'Late', 'the late news');
});

it('a commit whose answer comes too late is in the cache once MySQL has done it', async () => {
  gate.holdStatements('COMMIT');
  expect(await put({ name: 'In the end' }, gated)).toMatchObject({ status: 503 });
  for (const process of [one, two]) expect((await read(process)).body.product.name).toBe(`Product ${id}`);
  gate.open();
  for (const process of [one, two])
    await until(async () => (await read(process)).body.product.name === 'In the end', 'the late commit');
});

it('a process that hears nothing asks Redis for the versions of tags', async () => {
  const user = ['deaf', 'on', '>secret', '~*', '&*', '+@all'];
  await cacheRedis.call('ACL', 'SETUSER', ...user);
  const url = shop.cache.url.replace('//', '//deaf:secret@');
  const deaf = await shop.api({ CACHE_REDIS_URL: url, LOCAL_MS: '600000', WARM_UP: '0' });
  const name = async (process: ShopProcess) =>
    (await read(process, '/products?category=toys')).body.products[0].name;
  for (let times = 0; times < 3; times++) await name(deaf);

  // Closes its subscription, and refuses a new one.
  await cacheRedis.call('ACL', 'SETUSER', 'deaf', 'resetchannels');
  await shop.database.query("UPDATE products SET name = 'Unheard of' WHERE id = 41");
  expect((await clear({ tag: 'list:toys' })).status).toBe(200);
  await until(async () => (await name(deaf)) === 'Unheard of', 'the process to ask');
});
