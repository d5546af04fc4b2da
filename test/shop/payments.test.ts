// Payments of the example shop: each order once, over two processes, and after one was killed between any two steps.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, expect, inject, it } from 'vitest';
import { until } from '../support/engine.ts';
import { openShop, type Shop, type ShopProcess } from '../support/shop.ts';

/** Where an order stops whose name begins so: before or after the statement that writes this state. */
const STOPS = [
  'after-begun',
  'before-taken',
  'after-taken',
  'before-paid',
  'after-paid',
  'before-done',
  'after-done',
].map(stop => `stop-${stop}`);
/** Loaded into a process before the shop: an order with such a name stops there for ever. Each step ends with a statement. */
const STOPPER = (mysql2: string) => `
import mysql from ${JSON.stringify(mysql2)};
const { query } = mysql.PromiseConnection.prototype;
mysql.PromiseConnection.prototype.query = async function (options) {
  const { sql, values } = options;
  const [order, state] = sql.startsWith('INSERT INTO payments') ? [values[0], 'begun']
    : sql.startsWith('UPDATE payments SET state') ? [values[2], values[0]] : [];
  const stop = async place => {
    if (!order?.startsWith('stop-' + place + '-' + state)) return;
    console.error(order);
    await new Promise(() => {});
  };
  await stop('before');
  const result = await query.call(this, options);
  await stop('after');
  return result;
};`;

/** More than a sweep takes at once. */
const REFUSALS = 1500;

let shop: Shop;
/** Its orders may stop. */
let first: ShopProcess;
let second: ShopProcess;

beforeAll(async () => {
  shop = await openShop();
  const insert = 'INSERT INTO products (id, name, category, description, price_cents) VALUES ?';
  const products = [1, 2, 3, 4].map(id => [id, `Product ${id}`, 'toys', '', id === 4 ? 1_000_001 : 1999]);
  await shop.database.query(insert, [products]);
  await shop.database.query("INSERT INTO users (id, name, city, password) VALUES (7, 'ann', 'Oslo', '')");
  const require = createRequire(join(inject('shopFolder'), 'package.json'));
  const stopper = shop.file('stopper.mjs', STOPPER(pathToFileURL(require.resolve('mysql2/promise')).href));
  const grace = { PAYMENT_GRACE_MS: '1000' };
  [first, second] = await Promise.all([
    shop.api({ ...grace, NODE_OPTIONS: `--import=${stopper}` }),
    shop.api(grace),
    shop.worker(),
  ]);
});

const pay = (api: ShopProcess, order: string, product = 1, user = 7) =>
  api.call('POST', '/payments', { order, product, user });

let deliveries = 0;
async function stock(product: number, pieces: number) {
  const headers = { 'x-admin-key': shop.env.ADMIN_KEY!, 'idempotency-key': `delivery-${deliveries++}` };
  const { status } = await second.call('POST', `/products/${product}/stock`, { pieces }, headers);
  expect(status).toBe(201);
}
const piecesOf = async (product: number) =>
  (await second.call('GET', `/products/${product}/stock`)).body.pieces;

/** What MySQL has of each order: its row's state, charges, pieces taken and given back, and points. */
async function seen(orders: readonly string[]) {
  await shop.sluice(['drain']);
  const rows = await shop.database.query(
    `SELECT order_id AS id, CAST(state AS CHAR) AS state,
       (SELECT COUNT(*) FROM pretend_charges WHERE pretend_charges.order_id = payments.order_id) AS charges,
       (SELECT COALESCE(SUM(amount), 0) FROM sluice_entries WHERE program = 'stock'
          AND entry_id IN (CONCAT('payment:', order_id), CONCAT('returned:', order_id))) AS pieces,
       (SELECT COALESCE(SUM(amount), 0) FROM sluice_entries WHERE program = 'loyalty'
          AND entry_id = CONCAT('payment:', order_id)) AS points
     FROM payments WHERE order_id IN (?) ORDER BY order_id`,
    [orders],
  );
  return rows.map(({ id, state, charges, pieces, points }) => {
    return { id, state, charges: Number(charges), pieces: Number(pieces), points: Number(points) };
  });
}
const once = (id: string) => ({ id, state: 'done', charges: 1, pieces: -1, points: 20 });

