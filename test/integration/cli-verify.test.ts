// `sluice verify` on many keys: several pages, keys that only Redis has, removed definitions, lost balances.

import { expect, it } from 'vitest';
import { openDeployment } from '../support/command.ts';
import { addToLive, liveItems, liveValues, setLive } from '../support/live.ts';

const definitions = { counters: { page_views: {}, clicks: {} }, points: { loyalty: {} } } as const;

/** More than two pages of the tables; the order of keys and accounts is not that of a table. */
const KEYS = Array.from({ length: 2500 }, (_, n) => `/${(n * 7919) % 2500}`);
const view = (key: string) => `{"counter":"page_views","key":${JSON.stringify(key)}}`;
const credit = (account: string) =>
  `{"points":"loyalty","account":${JSON.stringify(account)},"amount":5,"id":"a"}`;
const verified = (stdout: string) =>
  JSON.parse(stdout) as { checked: number; drift: { key: string }[]; ledger: { account: string }[] };

it('verify looks at every key, wherever it is, and finds each wrong one', async () => {
  const deployment = await openDeployment(definitions);
  const lines = [...KEYS.map(view), ...KEYS.map(credit)];
  expect((await deployment.sluice(['ingest', '-'], {}, lines.join('\n'))).code).toBe(0);
  const worker = await deployment.worker();
  expect((await deployment.sluice(['drain'])).code).toBe(0);
  worker.child.kill('SIGTERM');
  expect((await worker.ended).code).toBe(0);
  // A known and a new counter, and a new account, that only Redis has; the other accounts are live already.
  const pending = [view('/0'), view('only pending'), credit('only pending')];
  expect((await deployment.sluice(['ingest', '-'], {}, pending.join('\n'))).code).toBe(0);
  expect(await deployment.read('page_views', 'only live')).toBe(0);
  const clean = await deployment.sluice(['verify', '--json']);
  expect(clean).toMatchObject({ code: 0, stderr: '' });
  expect(verified(clean.stdout)).toMatchObject({ drift: [], ledger: [] });
  expect(verified(clean.stdout).checked).toBeGreaterThanOrEqual(5003);

  const wrong = KEYS.filter((_, n) => n % 100 === 0).concat('only pending');
  expect(await liveItems(deployment, 'p')).toHaveLength(2501);
  for (const account of wrong) await addToLive(deployment, 'p', `loyalty:${account}`, 7);
  const { code, stdout } = await deployment.sluice(['verify', '--json']);
  expect(code).toBe(1);
  const { checked, drift, ledger } = verified(stdout);
  expect(checked).toBeGreaterThanOrEqual(5003);
  expect(ledger).toEqual([]);
  expect(drift.map(({ key }) => key).toSorted()).toEqual(wrong.toSorted());
  for (const found of drift)
    expect(found).toMatchObject({ kind: 'points', name: 'loyalty', live: 12, expected: 5 });
});

it('verify finds a program without a definition, and a lost balance', async () => {
  const deployment = await openDeployment(definitions);
  const worker = await deployment.worker();
  expect(
    (await deployment.sluice(['ingest', '-'], {}, [view('/'), credit('1'), credit('2')].join('\n'))).code,
  ).toBe(0);
  expect((await deployment.sluice(['drain'])).code).toBe(0);
  worker.child.kill('SIGTERM');
  expect((await worker.ended).code).toBe(0);
  await deployment.database.query("DELETE FROM sluice_accounts WHERE account = '2'");
  const other = deployment.file('other.json', '{"counters":{"clicks":{}}}');
  const { code, stdout } = await deployment.sluice(['verify', '--json'], { SLUICE_CONFIG: other });
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toEqual({
    checked: 3,
    drift: [{ kind: 'points', name: 'loyalty', key: '2', live: 5, expected: 0 }],
    ledger: [{ program: 'loyalty', account: '2', balance: 0, sum: 5 }],
    transfers: [],
  });
});

