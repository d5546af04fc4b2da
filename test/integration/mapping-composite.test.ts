// Keys of several columns: every type of part, missing rows, wrong parts, other writers, tables that change.

import { expect, it } from 'vitest';
import type { DefinitionsInput } from '../../src/shared/config/definitions.ts';
import { LIMITS } from '../../src/shared/limits.ts';
import { allKeys } from '../../src/shared/values/tables.ts';
import { until } from '../support/engine.ts';
import { exactCollation, openShop, type Shop } from '../support/mapped.ts';

const daily = (missing: 'insert' | 'quarantine', insert?: Record<string, string | number | null>) => ({
  counters: {
    daily: {
      target: {
        table: 'product_views_daily',
        key: ['product_id', 'day'] as const,
        column: 'views',
        missing,
        ...(insert ? { insert } : {}),
      },
    },
  },
});
const table = `CREATE TABLE product_views_daily (product_id BIGINT UNSIGNED NOT NULL, day DATE NOT NULL,
  views INT UNSIGNED NULL, source VARCHAR(8) NOT NULL DEFAULT 'old', note VARCHAR(20) NULL DEFAULT 'none',
  weight DOUBLE NOT NULL DEFAULT 1, PRIMARY KEY (day, product_id))`;
const stored = `SELECT CONCAT_WS(' ', product_id, day, views, source) AS line FROM product_views_daily ORDER BY product_id, day`;
const lines = async (shop: Pick<Shop<DefinitionsInput>, 'database'>) =>
  (await shop.database.query(stored)).map(row => String(row.line));
const day = (number: number) => `2026-11-${String(number).padStart(2, '0')}`;

it('a counter of each day adds to rows, inserts missing ones with constants, and is read by its list', async () => {
  const shop = await openShop(
    daily('insert', { source: "we?b's", note: null, weight: 2.5 }),
    table,
    "INSERT INTO product_views_daily (product_id, day, views) VALUES (42, '2026-11-28', 100), (42, '2026-11-27', NULL)",
  );
  const counter = shop.sluice.counter('daily');
  const receipts = await Promise.all([
    counter.increment([42, '2026-11-28']),
    counter.increment(['42', '2026-11-28'], 2),
    counter.increment([42n, '2026-11-27'], 5),
    counter.increment([43, '2026-11-28'], 7),
    counter.increment([18446744073709551615n, '2026-11-28'], 9),
  ]);
  expect(await counter.get([42, '2026-11-28'])).toBe(103);
  await shop.drain();
  await Promise.all(receipts.map(receipt => receipt.persisted()));
  expect(await lines(shop)).toEqual([
    '42 2026-11-27 5 old',
    '42 2026-11-28 103 old',
    "43 2026-11-28 7 we?b's",
    "18446744073709551615 2026-11-28 9 we?b's",
  ]);
  const [inserted] = await shop.database.query(
    'SELECT note, weight FROM product_views_daily WHERE product_id = 43',
  );
  expect(inserted).toMatchObject({ note: null, weight: 2.5 });
  await shop.forget();
  expect(
    await counter.getMany([
      [42, '2026-11-28'],
      ['42', '2026-11-27'],
      [44, '2026-11-28'],
      ['042', '2026-11-28'],
    ]),
  ).toEqual([103, 5, 0, 0]);
  expect(await shop.quarantined()).toEqual([]);
  expect(await shop.compare('c', 'daily', '["42","2026-11-28"]')).toMatchObject({ expected: 103 });
});