const areSettled = async (orders: readonly string[]) => {
  const sql = 'SELECT COUNT(*) AS count FROM payments WHERE is_settled = 1 AND order_id IN (?)';
  return Number((await shop.database.query(sql, [orders]))[0]!.count) === orders.length;
};

it('of many calls for one order, all get the same answer and one pays', async () => {
  await stock(1, 10);
  const calls = Array.from({ length: 30 }, (_, index) => pay([first, second][index % 2]!, 'order-1'));
  for (const { status, body } of await Promise.all(calls)) {
    expect(status).toBe(200);
    expect(body).toEqual({ order: 'order-1', product: 1, user: 7, cents: 1999 });
  }
  expect(await piecesOf(1)).toBe(9);
  expect(await seen(['order-1'])).toEqual([once('order-1')]);
});

it('of many orders for few pieces, as many are paid as there are pieces', async () => {
  await stock(2, 3);
  const orders = Array.from({ length: 12 }, (_, index) => `rush-${index}`);
  const answers = await Promise.all(orders.map((order, index) => pay([first, second][index % 2]!, order, 2)));
  expect(answers.filter(({ status }) => status === 200).length).toBe(3);
  const refused = answers.filter(({ status }) => status === 409);
  expect(refused.length).toBe(9);
  expect(refused[0]!.body.code).toBe('SOLD_OUT');
  // A refusal is final, also if pieces arrive later.
  await stock(2, 2);
  const again = await Promise.all(orders.map(order => pay(first, order, 2)));
  expect(again.map(({ status }) => status)).toEqual(answers.map(({ status }) => status));
  await until(() => areSettled(orders), 'the sweep to look at the refusals');
  expect(await piecesOf(2)).toBe(2);
  const rows = await seen(orders);
  expect(rows.filter(({ state }) => state === 'done')).toEqual(
    orders
      .filter((_, index) => answers[index]!.status === 200)
      .map(once)
      .sort((a, b) => (a.id < b.id ? -1 : 1)),
  );
  for (const row of rows.filter(({ state }) => state !== 'done'))
    expect(row).toMatchObject({ state: 'sold_out', charges: 0, pieces: 0, points: 0 });
});

it('a refused payment gives back the piece that was taken for it', async () => {
  await stock(4, 1);
  expect(await pay(second, 'dear', 4)).toMatchObject({ status: 402, body: { code: 'DECLINED' } });
  // One process has taken a piece that had just arrived; another one found none before, and refuses the order.
  await stock(3, 1);
  const crossed = 'stop-before-taken-crossed';
  void pay(first, crossed, 3).catch(() => 'no answer');
  await until(() => first.stderr().includes(crossed), 'a piece to be taken');
  await shop.database.query("UPDATE payments SET state = 'sold_out' WHERE order_id = ?", [crossed]);
  expect(await pay(second, crossed, 3)).toMatchObject({ status: 409 });
  await until(() => areSettled(['dear', crossed]), 'the sweep to give the pieces back');
  expect([await piecesOf(3), await piecesOf(4)]).toEqual([1, 1]);
  const nothing = { charges: 0, pieces: 0, points: 0 };
  expect(await seen(['dear', crossed])).toMatchObject([nothing, nothing]);
});

it('bad requests are refused and leave nothing behind', async () => {
  const good = { order: 'bad', product: 1, user: 7 };
  const wrong: [unknown, number, string][] = [
    [{}, 400, 'FST_ERR_VALIDATION'],
    [{ ...good, order: '' }, 400, 'FST_ERR_VALIDATION'],
    [{ ...good, order: 'payment:1' }, 400, 'FST_ERR_VALIDATION'],
    [{ ...good, product: '1' }, 400, 'FST_ERR_VALIDATION'],
    [{ ...good, user: 0 }, 400, 'FST_ERR_VALIDATION'],
    [{ ...good, product: 99 }, 404, 'NOT_FOUND'],
    [{ ...good, user: 99 }, 404, 'NOT_FOUND'],
    [{ ...good, order: 'order-1', product: 2 }, 422, 'ORDER_REUSED'],
  ];
  for (const [body, status, code] of wrong)
    expect(await second.call('POST', '/payments', body), JSON.stringify(body)).toMatchObject({
      status,
      body: { code },
    });
  expect(await seen(['bad'])).toEqual([]);
});

