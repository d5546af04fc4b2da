// The counts of the example shop as a reader runs it: its own install, a process, HTTP calls, a worker, real servers.

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual, promisify } from 'node:util';
import { expect, inject, it } from 'vitest';
import { LIMITS } from '../../src/shared/limits.ts';
import { until } from '../support/engine.ts';
import { ownServers } from '../support/servers.ts';
import { openShop } from '../support/shop.ts';

const project = fileURLToPath(new URL('../../', import.meta.url));
const run = promisify(execFile);
const USER = ['service', 'on', '>service-password', '~*', '&*', '+@all'];

it('the example type-checks as for a reader', async () => {
  const compiler = join(project, 'node_modules/typescript/bin/tsc');
  const { stdout } = await run(process.execPath, [compiler, '-p', inject('shopFolder')]).catch(
    error => error,
  );
  expect(stdout).toBe('');
});

it('the example counts views, keeps accounts, maps errors to HTTP, and on SIGTERM sends buffered updates', async () => {
  const { redis, mysql, servers } = await ownServers();
  const shop = await openShop({ servers });
  const secret = shop.file('secret', 'service-password\n');
  await shop.redis.call('ACL', 'SETUSER', ...USER);
  await shop.worker();
  const api = await shop.api({
    REDIS_URL: shop.env.REDIS_URL!.replace('//', '//service@'),
    REDIS_PASSWORD_FILE: secret,
  });
  const call = (method: string, path: string, body?: unknown, id?: string) =>
    api.call(method, path, body, id === undefined ? {} : { 'idempotency-key': id });

  // Views.
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

  // Mistakes of the caller.
  expect(await call('POST', debits, { amount: 21 }, 'redeem-2')).toMatchObject({
    status: 409,
    body: { code: 'INSUFFICIENT_POINTS', balance: 20 },
  });
  expect(await call('POST', credits, { amount: 30 }, 'order-1')).toMatchObject({
    status: 422,
    body: { code: 'IDEMPOTENCY_KEY_REUSED' },
  });
  const wrong: [unknown, string | undefined, string][] = [
    [{ amount: 1 }, undefined, 'MISSING_ID'],
    [{ amount: 0 }, 'x', 'INVALID_AMOUNT'],
    [{ amount: -1 }, 'x', 'INVALID_AMOUNT'],
    [{ amount: 1.5 }, 'x', 'INVALID_AMOUNT'],
    [{ amount: '1' }, 'x', 'FST_ERR_VALIDATION'],
    [{}, 'x', 'FST_ERR_VALIDATION'],
    [{ amount: 1, reason: 'x'.repeat(LIMITS.reason + 1) }, 'x', 'INVALID_REASON'],
  ];
  for (const [body, id, code] of wrong)
    expect(await call('POST', credits, body, id), JSON.stringify(body)).toMatchObject({
      status: 400,
      body: { code },
    });
  expect((await call('GET', '/accounts/4/history?limit=none')).status).toBe(400);
  expect((await call('GET', '/nothing')).status).toBe(404);
  expect((await call('GET', '/accounts/4/balance')).body).toEqual({ balance: 20 });

  // The leaderboard.
  for (const [player, score] of [
    ['u1', 9001],
    ['u2', 7],
    ['u1', 12],
  ] as const)
    expect((await call('POST', `/players/${player}/scores`, { score })).status).toBe(204);
  await until(async () => (await call('GET', '/leaderboard')).status === 200, 'a worker to build the ranks');
  const players = [
    { rank: 1, player: 'u1', best: 9001 },
    { rank: 2, player: 'u2', best: 7 },
  ];
  await until(async () => (await call('GET', '/leaderboard')).body.exact, 'the ranks to be exact');
  expect((await call('GET', '/leaderboard?count=2')).body).toEqual({ exact: true, players });
  const { body: player } = await call('GET', '/players/u2');
  expect(player).toMatchObject({ best: 7, rank: 2, exact: true });
  expect(Math.abs(Date.parse(player.lastSeen) - Date.now())).toBeLessThan(60_000);
  expect((await call('GET', '/players/nobody')).body).toMatchObject({
    best: null,
    rank: null,
    lastSeen: null,
  });

  // Metrics have a port of their own.
  expect(await api.metrics()).toMatch(/^sluice_[a-z_]+/m);
  expect((await call('GET', '/metrics')).status).toBe(404);

  // Missing servers.
  expect(await call('GET', '/health')).toMatchObject({
    status: 200,
    body: { redis: 'connected', database: 'connected' },
  });
  mysql.kill('SIGKILL');
  expect(await call('GET', '/health')).toMatchObject({
    status: 503,
    body: { redis: 'connected', database: 'disconnected' },
  });
  expect((await call('POST', page)).status).toBe(204);
  const cold = await call('GET', '/accounts/cold/balance');
  expect(cold).toMatchObject({ status: 503, body: { code: 'DATABASE_UNAVAILABLE' } });
  expect(cold.headers.get('retry-after')).toBe('1');
  await mysql.restart();
  redis.kill('SIGKILL');
  const gone = { redis: 'disconnected', database: 'connected' };
  // A call that was already sent would have an unknown outcome instead.
  await until(async () => isDeepStrictEqual((await call('GET', '/health')).body, gone), 'Redis to be gone');
  const uncounted = await call('POST', page);
  expect(uncounted).toMatchObject({ status: 503, body: { code: 'REDIS_UNAVAILABLE' } });
  expect(uncounted.headers.get('retry-after')).toBe('1');
  await redis.restart();
  // The restarted Redis has lost the user, which was created at run time.
  await shop.redis.call('ACL', 'SETUSER', ...USER);
  await until(async () => (await call('GET', '/health')).status === 200, 'both to be back');
  const before = (await call('GET', page)).body.views;

  // Every answered update reaches MySQL, although the service ends right after.
  const calls = Array.from({ length: 50 }, () => call('POST', page));
  expect((await Promise.all(calls)).every(({ status }) => status === 204)).toBe(true);
  api.child.kill('SIGTERM');
  expect(await api.ended).toMatchObject({ code: 0, stderr: '' });
  expect(await shop.sluice(['drain'])).toMatchObject({ code: 0 });
  const [row] = await shop.database.query('SELECT value FROM sluice_counters WHERE counter_key = ?', [
    Buffer.from('/index.html'),
  ]);
  expect(Number(row!.value)).toBe(before + 50);
}, 120_000);