it('an update of a missing row waits in quarantine, is found by its list, edited, replayed and dropped', async () => {
  const shop = await openShop(daily('quarantine'), table);
  const counter = shop.sluice.counter('daily');
  const [receipt] = await Promise.all([
    counter.increment([1, day(1)], 3),
    counter.increment([2, day(1)], 4),
    counter.increment([3, day(1)], 5),
  ]);
  await shop.drain();
  await expect(receipt!.persisted()).rejects.toMatchObject({ code: 'QUARANTINED' });
  expect(await shop.quarantined()).toEqual([
    '["1","2026-11-01"] 3 TARGET_ROW_MISSING',
    '["2","2026-11-01"] 4 TARGET_ROW_MISSING',
    '["3","2026-11-01"] 5 TARGET_ROW_MISSING',
  ]);
  await shop.database.query(
    "INSERT INTO product_views_daily (product_id, day, views) VALUES (1, '2026-11-01', 10), (2, '2026-11-01', 20)",
  );
  const failed = await shop.failed();
  const author = { operator: 'olga', reason: 'test' };
  expect((await failed.list({ key: [1, day(1)] })).total).toBe(1);
  expect((await failed.list({ key: '["1","2026-11-01"]' })).total).toBe(1);
  expect((await failed.replay({ key: [1, day(1)] }, author)).updates).toEqual({ replayed: 1 });
  expect((await failed.edit({ key: ['2', day(1)] }, { amount: 6 }, author)).updates).toEqual({ edited: 1 });
  expect((await failed.drop({ key: [3n, day(1)] }, author)).updates).toEqual({ dropped: 1 });
  await failed.close();
  await shop.drain();
  expect(await shop.quarantined()).toEqual([]);
  expect(await lines(shop)).toEqual(['1 2026-11-01 13 old', '2 2026-11-01 26 old']);
  expect(await shop.verify()).toEqual({ drift: [], ledger: [] });
});

/** For each type of part: texts that a row can have, and texts that it would show differently or not at all. */
const types: Record<string, [type: () => string, good: string[], bad: string[]]> = {
  integer: [() => 'SMALLINT', ['0', '-32768', '7'], ['07', '+7', ' 7', '7.0', '32768', 'x', '']],
  DATE: [
    () => 'DATE',
    ['2026-11-28', '2024-02-29', '1000-01-01', '9999-12-31'],
    [
      '2026-02-29',
      '2026-11-31',
      '2026-1-1',
      '0000-00-00',
      '0999-12-31',
      '20261128',
      '2026-11-28 00:00:00',
      '',
    ],
  ],
  DATETIME: [
    () => 'DATETIME',
    ['2026-11-28 10:00:00', '2026-11-28 23:59:59'],
    [
      '2026-11-28',
      '2026-11-28T10:00:00',
      '2026-11-28 24:00:00',
      '2026-11-28 10:00:60',
      '2026-02-30 10:00:00',
      '2026-11-28 10:00:00.0',
      '2026-11-28 10:00:00Z',
    ],
  ],
  'DATETIME(3)': [
    () => 'DATETIME(3)',
    ['2026-11-28 10:00:00.000', '2026-11-28 10:00:00.120'],
    ['2026-11-28 10:00:00', '2026-11-28 10:00:00.12', '2026-11-28 10:00:00.1200', '2026-11-28 10:00:00.abc'],
  ],
  VARBINARY: [
    () => 'VARBINARY(8)',
    ['a', 'A', 'a ', '', 'é', '\0', '"\\', '1', '01'],
    ['123456789', 'ééééé'],
  ],
  VARCHAR: [
    () => `VARCHAR(8) CHARACTER SET utf8mb4 COLLATE ${exactCollation()}`,
    ['a', 'A', 'a ', '', 'é', 'e\u0301', '\0', '"\\', '😀😀😀😀😀😀😀😀'],
    ['123456789', '😀😀😀😀😀😀😀😀😀'],
  ],
  UUID: [
    () => 'BINARY(16)',
    ['00112233-4455-6677-8899-aabbccddeeff', '00000000-0000-0000-0000-000000000000'],
    [
      '00112233-4455-6677-8899-AABBCCDDEEFF',
      '00112233445566778899aabbccddeeff',
      '00112233-4455-6677-8899-aabbccddeef',
      '{00112233-4455-6677-8899-aabbccddeeff}',
      '',
    ],
  ],
};