it('a repair mends drift, prints old and new values, and keeps a record', async () => {
  const deployment = await openDeployment(definitions);
  const worker = await deployment.worker();
  const lines = [view('/'), credit('1'), credit('2'), credit('3')];
  expect((await deployment.sluice(['ingest', '-'], {}, lines.join('\n'))).code).toBe(0);
  expect((await deployment.sluice(['drain'])).code).toBe(0);
  worker.child.kill('SIGTERM');
  expect((await worker.ended).code).toBe(0);
  expect((await deployment.sluice(['ingest', '-'], {}, credit('4'))).code).toBe(0);
  await setLive(deployment, 'p', 'loyalty:1', 70);
  await setLive(deployment, 'p', 'loyalty:2', 'not a number');
  await addToLive(deployment, 'p', 'loyalty:4', -7);
  // A repair leaves a ledger alone that does not add up, since nobody knows which side is right.
  await deployment.database.query("UPDATE sluice_accounts SET balance = 6 WHERE account = '3'");

  const repair = ['verify', '--repair', '--json', '--operator', 'anna', '--reason', 'redis-cli'];
  const { code, stdout } = await deployment.sluice(repair);
  const wrongLedger = { program: 'loyalty', account: '3', balance: 6, sum: 5 };
  const about = { kind: 'points', name: 'loyalty', expected: 5, became: 5 };
  expect(code).toBe(1);
  const found = verified(stdout);
  expect({ ...found, drift: found.drift.toSorted((a, b) => (a.key < b.key ? -1 : 1)) }).toEqual({
    checked: 5,
    drift: [
      { ...about, key: '1', live: 70 },
      { ...about, key: '2', live: null },
      { ...about, key: '3', live: 5, expected: 6, became: 6 },
      { ...about, key: '4', live: -2 },
    ],
    ledger: [wrongLedger],
    transfers: [],
  });
  for (const [account, live] of Object.entries({ 1: '5', 2: '5', 3: '6', 4: '5' }))
    expect(await liveValues(deployment, 'p', `loyalty:${account}`)).toEqual([live, null]);
  expect(
    await deployment.database.query('SELECT balance FROM sluice_accounts ORDER BY account'),
  ).toMatchObject([{ balance: '5' }, { balance: '5' }, { balance: '6' }]);
  const [operation, ...more] = await deployment.database.query('SELECT * FROM sluice_operations');
  expect(more).toEqual([]);
  expect(operation).toMatchObject({ action: 'repair', operator: 'anna', reason: 'redis-cli', last_id: '0' });
  expect(operation!.finished_at >= operation!.started_at).toBe(true);

  await deployment.database.query("UPDATE sluice_accounts SET balance = 5 WHERE account = '3'");
  await setLive(deployment, 'p', 'loyalty:1', '9007199254740993');
  const mended = await deployment.sluice(['verify', '--repair']);
  expect(mended.code).toBe(0);
  expect(mended.stdout).toMatch(
    /^5 comparisons, 2 keys with drift, repaired, 0 ledgers and 0 transfers that do not add up\n/,
  );
  expect(mended.stdout).toMatch(/was +became\n.*loyalty +"3" +6 +5\n/s);
  expect(mended.stdout).toMatch(/loyalty +"1" +9007199254740993 +5\n/);
  expect((await deployment.sluice(['verify'])).code).toBe(0);
  const [second] = await deployment.database.query('SELECT operator FROM sluice_operations ORDER BY id DESC');
  expect(second!.operator).not.toBe('anna');
  const listed = await deployment.sluice(['failed', 'audit']);
  expect({ code: listed.code, stderr: listed.stderr }).toEqual({ code: 0, stderr: '' });
  expect(listed.stdout).toMatch(/ repair +anna .*redis-cli/);
  expect((await deployment.sluice(['verify', '--reason', 'x'])).code).toBe(2);
});

