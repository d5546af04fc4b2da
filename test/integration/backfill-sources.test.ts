// Which tables a backfill reads, and that it reads each row once, in the order of its key.

import { expect, it } from 'vitest';
import { checkRows } from '../../src/backfill/check.ts';
import { checkSource } from '../../src/backfill/source.ts';
import { type SpecOptions, specOf } from '../../src/backfill/spec.ts';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { queryRow, queryRows } from '../../src/shared/mysql/database.ts';
import { backfill } from '../support/backfill.ts';
import { type Engine, openEngine } from '../support/engine.ts';

const from = (more: Partial<SpecOptions>): SpecOptions => {
  return { table: 't', key: 'id', value: 'n', to: 'views', ...more };
};

/** What the counter holds, by key. */
async function countersOf(engine: Engine, counter = 'views'): Promise<Record<string, number>> {
  const rows = await engine.database.query(
    'SELECT counter_key, value FROM sluice_counters WHERE counter = ? ORDER BY counter_key',
    [counter],
  );
  return Object.fromEntries(rows.map(row => [String(row.counter_key), Number(row.value)]));
}

const DAY = "'2026-11-28'";
const UUIDS = [
  "X'00112233445566778899AABBCCDDEEFF'",
  "X'FF112233445566778899AABBCCDDEEFF'",
  "X'01112233445566778899AABBCCDDEEFF'",
];

it.each([
  [
    'unsigned numbers beyond 2^53',
    'BIGINT UNSIGNED',
    ['18446744073709551615', '9007199254740993', '9007199254740992', '0', '3'],
    ['0', '18446744073709551615', '3', '9007199254740992', '9007199254740993'],
  ],
  ['negative numbers', 'INT', ['-5', '-10', '0', '7', '2'], ['-10', '-5', '0', '2', '7']],
  [
    'texts that ignore case and accents',
    'VARCHAR(50) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci',
    ["'b'", "'A'", "'ä1'", "'Z1'", "'z'", "'o''x?'", "'\\\\'", "'日本'", "'%'"],
    ['%', 'A', 'Z1', '\\', 'b', "o'x?", 'z', 'ä1', '日本'],
  ],
  [
    'texts of another character set',
    'CHAR(10) CHARACTER SET latin1 COLLATE latin1_german2_ci',
    ["'ä'", "'b'", "'ad'", "'ö'", "'Of'", "'z '"],
    ['Of', 'ad', 'b', 'z', 'ä', 'ö'],
  ],
  ['bytes', 'VARBINARY(20)', ["'b'", "'A'", "'a '", "'a'", "X'00'"], ['\0', 'A', 'a', 'a ', 'b']],
  [
    'UUIDs',
    'BINARY(16)',
    UUIDS,
    [
      '00112233-4455-6677-8899-aabbccddeeff',
      '01112233-4455-6677-8899-aabbccddeeff',
      'ff112233-4455-6677-8899-aabbccddeeff',
    ],
  ],
  ['days', 'DATE', [DAY, "'2026-01-01'", "'1999-12-31'"], ['1999-12-31', '2026-01-01', '2026-11-28']],
  [
    'times',
    'DATETIME(3)',
    ["'2026-11-28 10:00:00.5'", "'2026-11-28'", "'1999-12-31 23:59:59.999'"],
    ['1999-12-31 23:59:59.999', '2026-11-28 00:00:00.000', '2026-11-28 10:00:00.500'],
  ],
])('walks %s', async (_, type, keys, shown) => {
  const engine = await openEngine();
  await engine.worker();
  await engine.database.query(`CREATE TABLE t (id ${type} NOT NULL PRIMARY KEY, n INT) ENGINE = InnoDB`);
  await engine.database.query(`INSERT INTO t VALUES ${keys.map(key => `(${key}, 5)`).join(', ')}`);
  const run = await backfill(engine, 'r', from({}), { page: 2 });
  expect(run.counts).toMatchObject({ passed: keys.length, copied: keys.length });
  expect(await countersOf(engine)).toEqual(Object.fromEntries(shown.map(key => [key, 5])));
});