for (const [name, [type, good, bad]] of Object.entries(types)) {
  it(`a part may be ${name}: the texts that its column shows, and no others`, async () => {
    const part = name === 'UUID' ? ({ column: 'part', format: 'uuid' } as const) : 'part';
    const shop = await openShop(
      {
        counters: {
          first: {
            target: { table: 'firsts', key: [part, 'other'] as const, column: 'n', missing: 'insert' },
          },
          last: { target: { table: 'lasts', key: [part, 'other'] as const, column: 'n' } },
        },
      },
      `CREATE TABLE firsts (part ${type()} NOT NULL, other INT NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (part, other))`,
      `CREATE TABLE lasts (part ${type()} NOT NULL, other INT NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (other, part))`,
    );
    const first = shop.sluice.counter('first');
    const last = shop.sluice.counter('last');
    await Promise.all([...good, ...bad].map((text, at) => first.increment([text, 5], at + 1)));
    await shop.drain();
    const wrong = bad.map(
      (text, at) => `${JSON.stringify([text, '5'])} ${good.length + at + 1} TARGET_KEY_NOT_CANONICAL`,
    );
    expect((await shop.quarantined()).toSorted()).toEqual(wrong.toSorted());
    const [count] = await shop.database.query('SELECT COUNT(*) AS rows_found, SUM(n) AS total FROM firsts');
    expect(Number(count!.rows_found)).toBe(good.length);
    // The second table has the same rows, so every update finds one.
    await shop.database.query('INSERT INTO lasts SELECT part, other, 0 FROM firsts');
    await Promise.all(good.map((text, at) => last.increment([text, 5], at + 1)));
    await shop.drain();
    expect((await shop.quarantined()).toSorted()).toEqual(wrong.toSorted());
    await shop.forget();
    for (const counter of [first, last])
      expect(await counter.getMany(good.map(text => [text, 5] as const))).toEqual(
        good.map((_, at) => at + 1),
      );
    expect(await first.getMany(bad.map(text => [text, 5] as const))).toEqual(
      bad.map((_, at) => good.length + at + 1),
    );
    for (const counter of ['first', 'last']) {
      const paged: string[] = [];
      for await (const page of allKeys(shop.tables.of('c', counter), shop.database, counter, 2))
        paged.push(...page);
      expect(paged.toSorted()).toEqual(good.map(text => JSON.stringify([text, '5'])).toSorted());
    }
    expect(await shop.verify()).toEqual({ drift: [], ledger: [] });
  });
}

it('the longest keys are written, read and compared, whatever characters they hold', async () => {
  const shop = await openShop(
    {
      counters: {
        long: { target: { table: 'longs', key: ['a', 'b'] as const, column: 'n', missing: 'insert' } },
      },
    },
    'CREATE TABLE longs (a VARBINARY(2045), b VARBINARY(300), n INT NOT NULL, PRIMARY KEY (a, b)) ROW_FORMAT = DYNAMIC',
  );
  const long = shop.sluice.counter('long');
  // Bytes of a key besides its first part.
  const room = LIMITS.key - Buffer.byteLength('["","b"]');
  const keys = ['x', '"', '\\', '\x01', '€', '?'].map(character => {
    const bytes = Buffer.byteLength(JSON.stringify(character)) - 2;
    return [character.repeat(Math.floor(room / bytes)), 'b'] as const;
  });
  await Promise.all(keys.map(key => long.increment(key, 3)));
  await shop.drain();
  await Promise.all(keys.map(key => long.increment(key, 4)));
  await shop.drain();
  expect(await shop.quarantined()).toEqual([]);
  await shop.forget();
  expect(await long.getMany(keys)).toEqual(keys.map(() => 7));
  const paged: string[] = [];
  for await (const page of allKeys(shop.tables.of('c', 'long'), shop.database, 'long', 2))
    paged.push(...page);
  expect(paged.toSorted()).toEqual(keys.map(key => JSON.stringify(key)).toSorted());
  expect(await shop.verify()).toEqual({ drift: [], ledger: [] });
});