it('verify compares mapped columns with live values, and leaves their ledgers alone', async () => {
  const deployment = await openDeployment({
    counters: { page_views: { target: { table: 'products', key: 'id', column: 'views' } } },
    points: { loyalty: { target: { table: 'users', key: 'id', column: 'points', missing: 'insert' } } },
  });
  await deployment.database.query(
    'CREATE TABLE products (id INT PRIMARY KEY, views BIGINT NOT NULL) ENGINE = InnoDB',
  );
  await deployment.database.query(
    'CREATE TABLE users (id INT PRIMARY KEY, points INT NOT NULL) ENGINE = InnoDB',
  );
  await deployment.database.query('INSERT INTO products VALUES (1, 10), (2, 20), (3, 30)');
  await deployment.database.query('INSERT INTO users VALUES (1, 100)');
  const worker = await deployment.worker();
  // Product 9 has no row, so its views end in quarantine; verify counts them.
  const lines = [view('1'), view('9'), credit('1'), credit('2')];
  expect((await deployment.sluice(['ingest', '-'], {}, lines.join('\n'))).code).toBe(0);
  expect((await deployment.sluice(['drain'])).code).toBe(0);
  worker.child.kill('SIGTERM');
  expect((await worker.ended).code).toBe(0);
  expect(await deployment.read('page_views', '9')).toBe(1);
  expect(await deployment.sluice(['verify', '--json'])).toEqual({
    code: 0,
    stdout: '{"checked":6,"drift":[],"ledger":[],"transfers":[]}\n',
    stderr: '',
  });
  await deployment.database.query('UPDATE users SET points = points + 1 WHERE id = 2');
  const { code, stdout } = await deployment.sluice(['verify', '--json']);
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toEqual({
    checked: 6,
    drift: [{ kind: 'points', name: 'loyalty', key: '2', live: 5, expected: 6 }],
    ledger: [],
    transfers: [],
  });
  // A repair adopts the other writer's value.
  expect(JSON.parse((await deployment.sluice(['verify', '--repair', '--json'])).stdout).drift).toEqual([
    { kind: 'points', name: 'loyalty', key: '2', live: 5, expected: 6, became: 6 },
  ]);
  expect((await deployment.sluice(['verify'])).code).toBe(0);
});

it('verify shows held points that are wrong, a repair mends them, and holds without an entry are told', async () => {
  const deployment = await openDeployment(definitions);
  const worker = await deployment.worker();
  expect((await deployment.sluice(['ingest', '-'], {}, [credit('1'), credit('2')].join('\n'))).code).toBe(0);
  expect((await deployment.sluice(['drain'])).code).toBe(0);
  worker.child.kill('SIGTERM');
  expect((await worker.ended).code).toBe(0);
  const rows = `('loyalty', '1', 'open', 0, 3, 'open', 0, UTC_TIMESTAMP(3), NULL),
    ('loyalty', '2', 'gone', 0, 4, 'posted', 4, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))`;
  await deployment.database.query(
    `INSERT INTO sluice_holds (program, account, hold_id, partition_id, amount, status, posted, created_at, ended_at) VALUES ${rows}`,
  );
  await setLive(deployment, 'p', 'loyalty:2', '5/2');
  const { code, stdout } = await deployment.sluice(['verify']);
  expect(code).toBe(1);
  expect(stdout).toMatch(/^2 comparisons, 2 keys with drift,/);
  expect(stdout).toContain('\n1 holds whose entries do not fit\n');
  expect(stdout).toMatch(/program +account +held +expected\n.*\nloyalty +"1" +0 +3\nloyalty +"2" +2 +0\n/);
  expect(stdout).toMatch(/taken by its entry\n.*\nloyalty +"2" +gone +NO_ENTRY +4 +0\n/);
  expect(stdout).toContain('\n1 wrong sums of open holds\n');
  expect(stdout).toMatch(/in the rows\n.*\nloyalty +0 +0 +1 +0 +3\n$/);
  const repaired = await deployment.sluice(['verify', '--repair', '--json']);
  expect(JSON.parse(repaired.stdout)).toMatchObject({
    drift: expect.arrayContaining([
      {
        kind: 'points',
        name: 'loyalty',
        key: '1',
        live: 5,
        held: 0,
        expectedHeld: 3,
        expected: 5,
        became: 5,
      },
      {
        kind: 'points',
        name: 'loyalty',
        key: '2',
        live: 5,
        held: 2,
        expectedHeld: 0,
        expected: 5,
        became: 5,
      },
    ]),
    holds: [{ program: 'loyalty', account: '2', hold: 'gone', problem: 'NO_ENTRY', posted: 4, taken: 0 }],
    openHolds: [
      { program: 'loyalty', partition: 0, holds: 0, points: '0', expectedHolds: 1, expectedPoints: '3' },
    ],
  });
  expect(await liveValues(deployment, 'p', 'loyalty:1')).toEqual(['5/3', null]);
  expect(await liveValues(deployment, 'p', 'loyalty:2')).toEqual(['5', null]);
  await deployment.database.query("DELETE FROM sluice_holds WHERE hold_id = 'gone'");
  expect((await deployment.sluice(['verify'])).code).toBe(0);
});