it('walks a key of several columns in the order of its index, into a counter with such keys', async () => {
  const definitions = {
    counters: {
      by_day: { target: { table: 'days', key: ['product', 'day'], column: 'n', missing: 'insert' } },
    },
  } as const;
  const engine = await openEngine();
  for (const [table, key] of [
    ['t', 'day, product'],
    ['days', 'product, day'],
  ])
    await engine.database.query(
      `CREATE TABLE ${table} (product INT UNSIGNED NOT NULL, day DATE NOT NULL, n INT NOT NULL DEFAULT 0, UNIQUE KEY (${key})) ENGINE = InnoDB`,
    );
  const days = ["'2026-11-28'", "'2026-11-27'", "'2026-11-29'"];
  const rows = [3, 1, 2].flatMap(product =>
    days.map((day, n) => `(${product}, ${day}, ${10 * product + n})`),
  );
  await engine.database.query(`INSERT INTO t VALUES ${rows.join(', ')}`);
  await engine.worker({}, {}, { definitions: parseDefinitions(definitions) });
  await backfill(engine, 'r', from({ key: 'product,day', to: 'by_day' }), { page: 2, definitions });
  const [wrong] = await engine.database.query(
    'SELECT COUNT(*) AS found, SUM(t.n = d.n) AS same FROM t LEFT JOIN days d ON d.product = t.product AND d.day = t.day',
  );
  expect([Number(wrong!.found), Number(wrong!.same)]).toEqual([9, 9]);
});

it('reads each row as it is when the walk is there: added, changed and deleted rows', async () => {
  const engine = await openEngine();
  await engine.worker();
  await engine.database.query('CREATE TABLE t (id INT NOT NULL PRIMARY KEY, n INT) ENGINE = InnoDB');
  await engine.database.query('INSERT INTO t VALUES (10, 1), (20, 1), (30, 1), (40, 1), (50, 1)');
  let pages = 0;
  const seam = async (step: string) => {
    if (step !== 'recorded' || ++pages !== 1) return;
    await engine.database.query('INSERT INTO t VALUES (15, 9), (35, 2)');
    await engine.database.query('UPDATE t SET n = 7 WHERE id IN (10, 40)');
    await engine.database.query('DELETE FROM t WHERE id = 30');
  };
  await backfill(engine, 'r', from({}), { page: 2, seam });
  expect(await countersOf(engine)).toEqual({ 10: 1, 20: 1, 35: 2, 40: 7, 50: 1 });
});