it('a key of a UUID, and accounts of UUIDs, are exact too', async () => {
  const key = { column: 'id', format: 'uuid' } as const;
  const shop = await openShop(
    {
      counters: { hits: { target: { table: 'pages', key, column: 'hits', missing: 'insert' } } },
      points: { loyalty: { target: { table: 'users', key, column: 'points' } } },
    },
    'CREATE TABLE pages (id BINARY(16) PRIMARY KEY, hits INT NOT NULL)',
    'CREATE TABLE users (id BINARY(16) PRIMARY KEY, points BIGINT NOT NULL)',
    "INSERT INTO users VALUES (X'00112233445566778899AABBCCDDEEFF', 10)",
  );
  const id = '00112233-4455-6677-8899-aabbccddeeff';
  const hits = shop.sluice.counter('hits');
  const loyalty = shop.sluice.points('loyalty');
  await Promise.all([
    hits.increment(id, 2),
    hits.increment(id.toUpperCase()),
    loyalty.debit(id, 4, { id: '1' }),
  ]);
  await shop.drain();
  expect(await shop.quarantined()).toEqual([`${id.toUpperCase()} 1 TARGET_KEY_NOT_CANONICAL`]);
  await shop.forget();
  expect(await hits.getMany([id, id.toUpperCase()])).toEqual([2, 1]);
  expect(await loyalty.balance(id)).toBe(6);
  const [row] = await shop.database.query('SELECT HEX(id) AS id, hits FROM pages');
  expect(row).toMatchObject({ id: '00112233445566778899AABBCCDDEEFF', hits: 2 });
  expect(await shop.verify()).toEqual({ drift: [], ledger: [] });
});

it('a DECIMAL column of whole numbers counts exactly, and refuses what it cannot hold', async () => {
  const shop = await openShop(
    { counters: { sold: { target: { table: 'stock', key: ['shop', 'item'] as const, column: 'n' } } } },
    'CREATE TABLE stock (shop INT, item INT, n DECIMAL(20,0) UNSIGNED NULL, PRIMARY KEY (item, shop))',
    'INSERT INTO stock VALUES (1, 1, 9007199254740993), (1, 2, NULL), (1, 3, 5), (1, 4, 99999999999999999999)',
  );
  const sold = shop.sluice.counter('sold');
  await Promise.all([
    sold.increment([1, 1], -2),
    sold.increment([1, 2], 7),
    sold.increment([1, 3], -6),
    sold.increment([1, 4]),
  ]);
  await shop.drain();
  expect(await shop.quarantined()).toEqual([
    '["1","3"] -6 ER_WARN_DATA_OUT_OF_RANGE',
    '["1","4"] 1 ER_WARN_DATA_OUT_OF_RANGE',
  ]);
  const rows = await shop.database.query('SELECT n FROM stock ORDER BY item');
  expect(rows.map(row => String(row.n))).toEqual(['9007199254740991', '7', '5', '99999999999999999999']);
  await shop.forget();
  expect(
    await sold.getMany([
      [1, 1],
      [1, 2],
      [1, 3],
    ]),
  ).toEqual([Number.MAX_SAFE_INTEGER, 7, -1]);
  await expect(sold.get([1, 4])).rejects.toMatchObject({ code: 'OUT_OF_RANGE' });
});

it('other writers change values, add and remove rows, and store dates that no key can name', async () => {
  const shop = await openShop(daily('insert'), table);
  const counter = shop.sluice.counter('daily');
  await Promise.all(Array.from({ length: 20 }, (_, at) => counter.increment([7, day(at + 1)], 1)));
  await shop.drain();
  // Makes the values live.
  await counter.getMany(Array.from({ length: 20 }, (_, at) => [7, day(at + 1)] as const));
  const others = [
    'UPDATE product_views_daily SET views = views + 100 WHERE day = 20261105',
    'DELETE FROM product_views_daily WHERE day = 20261106',
    "INSERT INTO product_views_daily (product_id, day, views) VALUES (8, '2026-11-01', 50)",
  ];
  for (const text of others) await shop.database.query(text);
  await shop.database.session(async connection => {
    const [[before]] = (await connection.query('SELECT @@sql_mode AS modes')) as unknown as [
      [{ modes: string }],
    ];
    await connection.query("SET sql_mode = 'ALLOW_INVALID_DATES'");
    await connection.query(
      "INSERT INTO product_views_daily (product_id, day, views) VALUES (9, '0000-00-00', 1), (9, '2026-02-31', 1), (9, '2026-02-00', 1), (9, '2026-00-01', 1), (9, '0999-01-01', 1)",
    );
    await connection.query('SET sql_mode = ?', [before.modes]);
  });
  await Promise.all([
    counter.increment([7, day(5)]),
    counter.increment([7, day(6)]),
    counter.increment([8, day(1)]),
  ]);
  await shop.drain();
  expect((await lines(shop)).filter(line => /^7 2026-11-0[56]|^8/.test(line))).toEqual([
    '7 2026-11-05 102 old',
    '7 2026-11-06 1 old',
    '8 2026-11-01 51 old',
  ]);
  for (const size of [1, 3, 100]) {
    const paged: string[] = [];
    for await (const page of allKeys(shop.tables.of('c', 'daily'), shop.database, 'daily', size))
      paged.push(...page);
    expect(paged.toSorted()).toEqual(
      [...Array.from({ length: 20 }, (_, at) => `["7","${day(at + 1)}"]`), `["8","${day(1)}"]`].toSorted(),
    );
  }
  // The live values saw neither change. A repair takes over what the others wrote.
  const { drift } = await shop.verify();
  expect(drift.map(({ key, live, expected }) => [key, live, expected]).toSorted()).toEqual([
    ['["7","2026-11-05"]', 2, 102],
    ['["7","2026-11-06"]', 2, 1],
  ]);
});

