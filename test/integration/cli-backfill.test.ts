// `sluice backfill`: a column of a user's table is counted once, row by row, whatever is killed meanwhile.
// BACKFILL_ROWS=1000000 runs the first test with as many rows.

import { expect, it } from 'vitest';
import { createProducer } from '../../src/producer/producer.ts';
import { queryRow } from '../../src/shared/mysql/database.ts';
import { killedAt, runOf } from '../support/backfill-process.ts';
import { openDeployment } from '../support/command.ts';
import { until } from '../support/engine.ts';

const definitions = {
  counters: {
    views: {},
    by_day: { target: { table: 'days', key: ['product', 'day'], column: 'n', missing: 'insert' } },
    own: { target: { table: 'users', key: 'id', column: 'views' } },
  },
  points: { loyalty: { floor: 0 }, credits: { floor: 0 } },
} as const;

const DAYS =
  'CREATE TABLE days (product INT UNSIGNED NOT NULL, day DATE NOT NULL, n BIGINT NOT NULL DEFAULT 0, PRIMARY KEY (product, day)) ENGINE = InnoDB';
const USERS =
  'CREATE TABLE users (id BIGINT UNSIGNED NOT NULL PRIMARY KEY, points BIGINT NULL, views INT NOT NULL DEFAULT 0) ENGINE = InnoDB';
const ROWS = Number(process.env.BACKFILL_ROWS ?? 3000);

/** Each command is a process, and a busy machine needs seconds to start one. */
const PATIENT_MS = 300_000;

type Deployment = Awaited<ReturnType<typeof openDeployment>>;

async function openTables(...more: string[]): Promise<Deployment> {
  const deployment = await openDeployment(definitions, { migrated: true });
  for (const table of [USERS, DAYS, ...more]) await deployment.database.query(table);
  return deployment;
}

const fromUsers = (run: string, value: string, to: string, ...more: string[]) => [
  'backfill',
  run,
  ...['--table', 'users', '--key', 'id', '--value', value, '--to', to, '--json', ...more],
];

/** Sends updates for some rows until it is stopped. Returns what was acknowledged, by id of the row. */
async function traffic({ name, env }: Deployment, ids: readonly string[]) {
  const { REDIS_URL: redis, MYSQL_URL: mysql } = env as { REDIS_URL: string; MYSQL_URL: string };
  const settings = { partitions: 4 };
  const producer = await createProducer({ redis, mysql, definitions, namespace: name, settings });
  const sums = new Map(ids.map(id => [id, { points: 0, views: 0 }]));
  let isStopped = false;
  const run = async () => {
    for (let n = 0; !isStopped; n++) {
      const id = ids[n % ids.length]!;
      await producer.points('loyalty').credit(id, 2, { id: `t${n}` });
      await producer.counter('views').increment(id, 3);
      sums.get(id)!.points += 2;
      sums.get(id)!.views += 3;
      // A little traffic at every step is enough; without a rest it would keep a core busy.
      await new Promise(resolve => setTimeout(resolve, 5));
      if (n % 5 !== 0) continue;
      await producer.points('loyalty').debit(id, 1, { id: `d${n}` });
      sums.get(id)!.points -= 1;
    }
  };
  const running = run();
  return async () => {
    isStopped = true;
    await running;
    await producer.close();
    return sums;
  };
}