it.each([
  ['DATETIME(3)', 'DATETIME(3)'],
  ['DATETIME', 'TIMESTAMP(3)'],
  ['TIMESTAMP', 'DATETIME(3)'],
  ['TIMESTAMP(6)', 'TIMESTAMP(3)'],
])('copies times: %s into %s, to the millisecond', async (type, target) => {
  const definitions = {
    values: {
      seen: { keep: 'last', target: { table: 'there', key: 'id', column: 'at', missing: 'insert' } },
      plain: { keep: 'last' },
    },
  } as const;
  const engine = await openEngine({ partitions: 1 });
  await engine.database.query(
    `CREATE TABLE t (id INT NOT NULL PRIMARY KEY, n ${type} NULL, m DATE NULL) ENGINE = InnoDB`,
  );
  await engine.database.query(
    `CREATE TABLE there (id INT NOT NULL PRIMARY KEY, at ${target} NULL) ENGINE = InnoDB`,
  );
  // In the zones of Europe, the second and the third are the same local time.
  const fraction = type.endsWith(')') ? '.123' : '';
  const times = ['2026-07-01 10:00:00', '2026-10-25 00:30:00', '2026-10-25 01:30:00', '1971-01-01 00:00:00'];
  await engine.database.session(async connection => {
    const { zone } = await queryRow(connection, 'SELECT @@SESSION.time_zone AS zone');
    await connection.query("SET time_zone = '+00:00'");
    for (const [at, time] of times.entries())
      await connection.query('INSERT INTO t (id, n) VALUES (?, ?)', [at, time + fraction]);
    await connection.query('INSERT INTO t (id) VALUES (9)');
    await connection.query('SET time_zone = ?', [zone]);
  });
  await engine.worker({}, {}, { definitions: parseDefinitions(definitions) });
  const sluice = await engine.producer({}, { definitions });
  const put = Date.UTC(2020, 0, 1);
  await sluice.value('seen').put('0', put);
  const to = (name: string, more: Partial<SpecOptions> = {}) => from({ to: name, ...more });
  const run = await backfill(engine, 'r', to('seen'), { definitions });
  expect(run.counts).toMatchObject({ passed: 5, copied: 4, empty: 1 });
  const expected = times.map(time => Date.parse(`${time.replace(' ', 'T')}${fraction}Z`));
  const ids = ['0', '1', '2', '3', '9'];
  // What was put stays, since an opening is older.
  expect(await sluice.value('seen').getMany(ids)).toEqual([put, ...expected.slice(1), null]);
  const rows = await engine.database.session(async connection => {
    const { zone } = await queryRow(connection, 'SELECT @@SESSION.time_zone AS zone');
    await connection.query("SET time_zone = '+00:00'");
    const found = await queryRows(
      connection,
      'SELECT t.id FROM t JOIN there h ON h.id = t.id AND h.at = t.n ORDER BY t.id',
    );
    await connection.query('SET time_zone = ?', [zone]);
    return found;
  });
  expect(rows.map(({ id }) => id)).toEqual([1, 2, 3]);
  for (const [options, why] of [
    [to('plain'), /n is .*; a time is copied only into a value/],
    [to('seen', { value: 'm' }), /m is date; only integer types/],
  ] as const)
    await expect(backfill(engine, 's', options, { definitions, again: true })).rejects.toMatchObject({
      code: 'DATABASE_UNSUITABLE',
      message: expect.stringMatching(why),
    });
  await expect(backfill(engine, 's', from({}))).rejects.toMatchObject({ code: 'DATABASE_UNSUITABLE' });
});

it('finds times that are none, or not of whole milliseconds', async () => {
  const definitions = {
    values: {
      seen: { keep: 'last', target: { table: 'there', key: 'id', column: 'at', missing: 'insert' } },
    },
  } as const;
  const engine = await openEngine({ partitions: 1 });
  await engine.database.query(
    'CREATE TABLE t (id INT NOT NULL PRIMARY KEY, n DATETIME(6) NULL, s TIMESTAMP NULL) ENGINE = InnoDB',
  );
  await engine.database.query(
    'CREATE TABLE there (id INT NOT NULL PRIMARY KEY, at DATETIME(3) NULL) ENGINE = InnoDB',
  );
  await engine.database.session(async connection => {
    const { mode } = await queryRow(connection, 'SELECT @@SESSION.sql_mode AS mode');
    await connection.query("SET sql_mode = ''");
    await connection.query(
      "INSERT INTO t VALUES (1, '2026-01-02 03:04:05.123456', '0000-00-00'), (2, '0000-00-00', NULL), (3, '1969-12-31 23:59:59.5', NULL)",
    );
    await connection.query('SET sql_mode = ?', [mode]);
  });
  await engine.worker({}, {}, { definitions: parseDefinitions(definitions) });
  const refused = (first: RegExp) => ({
    code: 'BACKFILL_UNUSABLE_ROWS',
    message: expect.stringMatching(first),
  });
  await expect(backfill(engine, 'r', from({ to: 'seen' }), { definitions })).rejects.toMatchObject(
    refused(/2 rows: 2 NOT_WHOLE; the first: "1" with 1767323045123.456 .*; "2" with 0000-00-00 /),
  );
  const stamps = from({ to: 'seen', value: 's' });
  await expect(backfill(engine, 's', stamps, { definitions })).rejects.toMatchObject(
    refused(/1 rows: 1 NOT_WHOLE; the first: "1" with 0000-00-00 /),
  );
  const run = await backfill(engine, 'r', from({ to: 'seen' }), { definitions, skipUnusable: true });
  expect(run.counts).toMatchObject({ copied: 1, skipped: 2, amount: '-500' });
  const rows = await engine.database.query('SELECT CAST(at AS CHAR) AS shown FROM there');
  expect(rows.map(row => String(row.shown))).toEqual(['1969-12-31 23:59:59.500']);
});

