// The stock of the example shop: more buyers than pieces, in two processes at once.

import { expect, it } from 'vitest';
import { openShop } from '../support/shop.ts';

const PIECES = 50;
const BUYERS = 200;

it('of 200 buyers at once in two processes, exactly 50 get one of 50 pieces', async () => {
  const shop = await openShop();
  const [one, two, worker] = await Promise.all([shop.api(), shop.api(), shop.worker()]);
  const admin = { 'x-admin-key': shop.env.ADMIN_KEY! };
  const restock = (pieces: unknown, headers: Record<string, string>) =>
    one.call('POST', '/products/7/stock', { pieces }, headers);
  for (const [headers, status] of [
    [{ 'idempotency-key': 'delivery-1' }, 403],
    [{ 'idempotency-key': 'delivery-1', 'x-admin-key': 'guessed' }, 403],
    [{ ...admin }, 400],
    [{ ...admin, 'idempotency-key': 'delivery-1' }, 201],
    [{ ...admin, 'idempotency-key': 'delivery-1' }, 200],
  ] as const)
    expect((await restock(PIECES, headers)).status, JSON.stringify(headers)).toBe(status);
  for (const pieces of [0, -1, 1.5, '1', undefined])
    expect((await restock(pieces, { ...admin, 'idempotency-key': 'x' })).status, String(pieces)).toBe(400);

  // Each of them calls the first order so, as the delivery is called.
  const buy = (buyer: number, { call } = buyer % 2 === 0 ? one : two) =>
    call(
      'POST',
      '/products/7/purchases',
      { user: buyer + 1, pieces: 1 },
      { 'idempotency-key': 'delivery-1' },
    );
  const answers = await Promise.all(Array.from({ length: BUYERS }, (_, buyer) => buy(buyer)));
  const statuses = answers.map(({ status }) => status);
  expect(statuses.filter(status => status === 201).length).toBe(PIECES);
  expect(statuses.filter(status => status === 409).length).toBe(BUYERS - PIECES);
  expect(answers.find(({ status }) => status === 409)!.body.code).toBe('INSUFFICIENT_POINTS');
  for (const { call } of [one, two])
    expect((await call('GET', '/products/7/stock')).body).toEqual({ pieces: 0 });
  // Who has got a piece gets no second one for the same order, and is not refused.
  const winner = statuses.indexOf(201);
  expect((await buy(winner)).status).toBe(200);
  expect((await one.call('GET', '/products/9/stock')).body).toEqual({ pieces: 0 });
  expect((await one.call('GET', '/products/x/stock')).status).toBe(400);
  const nameless = (headers = {}) =>
    one.call('POST', '/products/7/purchases', { user: 1, pieces: 1 }, headers);
  expect((await nameless()).body.code).toBe('MISSING_ID');
  expect((await nameless({ 'idempotency-key': 'payment:1' })).body.code).toBe('RESERVED_ID');
  expect((await nameless({ 'idempotency-key': '' })).status).toBe(400);
  expect((await one.call('POST', '/products/7/purchases', { pieces: 1 })).status).toBe(400);

  expect(await shop.sluice(['drain'])).toMatchObject({ code: 0 });
  worker.child.kill('SIGTERM');
  expect(await shop.sluice(['verify', '--json'])).toMatchObject({ code: 0 });
}, 120_000);
