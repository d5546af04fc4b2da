// `sluice verify` beyond a handful of keys: every page, what only Redis knows, what is defined no longer, lost balances.

import { expect, it } from 'vitest';
import { openCommandPlace } from '../support/command.ts';

const definitions = { counters: { page_views: {}, clicks: {} }, points: { loyalty: {} } } as const;

/** Over two pages of the tables and many chunks; accounts and keys in an order that no table has. */
const KEYS = Array.from({ length: 2500 }, (_, n) => `/${(n * 7919) % 2500}`);
const view = (key: string) => `{"counter":"page_views","key":${JSON.stringify(key)}}`;
const credit = (account: string) =>
  `{"points":"loyalty","account":${JSON.stringify(account)},"amount":5,"id":"a"}`;
const verified = (stdout: string) =>
  JSON.parse(stdout) as { checked: number; drift: { key: string }[]; ledger: { account: string }[] };

it('looks at every key once, wherever it is, and finds each that is wrong', async () => {
  const place = await openCommandPlace(definitions);
  const lines = [...KEYS.map(view), ...KEYS.map(credit)];
  expect((await place.sluice(['ingest', '-'], {}, lines.join('\n'))).code).toBe(0);
  const worker = await place.worker();
  expect((await place.sluice(['drain'])).code).toBe(0);
  worker.child.kill('SIGTERM');
  expect((await worker.ended).code).toBe(0);
  // One known and one new key that only Redis knows of; accounts are live already.
  const pending = [view('/0'), view('only pending'), credit('only pending')];
  expect((await place.sluice(['ingest', '-'], {}, pending.join('\n'))).code).toBe(0);
  expect(await place.read('page_views', 'only live')).toBe(0);
  expect(await place.sluice(['verify', '--json'])).toEqual({
    code: 0,
    stdout: '{"checked":5003,"drift":[],"ledger":[]}\n',
    stderr: '',
  });

  const wrong = KEYS.filter((_, n) => n % 100 === 0).concat('only pending');
  const live = await place.redis.keys(`{${place.name}:*}:p:*`);
  expect(live).toHaveLength(2501);
  for (const key of live) {
    const account = key.slice(key.lastIndexOf(':') + 1);
    if (wrong.includes(account)) await place.redis.incrby(key, 7);
  }
  const { code, stdout } = await place.sluice(['verify', '--json']);
  expect(code).toBe(1);
  const { checked, drift, ledger } = verified(stdout);
  expect({ checked, ledger }).toEqual({ checked: 5003, ledger: [] });
  expect(drift.map(({ key }) => key).toSorted()).toEqual(wrong.toSorted());
  for (const found of drift)
    expect(found).toMatchObject({ kind: 'points', name: 'loyalty', live: 12, expected: 5 });
});

it('sees a program whose definition is gone, and a balance that is gone', async () => {
  const place = await openCommandPlace(definitions);
  const worker = await place.worker();
  expect(
    (await place.sluice(['ingest', '-'], {}, [view('/'), credit('1'), credit('2')].join('\n'))).code,
  ).toBe(0);
  expect((await place.sluice(['drain'])).code).toBe(0);
  worker.child.kill('SIGTERM');
  expect((await worker.ended).code).toBe(0);
  await place.database.query("DELETE FROM sluice_accounts WHERE account = '2'");
  const other = place.file('other.json', '{"counters":{"clicks":{}}}');
  const { code, stdout } = await place.sluice(['verify', '--json'], { SLUICE_CONFIG: other });
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toEqual({
    checked: 3,
    drift: [{ kind: 'points', name: 'loyalty', key: '2', live: 5, expected: 0 }],
    ledger: [{ program: 'loyalty', account: '2', balance: 0, sum: 5 }],
  });
});

it('compares mapped columns with live values, and leaves their ledgers alone', async () => {
  const place = await openCommandPlace({
    counters: { page_views: { target: { table: 'products', key: 'id', column: 'views' } } },
    points: { loyalty: { target: { table: 'users', key: 'id', column: 'points', missing: 'insert' } } },
  });
  await place.database.query(
    'CREATE TABLE products (id INT PRIMARY KEY, views BIGINT NOT NULL) ENGINE = InnoDB',
  );
  await place.database.query('CREATE TABLE users (id INT PRIMARY KEY, points INT NOT NULL) ENGINE = InnoDB');
  await place.database.query('INSERT INTO products VALUES (1, 10), (2, 20), (3, 30)');
  await place.database.query('INSERT INTO users VALUES (1, 100)');
  const worker = await place.worker();
  // Product 9 has no row, so its views end in quarantine, which verify counts.
  const lines = [view('1'), view('9'), credit('1'), credit('2')];
  expect((await place.sluice(['ingest', '-'], {}, lines.join('\n'))).code).toBe(0);
  expect((await place.sluice(['drain'])).code).toBe(0);
  worker.child.kill('SIGTERM');
  expect((await worker.ended).code).toBe(0);
  expect(await place.read('page_views', '9')).toBe(1);
  expect(await place.sluice(['verify', '--json'])).toEqual({
    code: 0,
    stdout: '{"checked":6,"drift":[],"ledger":[]}\n',
    stderr: '',
  });
  await place.database.query('UPDATE users SET points = points + 1 WHERE id = 2');
  const { code, stdout } = await place.sluice(['verify', '--json']);
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toEqual({
    checked: 6,
    drift: [{ kind: 'points', name: 'loyalty', key: '2', live: 5, expected: 6 }],
    ledger: [],
  });
});