it.each(['DATE', 'DATETIME(3)'])('counts the rows whose %s no update can name, NULL too', async type => {
  const engine = await openEngine();
  await engine.worker();
  await engine.database.query(
    `CREATE TABLE t (id INT NOT NULL, day ${type} NULL, n INT, UNIQUE KEY (day, id)) ENGINE = InnoDB`,
  );
  const days = ['2026-11-28', '2026-11-29', null, null, '0000-00-00', '2026-02-31', '2026-03-00'];
  await engine.database.session(async connection => {
    const { mode } = await queryRow(connection, 'SELECT @@SESSION.sql_mode AS mode');
    await connection.query("SET sql_mode = 'ALLOW_INVALID_DATES'");
    for (const [id, day] of days.entries())
      await connection.query('INSERT INTO t VALUES (?, ?, 5)', [id, day]);
    await connection.query('SET sql_mode = ?', [mode]);
  });
  const definitions = parseDefinitions({
    counters: { by_day: { target: { table: 'days', key: ['day', 'id'], column: 'n' } } },
  });
  const spec = specOf(from({ key: 'day,id', to: 'by_day' }), definitions);
  const { database } = engine;
  const source = await database.session(connection => checkSource(connection, spec, definitions));
  const found = await checkRows(
    { database, definitions, run: 'r', spec, source },
    { patienceMs: 0, onProgress: () => {} },
  );
  expect(found.counts).toMatchObject({ found: 2, copied: 2, skipped: 5 });
  expect(found.unusable.counts).toEqual({ UNNAMED_KEY: 5 });
});

it('copies what a condition selects, also with a question mark, a comment, and no row', async () => {
  const engine = await openEngine();
  await engine.worker();
  await engine.database.query(
    'CREATE TABLE t (id INT NOT NULL PRIMARY KEY, n INT, what VARCHAR(9)) ENGINE = InnoDB',
  );
  await engine.database.query(
    "INSERT INTO t VALUES (1, 1, 'a?'), (2, 2, 'b'), (3, 3, 'a?'), (4, 0, 'a?'), (5, NULL, 'a?')",
  );
  const run = await backfill(engine, 'r', from({ where: "what = 'a?' OR FALSE -- why" }), { page: 1 });
  expect(run.counts).toMatchObject({ passed: 4, copied: 2, empty: 2, amount: '4' });
  expect(await countersOf(engine)).toEqual({ 1: 1, 3: 3 });
  expect((await backfill(engine, 's', from({ to: 'clicks', where: 'FALSE' }))).counts.passed).toBe(0);
  for (const where of ['nothing = 1', '1) OR (1 = 1', "'"])
    await expect(
      backfill(engine, 'u', from({ to: 'clicks', where }), { again: true }),
      where,
    ).rejects.toMatchObject({ code: 'INVALID_CONFIGURATION', message: expect.stringMatching(/--where/) });
});