it('a process that is killed between any two steps leaves payments that the sweep finishes once', async () => {
  await stock(1, 20);
  const before = await piecesOf(1);
  const cut = STOPS.map(order => pay(first, order).catch(() => 'no answer'));
  await until(() => STOPS.every(order => first.stderr().includes(order)), 'all orders to stop');
  first.child.kill('SIGKILL');
  expect(await Promise.all(cut)).toEqual(STOPS.map(() => 'no answer'));
  // A customer repeats one of them meanwhile.
  expect((await pay(second, STOPS[1]!)).status).toBe(200);
  await until(() => areSettled(STOPS), 'the sweep to finish them');
  expect(await piecesOf(1)).toBe(before - STOPS.length);
  expect(await seen(STOPS)).toEqual([...STOPS].sort().map(once));
  expect((await shop.sluice(['verify'])).code).toBe(0);
});

it('the sweep gives back pieces whose ids Redis has forgotten, and a long pile of refusals takes none', async () => {
  const shop = await openShop();
  const insert = 'INSERT INTO products (id, name, category, description, price_cents) VALUES ?';
  const products = [1, 2, 3].map(id => [id, `Product ${id}`, 'toys', '', id === 1 ? 1_000_001 : 1999]);
  await shop.database.query(insert, [products]);
  await shop.database.query("INSERT INTO users (id, name, city, password) VALUES (7, 'ann', 'Oslo', '')");
  // Its sweep comes after the test.
  const [api] = await Promise.all([shop.api({ PAYMENT_GRACE_MS: '3600000' }), shop.worker()]);
  const stock = (product: number, pieces: number) =>
    api.call(
      'POST',
      `/products/${product}/stock`,
      { pieces },
      {
        'x-admin-key': shop.env.ADMIN_KEY!,
        'idempotency-key': `delivery-${product}`,
      },
    );
  for (const product of [1, 2]) expect((await stock(product, 1)).status).toBe(201);
  expect((await pay(api, 'dear', 1)).status).toBe(402);
  expect((await pay(api, 'crossed', 2)).status).toBe(200);
  await shop.database.query(
    "UPDATE payments SET state = 'sold_out', is_settled = 0 WHERE order_id = 'crossed'",
  );
  expect((await shop.sluice(['drain'])).code).toBe(0);
  // As an hour later.
  for (const key of await shop.redis.keys(`*${shop.name}*:ids`)) {
    const ids = (await shop.redis.hkeys(key)).filter(id => id.includes('payment:'));
    if (ids.length > 0) await shop.redis.hdel(key, ...ids);
  }
  const rows = Array.from({ length: REFUSALS }, (_, index) => [`rush-${index}`, 3, 7, 1999, 'sold_out']);
  await shop.database.query('INSERT INTO payments (order_id, product_id, user_id, cents, state) VALUES ?', [
    rows,
  ]);
  expect((await stock(3, 5)).status).toBe(201);

  await shop.api({ PAYMENT_GRACE_MS: '1000' });
  const open = 'SELECT COUNT(*) AS count FROM payments WHERE is_settled = 0';
  await until(async () => Number((await shop.database.query(open))[0]!.count) === 0, 'the sweep to end');
  const pieces = [1, 2, 3].map(async id => (await api.call('GET', `/products/${id}/stock`)).body.pieces);
  expect(await Promise.all(pieces)).toEqual([1, 1, 5]);
  expect((await shop.sluice(['drain'])).code).toBe(0);
  const entries = await shop.database.query(
    "SELECT CAST(entry_id AS CHAR) AS id FROM sluice_entries WHERE program = 'stock' AND entry_id NOT LIKE 'restock:%' ORDER BY id",
  );
  expect(entries.map(({ id }) => id)).toEqual([
    'payment:crossed',
    'payment:dear',
    'returned:crossed',
    'returned:dear',
  ]);
  expect((await shop.sluice(['verify'])).code).toBe(0);
}, 120_000);