it('a locked row of another day is not waited for, in the first attempt and in the careful one', async () => {
  const shop = await openShop(daily('insert'), table);
  const counter = shop.sluice.counter('daily');
  const all = Array.from({ length: 28 }, (_, at) => [Math.floor(at / 4), day(at + 1)] as const);
  await Promise.all(all.map(key => counter.increment(key)));
  await shop.drain();
  await shop.database.transaction(async connection => {
    await connection.query(
      "UPDATE product_views_daily SET views = 50 WHERE product_id = 3 AND day = '2026-11-15'",
    );
    const others = all.filter(([, date]) => date !== '2026-11-15');
    await Promise.all(others.map(key => counter.increment(key)));
    await shop.drain();
    expect(await shop.held()).toEqual([]);
    await Promise.all([...others.map(key => counter.increment(key)), counter.increment(['x', day(1)])]);
    await shop.drain();
  });
  expect(await shop.quarantined()).toEqual([`["x","${day(1)}"] 1 TARGET_KEY_NOT_CANONICAL`]);
  expect(await shop.held()).toEqual([]);
  const [{ total }] = (await shop.database.query('SELECT SUM(views) AS total FROM product_views_daily')) as [
    { total: unknown },
  ];
  expect(Number(total)).toBe(27 * 3 + 50);
});

it('nor is one of a table with a single key column', async () => {
  const shop = await openShop(
    { counters: { hits: { target: { table: 'pages', key: 'id', column: 'hits', missing: 'insert' } } } },
    'CREATE TABLE pages (id INT PRIMARY KEY, hits INT NOT NULL)',
  );
  const hits = shop.sluice.counter('hits');
  const keys = Array.from({ length: 28 }, (_, at) => String(at));
  await Promise.all(keys.map(key => hits.increment(key)));
  await shop.drain();
  await shop.database.transaction(async connection => {
    await connection.query('UPDATE pages SET hits = 50 WHERE id = 15');
    await Promise.all(keys.filter(key => key !== '15').map(key => hits.increment(key)));
    await shop.drain();
  });
  expect(await shop.held()).toEqual([]);
  expect(await shop.failedFlushes()).toBe(0);
});

it('finds the rows to refuse with few queries, however many keys share their first part', async () => {
  const shop = await openShop(daily('quarantine'), table);
  const keys = Array.from(
    { length: 2500 },
    (_, at) =>
      `["${at % 50}","2026-${String((at % 12) + 1).padStart(2, '0')}-${String((Math.floor(at / 50) % 28) + 1).padStart(2, '0')}"]`,
  );
  const rows = [...new Set(keys)].map(key => ({ name: 'daily', key, amount: 1 }));
  const present = rows.filter((_, at) => at % 3 === 0);
  const values = present.map(row => `(${JSON.parse(row.key).map((part: string) => `'${part}'`)})`);
  await shop.database.query(`INSERT INTO product_views_daily (product_id, day) VALUES ${values}`);
  const wrong = [
    '["7"]',
    '["7","2026-11-28","1"]',
    '["7", "2026-11-28"]',
    '7',
    '[7,"2026-11-28"]',
    '["07","2026-11-28"]',
  ].map(key => ({ name: 'daily', key, amount: 1 }));
  const refused = await shop.database.transaction(connection =>
    shop.tables.of('c', 'daily').refusals(connection, [...rows, ...wrong]),
  );
  expect(new Map([...refused].map(([row, error]) => [row.key, error.code]))).toEqual(
    new Map([
      ...rows.filter((_, at) => at % 3 !== 0).map(row => [row.key, 'TARGET_ROW_MISSING'] as const),
      ...wrong.map(row => [row.key, 'TARGET_KEY_NOT_CANONICAL'] as const),
    ]),
  );
});