it('stops at a row that cannot be copied, before its page is sent, and goes on without it if told so', async () => {
  const engine = await openEngine();
  await engine.worker();
  await engine.database.query(
    'CREATE TABLE t (id VARCHAR(9) NOT NULL PRIMARY KEY, n DECIMAL(30,2)) ENGINE = InnoDB',
  );
  await engine.database.query(
    "INSERT INTO t VALUES ('a', 1), ('b', 2.5), ('c', 9007199254740992), ('', 4), ('d', 9007199254740991), ('e', -6)",
  );
  await expect(backfill(engine, 'r', from({}), { page: 10 })).rejects.toMatchObject({
    code: 'BACKFILL_UNUSABLE_ROWS',
    message: expect.stringMatching(
      /3 rows: 1 INVALID_KEY, 1 NOT_WHOLE, 1 OUT_OF_RANGE; the first: "" with 4.00/,
    ),
  });
  expect(await countersOf(engine)).toEqual({});
  const run = await backfill(engine, 'r', from({}), { page: 10, skipUnusable: true });
  expect(run.counts).toMatchObject({ passed: 6, copied: 3, skipped: 3 });
  expect(await countersOf(engine)).toEqual({ a: 1, d: Number.MAX_SAFE_INTEGER, e: -6 });
});

it('a debt stays a debt, whatever the floor', async () => {
  const engine = await openEngine();
  await engine.worker();
  await engine.database.query('CREATE TABLE t (id INT NOT NULL PRIMARY KEY, n INT) ENGINE = InnoDB');
  await engine.database.query('INSERT INTO t VALUES (1, -40), (2, 5)');
  await backfill(engine, 'r', from({ to: 'loyalty' }));
  expect(await engine.balanceInMysql('loyalty', '1')).toBe(-40);
  const loyalty = (await engine.producer()).points('loyalty');
  await expect(loyalty.debit('1', 1, { id: 'd' })).rejects.toMatchObject({ code: 'INSUFFICIENT_POINTS' });
  expect(await loyalty.history('1')).toMatchObject([{ id: '\0\0r', amount: -40, reason: 'backfill r' }]);
});

it('goes on past what MySQL refuses, which waits in quarantine', async () => {
  const definitions = {
    counters: { mapped: { target: { table: 'there', key: 'id', column: 'n' } } },
  } as const;
  const engine = await openEngine();
  for (const table of ['t', 'there'])
    await engine.database.query(
      `CREATE TABLE ${table} (id INT NOT NULL PRIMARY KEY, n INT NOT NULL) ENGINE = InnoDB`,
    );
  await engine.database.query('INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)');
  await engine.database.query('INSERT INTO there VALUES (1, 100), (3, 100)');
  await engine.worker({}, {}, { definitions: parseDefinitions(definitions) });
  const run = await backfill(engine, 'r', from({ to: 'mapped' }), { page: 2, definitions });
  expect(run.counts).toMatchObject({ passed: 3, copied: 3, quarantined: 1 });
  const rows = await engine.database.query('SELECT id, n FROM there ORDER BY id');
  expect(rows.map(row => [row.id, row.n])).toEqual([
    [1, 101],
    [3, 103],
  ]);
  await expect(
    backfill(engine, 's', from({ table: 'there', to: 'mapped' }), { definitions }),
  ).rejects.toMatchObject({ code: 'BACKFILL_SAME_COLUMN' });
});

it.each([
  ['CREATE TABLE t (id INT NOT NULL, n INT, KEY (id)) ENGINE = InnoDB', /not a primary key or unique key/],
  ['CREATE TABLE t (id INT NOT NULL PRIMARY KEY, n DOUBLE) ENGINE = InnoDB', /n is double.* exact numbers/],
  ['CREATE TABLE t (id INT NOT NULL PRIMARY KEY, n VARCHAR(9)) ENGINE = InnoDB', /exact numbers/],
  ['CREATE TABLE t (id INT NOT NULL PRIMARY KEY, m INT) ENGINE = InnoDB', /no column "n"/],
  ['CREATE TABLE t (id FLOAT NOT NULL PRIMARY KEY, n INT) ENGINE = InnoDB', /key column id is float/],
  ['CREATE TABLE u (id INT NOT NULL PRIMARY KEY, n INT) ENGINE = InnoDB', /no such table/],
] as const)('refuses %s', async (table, why) => {
  const engine = await openEngine();
  await engine.database.query(table);
  await expect(backfill(engine, 'r', from({}))).rejects.toMatchObject({
    code: 'DATABASE_UNSUITABLE',
    message: expect.stringMatching(why),
  });
});