it('is exact although both runs are killed three times while traffic goes on', async () => {
  const deployment = await openTables();
  const { database } = deployment;
  const patiently = (sql: string) =>
    database.session(connection => queryRow(connection, sql), { statementTimeoutMs: 600_000 });
  await database.query(
    'INSERT INTO users VALUES (0, -5, 0), (18446744073709551615, 7, 1), (9007199254740993, 9, 0)',
  );
  for (let from = 1; from <= ROWS; from += 5000) {
    const rows = Array.from({ length: Math.min(5000, ROWS - from + 1) }, (_, n) => {
      const id = 7 * (from + n);
      return `(${id}, ${id % 5 === 0 ? 'NULL' : (id % 1000) + 1}, ${id % 11})`;
    });
    await database.query(`INSERT INTO users VALUES ${rows.join(', ')}`);
  }
  await Promise.all([deployment.worker(), deployment.worker()]);
  const stop = await traffic(deployment, ['7', '35', '18446744073709551615', String(7 * ROWS), 'new']);
  // A busy machine must not make the pages small.
  const page = ['--page', String(Math.min(5000, Math.ceil(ROWS / 20))), '--lag', '60'];
  const at = [1, 2, 3].map(quarter => Math.floor((quarter * ROWS) / 4));
  const started = performance.now();
  const [points, views] = await Promise.all([
    killedAt(deployment, 'p1', fromUsers('p1', 'points', 'loyalty', ...page), at),
    killedAt(deployment, 'v1', fromUsers('v1', 'views', 'views', ...page), at),
  ]);
  const seconds = (performance.now() - started) / 1000;
  const sums = await stop();
  expect(points).toMatchObject({ code: 0, stderr: '' });
  expect(views).toMatchObject({ code: 0, stderr: '' });
  expect(await deployment.sluice(['drain', '--json'])).toMatchObject({ code: 0 });
  expect(await deployment.sluice(['verify', '--json'])).toMatchObject({ code: 0 });

  await database.query('CREATE TABLE sums (id VARBINARY(20) PRIMARY KEY, points BIGINT, views BIGINT)');
  for (const [id, { points: p, views: v }] of sums)
    await database.query('INSERT INTO sums VALUES (?, ?, ?)', [id, p, v]);
  const wrong = await patiently(`SELECT
    COALESCE(SUM(COALESCE(a.balance, 0) <> COALESCE(u.points, 0) + COALESCE(s.points, 0)), 0) AS points,
    COALESCE(SUM(COALESCE(c.value, 0) <> u.views + COALESCE(s.views, 0)), 0) AS views, COUNT(*) AS total
    FROM users u
    LEFT JOIN sums s ON s.id = CAST(u.id AS BINARY)
    LEFT JOIN sluice_accounts a ON a.program = 'loyalty' AND a.account = CAST(u.id AS BINARY)
    LEFT JOIN sluice_counters c ON c.counter = 'views' AND c.counter_key = CAST(u.id AS BINARY)`);
  expect({ points: Number(wrong.points), views: Number(wrong.views), total: Number(wrong.total) }).toEqual({
    points: 0,
    views: 0,
    total: ROWS + 3,
  });
  const opened = await patiently(
    "SELECT COUNT(*) AS entries, COUNT(DISTINCT account) AS accounts, SUM(amount) AS amount FROM sluice_entries WHERE entry_id = '\\0\\0p1'",
  );
  const table = await patiently(
    'SELECT COUNT(*) AS found, SUM(points) AS amount FROM users WHERE points IS NOT NULL',
  );
  expect({ ...opened }).toEqual({ entries: table.found, accounts: table.found, amount: table.amount });
  const report = JSON.parse(points.stdout);
  expect(report).toMatchObject({
    run: 'p1',
    finished: true,
    passed: ROWS + 3,
    amount: String(table.amount),
  });
  const moved = [...sums.values()].reduce((sum, one) => sum + one.points, 0);
  console.log(
    `${ROWS} rows, twice, killed six times: ${seconds.toFixed(1)} s beside traffic of ${moved} points`,
  );
  // Started once more, it does nothing.
  const again = await deployment.sluice(fromUsers('p1', 'points', 'loyalty', ...page));
  expect(again).toMatchObject({ code: 0, stdout: points.stdout });
}, 3_600_000);

it('moves its checkpoint only behind what is in MySQL: Redis may lose the page under way', async () => {
  const deployment = await openTables();
  const { database, redis, name } = deployment;
  await database.query('INSERT INTO users (id, points) VALUES (1, 10), (2, 20), (3, 30)');
  const running = deployment.start(fromUsers('p1', 'points', 'loyalty'));
  await until(async () => (await runOf(deployment, 'p1'))?.receipts != null, 'Redis has the page');
  expect(await runOf(deployment, 'p1')).toMatchObject({ place: null, passed: 0 });
  running.child.kill('SIGKILL');
  await running.ended;
  const lost = await redis.keys(`{${name}*`);
  await redis.unlink(...lost);
  await deployment.worker();
  expect(await deployment.sluice(fromUsers('p1', 'points', 'loyalty'))).toMatchObject({
    code: 0,
    stderr: '',
  });
  const rows = await database.query('SELECT account, balance FROM sluice_accounts ORDER BY account');
  expect(rows.map(row => [String(row.account), Number(row.balance)])).toEqual([
    ['1', 10],
    ['2', 20],
    ['3', 30],
  ]);
});