it('adds to a row that another writer inserts just before ours', async () => {
  const shop = await openShop(daily('insert', { source: 'web' }), table);
  const target = shop.tables.of('c', 'daily');
  await shop.database.transaction(async connection => {
    let raced = false;
    const query = async (text: string, values?: unknown[]) => {
      if (!raced && text.startsWith('INSERT')) {
        raced = true;
        await shop.database.query(
          "INSERT INTO product_views_daily (product_id, day, views) VALUES (2, '2026-11-28', 100)",
        );
      }
      return connection.query(text, values);
    };
    const racing = Object.assign(Object.create(connection), { query }) as typeof connection;
    await target.add(
      racing,
      ['1', '2', '3'].map(id => ({ name: 'daily', key: `["${id}","2026-11-28"]`, amount: 5 })),
    );
    expect(raced).toBe(true);
  });
  expect(await lines(shop)).toEqual(['1 2026-11-28 5 web', '2 2026-11-28 105 old', '3 2026-11-28 5 web']);
});

it('updates are held while the table lacks a key column, and written once it fits', async () => {
  const shop = await openShop(daily('insert', { source: 'web' }), table);
  const counter = shop.sluice.counter('daily');
  await counter.increment([1, day(1)], 1);
  await shop.drain();
  const recorded = () => shop.database.query('SELECT 1 FROM sluice_targets');
  await until(async () => (await recorded()).length === 1, 'the mapping is recorded');
  await shop.database.query('ALTER TABLE product_views_daily RENAME COLUMN day TO date_of_day');
  // A new worker starts all the same, since exactly this mapping fitted before.
  await shop.stopWorkers();
  await Promise.all([counter.increment([1, day(1)], 2), counter.increment([2, day(2)], 3)]);
  await shop.drain();
  expect((await shop.held()).map(row => row.split(' ').slice(0, 2).join(' '))).toEqual(
    expect.arrayContaining(['["1","2026-11-01"] 2', '["2","2026-11-02"] 3']),
  );
  await shop.database.query('ALTER TABLE product_views_daily RENAME COLUMN date_of_day TO day');
  await until(async () => (await shop.held()).length === 0, 'the held updates are written');
  expect(await lines(shop)).toEqual(['1 2026-11-01 3 web', '2 2026-11-02 3 web']);
  await shop.forget();
  expect(
    await counter.getMany([
      [1, day(1)],
      [2, day(2)],
    ]),
  ).toEqual([3, 3]);
});

it('a constant that the column refuses keeps the updates, and writes them once the column takes it', async () => {
  const shop = await openShop(
    daily('insert', { source: 'web' }),
    table.replace("source VARCHAR(8) NOT NULL DEFAULT 'old'", "source ENUM('old') NOT NULL DEFAULT 'old'"),
  );
  await Promise.all([1, 2, 3].map(id => shop.sluice.counter('daily').increment([id, day(1)], id)));
  await shop.drain();
  expect([...(await shop.held()), ...(await shop.quarantined())]).toHaveLength(3);
  await shop.database.query(
    "ALTER TABLE product_views_daily MODIFY source ENUM('old', 'web') NOT NULL DEFAULT 'old'",
  );
  await until(async () => (await shop.held()).length === 0, 'the held updates are written');
  await shop.replay();
  expect(await lines(shop)).toEqual(['1 2026-11-01 1 web', '2 2026-11-01 2 web', '3 2026-11-01 3 web']);
});
