// The counts and points of the example shop as a reader runs it: its own install, a process, HTTP calls, a worker.

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, inject, it } from 'vitest';
import { LIMITS } from '../../src/shared/limits.ts';
import { until } from '../support/engine.ts';
import { openShop } from '../support/shop.ts';

const project = fileURLToPath(new URL('../../', import.meta.url));
const run = promisify(execFile);

it('the example type-checks as for a reader', async () => {
  const compiler = join(project, 'node_modules/typescript/bin/tsc');
  const { stdout } = await run(process.execPath, [compiler, '-p', inject('shopFolder')]).catch(
    error => error,
  );
  expect(stdout).toBe('');
});

it('views, likes, points and gifts are counted once each, and mistakes are answered', async () => {
  const shop = await openShop();
  await shop.worker();
  const api = await shop.api();
  const call = (method: string, path: string, body?: unknown, id?: string) =>
    api.call(method, path, body, id === undefined ? {} : { 'idempotency-key': id });

  // Views of pages.
  const page = `/pages/${encodeURIComponent('/index.html')}/views`;
  expect(await call('GET', page)).toMatchObject({ status: 200, body: { views: 0 } });
  for (const id of [undefined, undefined, 'view-1', 'view-1'])
    expect((await call('POST', page, undefined, id)).status).toBe(204);
  expect((await call('GET', page)).body).toEqual({ views: 3 });
  expect((await call('POST', `/pages/${encodeURIComponent('ü'.repeat(LIMITS.key / 2))}/views`)).status).toBe(
    204,
  );
  expect(await call('POST', `/pages/${'x'.repeat(LIMITS.key + 1)}/views`)).toMatchObject({
    status: 400,
    body: { code: 'INVALID_KEY' },
  });

  // Views of products, in all and by day.
  for (const id of [undefined, 'view-1', 'view-1'])
    expect((await call('POST', '/products/7/views', undefined, id)).status).toBe(204);
  const { body: views } = await call('GET', '/products/7/views?days=2');
  expect(views.views).toBe(2);
  // Midnight may have come between.
  expect(views.days.map((day: { views: number }) => day.views).toSorted()).toEqual([0, 2]);
  expect(Date.now() - Date.parse(views.days[0].day)).toBeLessThan(25 * 60 * 60 * 1000);
  expect((await call('GET', '/products/7/views')).body.days.length).toBe(7);

  // Likes: once for each user.
  const likes = '/products/7/likes';
  expect(await call('POST', likes, { user: 1 })).toMatchObject({ status: 201, body: { likes: 1 } });
  expect(await call('POST', likes, { user: 1 })).toMatchObject({ status: 200, body: { likes: 1 } });
  const many = Array.from({ length: 20 }, () => call('POST', likes, { user: 2 }));
  expect((await Promise.all(many)).filter(({ status }) => status === 201).length).toBe(1);
  expect((await call('GET', likes)).body).toEqual({ likes: 2 });

  // Points.
  const credits = '/accounts/4/credits';
  const debits = '/accounts/4/debits';
  const first = await call('POST', credits, { amount: 29, reason: 'purchase' }, 'order-1');
  expect(first).toMatchObject({ status: 201, body: { balance: 29 } });
  expect((await call('POST', credits, { amount: 29, reason: 'purchase' }, 'order-1')).status).toBe(200);
  expect(await call('POST', debits, { amount: 9 }, 'redeem-1')).toMatchObject({
    status: 201,
    body: { balance: 20 },
  });
  expect((await call('GET', '/accounts/4/balance')).body).toEqual({ balance: 20 });
  const history = await call('GET', '/accounts/4/history?limit=1');
  expect(history.body.entries).toMatchObject([{ id: 'redeem-1', amount: -9, balanceAfter: 20 }]);
  const older = await call('GET', '/accounts/4/history?before=redeem-1');
  expect(older.body.entries).toMatchObject([{ id: 'order-1', amount: 29, reason: 'purchase' }]);

  // Gifts.
  const gift = { from: '4', to: '5', amount: 8, reason: 'birthday' };
  expect(await call('POST', '/gifts', gift, 'gift-1')).toMatchObject({ status: 201, body: { balance: 12 } });
  expect((await call('POST', '/gifts', gift, 'gift-1')).status).toBe(200);
  const received = async () => (await call('GET', '/accounts/5/balance')).body.balance === 8;
  await until(received, 'the gift to arrive');
  expect(await call('POST', '/gifts', { ...gift, amount: 13 }, 'gift-2')).toMatchObject({
    status: 409,
    body: { code: 'INSUFFICIENT_POINTS', balance: 12 },
  });

  // Mistakes of the caller.
  expect(await call('POST', debits, { amount: 21 }, 'redeem-2')).toMatchObject({
    status: 409,
    body: { code: 'INSUFFICIENT_POINTS', balance: 12 },
  });
  expect(await call('POST', credits, { amount: 30 }, 'order-1')).toMatchObject({
    status: 422,
    body: { code: 'IDEMPOTENCY_KEY_REUSED' },
  });
  const wrong: [path: string, body: unknown, id: string | undefined, code: string][] = [
    [credits, { amount: 1 }, undefined, 'MISSING_ID'],
    [credits, { amount: 0 }, 'x', 'INVALID_AMOUNT'],
    [credits, { amount: -1 }, 'x', 'INVALID_AMOUNT'],
    [credits, { amount: 1.5 }, 'x', 'INVALID_AMOUNT'],
    [credits, { amount: '1' }, 'x', 'FST_ERR_VALIDATION'],
    [credits, {}, 'x', 'FST_ERR_VALIDATION'],
    [credits, { amount: 1, reason: 'x'.repeat(LIMITS.reason + 1) }, 'x', 'INVALID_REASON'],
    ['/gifts', { ...gift, to: '4' }, 'x', 'INVALID_ACCOUNT'],
    ['/gifts', { from: '4', amount: 1 }, 'x', 'FST_ERR_VALIDATION'],
    ['/gifts', gift, undefined, 'MISSING_ID'],
    [likes, { user: 0 }, undefined, 'FST_ERR_VALIDATION'],
    [likes, {}, undefined, 'FST_ERR_VALIDATION'],
    ['/products/seven/likes', { user: 1 }, undefined, 'FST_ERR_VALIDATION'],
    ['/products/0/views', {}, undefined, 'FST_ERR_VALIDATION'],
  ];
  for (const [path, body, id, code] of wrong)
    expect(await call('POST', path, body, id), `${path} ${JSON.stringify(body)}`).toMatchObject({
      status: 400,
      body: { code },
    });
  for (const path of ['/accounts/4/history?limit=none', '/products/7/views?days=93', '/products/x/views'])
    expect((await call('GET', path)).status, path).toBe(400);
  expect((await call('GET', '/nothing')).status).toBe(404);
  expect((await call('GET', '/accounts/4/balance')).body).toEqual({ balance: 12 });
}, 120_000);