it(
  'status shows how far a run is, and whether a process carries it out',
  async () => {
    const deployment = await openTables();
    const { database } = deployment;
    await database.query('INSERT INTO users (id, points) VALUES (1, 10), (2, 20), (3, 30)');
    const running = deployment.start(fromUsers('p1', 'points', 'loyalty'));
    await until(async () => (await runOf(deployment, 'p1'))?.receipts != null, 'Redis has the page');
    const status = async () => JSON.parse((await deployment.sluice(['status', '--json'])).stdout).backfills;
    const [spec, rows] = [
      { run: 'p1', table: 'users', value: 'points', kind: 'p', to: 'loyalty' },
      { rows: 3, passed: 0 },
    ];
    expect(await status()).toMatchObject([{ ...spec, ...rows, page: 'accepted', isCarriedOut: true }]);
    const line = async () =>
      (await deployment.sluice(['status'])).stdout.split('\n').find(text => text.startsWith('backfill'));
    const begin = 'backfill p1 of users.points to program "loyalty": 0 of 3 rows, the last ones ';
    expect(await line()).toMatch(/ \? left; its page waits for the flush, which is [\d.]+ s behind$/);
    expect(await line()).toContain(begin);
    running.child.kill('SIGKILL');
    await running.ended;
    await until(async () => !(await status())[0].isCarriedOut, 'the lease ends');
    expect(await line()).toMatch(
      /s ago; no process carries it out, in the middle of a page: start it again with the same options$/,
    );
    await deployment.worker();
    expect((await deployment.sluice(fromUsers('p1', 'points', 'loyalty'))).code).toBe(0);
    expect(await status()).toEqual([]);
  },
  PATIENT_MS,
);

it(
  'a dry run reads all, says what cannot be copied, and changes nothing',
  async () => {
    const deployment = await openTables();
    const { database } = deployment;
    await database.query(
      'INSERT INTO users (id, points) VALUES (1, 10), (2, NULL), (3, 0), (4, 9007199254740992), (5, -3)',
    );
    const dry = await deployment.sluice(fromUsers('p1', 'points', 'loyalty', '--dry-run'));
    expect(dry.code).toBe(1);
    expect(JSON.parse(dry.stdout)).toEqual({
      ...{ run: 'p1', rows: 5, copied: 2, empty: 2, amount: '7', unusable: { OUT_OF_RANGE: 1 } },
      first: ['"4" with 9007199254740992 (the value is not from -(2^53-1) to 2^53-1)'],
    });
    const text = await deployment.sluice(
      fromUsers('p1', 'points', 'loyalty', '--dry-run').filter(argument => argument !== '--json'),
    );
    expect(text.stdout).toContain(
      'nothing was changed; rows: 5, to copy: 2 with a sum of 7, NULL or 0: 2, unusable: 1',
    );
    // Without it, the same check stops the run before it begins.
    const refused = await deployment.sluice(fromUsers('p1', 'points', 'loyalty'));
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(
      /^sluice: BACKFILL_UNUSABLE_ROWS: .* 1 rows: 1 OUT_OF_RANGE; the first: "4" with/,
    );
    expect(await runOf(deployment, 'p1')).toBeUndefined();
  },
  PATIENT_MS,
);

