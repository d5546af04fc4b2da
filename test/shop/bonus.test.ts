// The yearly bonus of the example shop: its process stops and is killed on the way, and each user has it once.

import { expect, it } from 'vitest';
import { until } from '../support/engine.ts';
import { openShop } from '../support/shop.ts';

const USERS = 300;
const PAGE = 20;
const SETTINGS = { BONUS_PAGE: String(PAGE), JOB_LOCK_MS: '1000', METRICS_PORT: '0' };

it('each user gets the bonus once, although the process is stopped and killed half-way', async () => {
  const shop = await openShop();
  // With gaps, as after users have left.
  const users = Array.from({ length: USERS }, (_, at) => 3 * at + 1);
  const rows = users.map(id => `(${id}, 'user${id}', 'Oslo', 'none')`);
  await shop.database.query(`INSERT INTO users (id, name, city, password) VALUES ${rows.join(', ')}`);
  const worker = await shop.worker();
  const { call } = await shop.api();
  const admin = { 'x-admin-key': shop.env.ADMIN_KEY! };
  const start = (points: unknown, year = '2026') => call('POST', `/bonus/${year}`, { points }, admin);
  const run = async () => (await call('GET', '/bonus/2026')).body;
  const reached = (count: number) => until(async () => (await run()).users >= count, `${count} users`);

  expect((await call('POST', '/bonus/2026', { points: 50 })).status).toBe(403);
  for (const points of [0, 1.5, '50', undefined]) expect((await start(points)).status).toBe(400);
  expect((await start(50, '26')).status).toBe(400);
  expect((await call('GET', '/bonus/2026')).body.code).toBe('NO_BONUS');
  expect(await start(50)).toMatchObject({ status: 202, body: { users: 0, total: USERS, endedAt: null } });
  expect(await start(51)).toMatchObject({ status: 409, body: { code: 'BONUS_DIFFERS' } });
  expect((await start(50)).status).toBe(202);

  const stopped = shop.begin('jobs', SETTINGS);
  await reached(PAGE);
  stopped.child.kill('SIGTERM');
  expect(await stopped.ended).toMatchObject({ code: 0, stderr: '' });
  const then = (await run()).users;
  expect(then).toBeLessThan(USERS);

  // Killed when its page is in Redis and not in MySQL, since the worker stands still.
  worker.child.kill('SIGSTOP');
  const killed = shop.begin('jobs', SETTINGS);
  const isApplied = async () => (await call('GET', `/accounts/${users[then]}/balance`)).body.balance === 50;
  await until(isApplied, 'the next page to be applied');
  killed.child.kill('SIGKILL');
  await killed.ended;
  worker.child.kill('SIGCONT');
  expect((await run()).users).toBe(then);

  shop.begin('jobs', SETTINGS);
  await until(async () => (await run()).endedAt !== null, 'the bonus to end', 60_000);
  expect(await run()).toMatchObject({ users: USERS, refused: 0, lastUser: users.at(-1) });
  const entries = await shop.database.query(
    "SELECT account, COUNT(*) AS entries, SUM(amount) AS points FROM sluice_entries WHERE program = 'loyalty' GROUP BY account",
  );
  const paid = entries.map(row => [Number(row.account), Number(row.entries), Number(row.points)]);
  expect(paid.toSorted(([a], [b]) => a! - b!)).toEqual(users.map(id => [id, 1, 50]));
  expect((await call('GET', '/accounts/1/balance')).body).toEqual({ balance: 50 });
  // It has ended: another start changes nothing.
  expect((await start(50)).body).toMatchObject({ users: USERS });
  expect(await shop.sluice(['drain'])).toMatchObject({ code: 0 });
  expect(await shop.sluice(['verify', '--json'])).toMatchObject({ code: 0 });
}, 120_000);