it(
  'rows whose key is NULL stop it, or count as skipped',
  async () => {
    const deployment = await openTables(
      'CREATE TABLE seen (day DATE NULL, n INT NOT NULL, UNIQUE KEY (day)) ENGINE = InnoDB',
    );
    await deployment.database.query("INSERT INTO seen VALUES ('2026-11-28', 5), (NULL, 6), (NULL, 7)");
    await deployment.worker();
    const args = [
      'backfill',
      's',
      '--table',
      'seen',
      '--key',
      'day',
      '--value',
      'n',
      '--to',
      'views',
      '--json',
    ];
    const refused = await deployment.sluice(args);
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(/BACKFILL_UNUSABLE_ROWS: .* 2 rows: 2 UNNAMED_KEY/);
    const end = await deployment.sluice([...args, '--skip-unusable']);
    expect([end.code, end.stderr]).toEqual([1, '']);
    expect(JSON.parse(end.stdout)).toMatchObject({ finished: true, passed: 1, copied: 1, skipped: 2 });
  },
  PATIENT_MS,
);

it(
  'refuses options that cannot be right, each with a code',
  async () => {
    const deployment = await openTables();
    const { database } = deployment;
    await database.query('INSERT INTO users (id, points) VALUES (1, 10)');
    const refusals: [string[], number, RegExp][] = [
      [fromUsers('a b', 'points', 'loyalty'), 2, /INVALID_CONFIGURATION: The name of a backfill/],
      [fromUsers('r', 'points', 'nothing'), 2, /UNKNOWN_COUNTER/],
      [fromUsers('r', 'nothing', 'loyalty'), 2, /DATABASE_UNSUITABLE: .* no column "nothing"/],
      [fromUsers('r', 'views', 'own'), 2, /BACKFILL_SAME_COLUMN/],
      [fromUsers('r', 'points', 'by_day'), 2, /keys of 2 parts/],
      [fromUsers('r', 'points', 'loyalty', '--where', '1) OR (1'), 2, /INVALID_CONFIGURATION: .*--where/],
      [
        fromUsers('r', 'points', 'loyalty', '--mark', 'points'),
        2,
        /DATABASE_UNSUITABLE: .* cannot be the mark/,
      ],
      [fromUsers('r', 'points', 'loyalty', '--mark', 'views', '--skip-unusable'), 2, /cannot be combined/],
      [fromUsers('r', 'points', 'loyalty', '--unproven', 'maybe'), 2, /--unproven must be/],
      [fromUsers('r', 'points', 'loyalty', '--rate', '0'), 2, /--rate must be/],
      [fromUsers('r', 'points', 'loyalty', '--page', '1.5'), 2, /--page must be/],
      [fromUsers('r', 'points', 'loyalty', '--lag', 'x'), 2, /--lag must be/],
      // There is no worker.
      [fromUsers('r', 'points', 'loyalty', '--patience', '0.5'), 3, /BACKFILL_STALLED: .* still pending/],
      [fromUsers('r', 'points', 'loyalty', '--where', 'TRUE'), 2, /BACKFILL_CHANGED/],
      [fromUsers('s', 'points', 'loyalty'), 2, /BACKFILL_REPEATED: The backfill r/],
    ];
    for (const [args, code, why] of refusals) {
      const end = await deployment.sluice(args);
      expect([end.code, end.stderr], args.join(' ')).toEqual([code, expect.stringMatching(why)]);
      expect(end.stderr).toMatch(/^sluice: [A-Z_]+: .*\n$/);
    }
  },
  PATIENT_MS,
);

it(
  'stops at a signal, behind what is in MySQL, and goes on later',
  async () => {
    const deployment = await openTables();
    const { database } = deployment;
    await database.query(
      `INSERT INTO users (id, points) VALUES ${Array.from({ length: 200 }, (_, n) => `(${n}, 1)`).join(', ')}`,
    );
    await deployment.worker();
    const args = fromUsers('p1', 'points', 'loyalty', '--rate', '20');
    const running = deployment.start(args);
    await until(async () => ((await runOf(deployment, 'p1'))?.passed ?? 0) > 0, 'a page is copied');
    running.child.kill('SIGTERM');
    const { code, stdout, stderr } = await running.ended;
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/was stopped; start it again with the same options/),
    ]);
    expect(JSON.parse(stdout)).toMatchObject({ finished: false });
    expect(await runOf(deployment, 'p1')).toMatchObject({ receipts: null });
    const end = await deployment.sluice(fromUsers('p1', 'points', 'loyalty'));
    expect(JSON.parse(end.stdout)).toMatchObject({ finished: true, copied: 199 + 1, amount: '200' });
  },
  PATIENT_MS,
);
