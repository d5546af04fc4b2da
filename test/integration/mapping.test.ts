// Counters in columns of users' tables: missing rows, refused keys and values, other writers.

import { describe, expect, inject, it } from 'vitest';
import { until } from '../support/engine.ts';
import { DATABASE_CODES, openShop } from '../support/mapped.ts';
import { runningStatements } from '../support/process-list.ts';

const products = `CREATE TABLE products (id INT PRIMARY KEY AUTO_INCREMENT, title VARCHAR(40) NOT NULL DEFAULT '',
  view_count INT UNSIGNED NULL, updated_at DATETIME(6) NOT NULL DEFAULT '2020-01-01' ON UPDATE CURRENT_TIMESTAMP(6))`;
const views = (missing: 'insert' | 'quarantine') => ({
  counters: { views: { target: { table: 'products', key: 'id', column: 'view_count', missing } } },
});

describe('a counter in a column of the user', () => {
  it("adds to the column's value, with NULL as 0, and does not touch other columns", async () => {
    const shop = await openShop(
      views('quarantine'),
      products,
      "INSERT INTO products (id, title, view_count) VALUES (9, 'nine', 100), (10, 'ten', NULL), (11, 'eleven', 5)",
    );
    const counter = shop.sluice.counter('views');
    const receipts = await Promise.all([
      counter.increment('9'),
      counter.increment('9', 2),
      counter.increment('10'),
    ]);
    await shop.drain();
    await Promise.all(receipts.map(receipt => receipt.persisted()));
    expect(
      await shop.database.query(
        "SELECT id, title, view_count, IF(updated_at > 20200101, 'yes', 'no') AS touched FROM products",
      ),
    ).toMatchObject([
      { id: 9, title: 'nine', view_count: 103, touched: 'yes' },
      { id: 10, title: 'ten', view_count: 1, touched: 'yes' },
      { id: 11, title: 'eleven', view_count: 5, touched: 'no' },
    ]);
    expect(await counter.getMany(['9', '10', '11', '12', '09'])).toEqual([103, 1, 5, 0, 0]);
    expect(await shop.database.query('SELECT * FROM sluice_counters')).toEqual([]);
    expect(shop.tables.mapped('c', 'views')).toMatchObject({ table: 'products' });
  });

  it('inserts a missing row if the mapping says so, also for the key 0 of an AUTO_INCREMENT', async () => {
    const shop = await openShop(
      views('insert'),
      products,
      'INSERT INTO products (id, view_count) VALUES (7, 10)',
    );
    const counter = shop.sluice.counter('views');
    await Promise.all(['7', '8', '0', '-3', '2147483647'].map(key => counter.increment(key, 3)));
    await shop.drain();
    expect(await shop.database.query('SELECT id, view_count FROM products ORDER BY id')).toMatchObject([
      { id: -3, view_count: 3 },
      { id: 0, view_count: 3 },
      { id: 7, view_count: 13 },
      { id: 8, view_count: 3 },
      { id: 2147483647, view_count: 3 },
    ]);
    expect(await shop.quarantined()).toEqual([]);
  });

  it('subtracts from an UNSIGNED column, though the negative amount alone would not fit', async () => {
    const shop = await openShop(
      views('insert'),
      products,
      'INSERT INTO products (id, view_count) VALUES (7, 10)',
    );
    await shop.sluice.counter('views').increment('7', -4);
    await shop.drain();
    expect(await shop.database.query('SELECT view_count FROM products')).toMatchObject([{ view_count: 6 }]);
  });

  it('quarantines the update of a missing row if the mapping says so; receipt and live value show it', async () => {
    const shop = await openShop(
      views('quarantine'),
      products,
      'INSERT INTO products (id, view_count) VALUES (7, 10)',
    );
    const counter = shop.sluice.counter('views');
    const [present, missing] = await Promise.all([counter.increment('7', 3), counter.increment('8', 4)]);
    await shop.drain();
    await present!.persisted();
    await expect(missing!.persisted()).rejects.toMatchObject({ code: 'QUARANTINED' });
    expect(await shop.quarantined()).toEqual(['8 4 TARGET_ROW_MISSING']);
    expect(await shop.database.query('SELECT id, view_count FROM products')).toMatchObject([
      { id: 7, view_count: 13 },
    ]);
    expect(await counter.getMany(['7', '8'])).toEqual([13, 4]);
    expect(await shop.compare('c', 'views', '8')).toMatchObject({ live: 4, expected: 4 });
  });

  it('quarantines keys that the column would change, and touches no row for them', async () => {
    const shop = await openShop(
      views('insert'),
      products,
      'INSERT INTO products (id, view_count) VALUES (9, 10)',
    );
    const counter = shop.sluice.counter('views');
    const wrong = [
      '09',
      '+9',
      '9.0',
      '9e0',
      ' 9',
      '9 ',
      '-0',
      'abc',
      '9\0',
      '９',
      '2147483648',
      '9'.repeat(300),
    ];
    await Promise.all([...wrong, '9', '10'].map(key => counter.increment(key)));
    await shop.drain();
    expect(await shop.quarantined()).toEqual(
      wrong
        .toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
        .map(key => `${key} 1 TARGET_KEY_NOT_CANONICAL`),
    );
    expect(await shop.database.query('SELECT id, view_count FROM products ORDER BY id')).toMatchObject([
      { id: 9, view_count: 11 },
      { id: 10, view_count: 1 },
    ]);
    expect(await counter.getMany(wrong)).toEqual(wrong.map(() => 1));
  });

  it('quarantines an update that an UNSIGNED column cannot hold, and applies its neighbours', async () => {
    const shop = await openShop(
      views('quarantine'),
      products,
      `INSERT INTO products (id, view_count) VALUES ${Array.from({ length: 40 }, (_, id) => `(${id}, 10)`)}`,
    );
    const counter = shop.sluice.counter('views');
    await Promise.all(
      Array.from({ length: 40 }, (_, id) => counter.increment(String(id), id % 13 === 5 ? -11 : 1)),
    );
    await shop.drain();
    expect(await shop.quarantined()).toEqual(
      ['18', '31', '5'].map(key => `${key} -11 ${DATABASE_CODES.range}`),
    );
    const rows = await shop.database.query('SELECT id, view_count FROM products ORDER BY id');
    expect(rows.map(row => row.view_count)).toEqual(
      Array.from({ length: 40 }, (_, id) => (id % 13 === 5 ? 10 : 11)),
    );
    await shop.forget();
    expect(await counter.getMany(['4', '5'])).toEqual([11, -1]);
    await counter.increment('5', 1);
    await shop.drain();
    expect(await shop.compare('c', 'views', '5')).toMatchObject({ live: 0, expected: 0 });
  });

  it('quarantines what a CHECK or a trigger refuses, whatever number the trigger signals', async () => {
    const shop = await openShop(
      {
        counters: {
          likes: { target: { table: 'posts', key: 'id', column: 'likes' } },
          shares: { target: { table: 'posts', key: 'id', column: 'shares' } },
        },
      },
      'CREATE TABLE posts (id INT PRIMARY KEY, likes INT NOT NULL DEFAULT 0 CHECK (likes < 100), shares INT NOT NULL DEFAULT 0)',
      "CREATE TRIGGER guard BEFORE UPDATE ON posts FOR EACH ROW BEGIN IF NEW.shares > 70 THEN SIGNAL SQLSTATE '45000'; ELSEIF NEW.shares > 50 THEN SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 5001; END IF; END",
      'INSERT INTO posts (id) VALUES (1), (2), (3)',
    );
    const add = (counter: 'likes' | 'shares', key: string, by: number) =>
      shop.sluice.counter(counter).increment(key, by);
    await Promise.all([
      add('likes', '1', 5),
      add('likes', '2', 500),
      add('shares', '2', 6),
      add('shares', '1', 80),
      add('shares', '3', 60),
    ]);
    await shop.drain();
    const { signal, checkMysql, checkMariadb } = DATABASE_CODES;
    const check = inject('mysqlFlavour') === 'mariadb' ? checkMariadb : checkMysql;
    expect(await shop.quarantined()).toEqual([`1 80 ${signal}`, `2 500 ${check}`, '3 60 ERRNO_5001']);
    expect(await shop.database.query('SELECT * FROM posts')).toMatchObject([
      { id: 1, likes: 5, shares: 0 },
      { id: 2, likes: 0, shares: 6 },
      { id: 3, likes: 0, shares: 0 },
    ]);
  });

  it('finds the rows to refuse with one query, without trying them', async () => {
    const shop = await openShop(
      views('quarantine'),
      products,
      'INSERT INTO products (id) VALUES (7), (2000)',
    );
    const rows = Array.from({ length: 2500 }, (_, id) => ({ name: 'views', key: String(id), amount: 1 }));
    const wrong = { name: 'views', key: '07', amount: 1 };
    const refused = await shop.database.transaction(connection =>
      shop.tables.of('c', 'views').refusals(connection, [...rows, wrong]),
    );
    const missing = rows.filter(row => row.key !== '7' && row.key !== '2000');
    expect([...refused].map(([row, error]) => [row, error.code])).toEqual([
      ...missing.map(row => [row, 'TARGET_ROW_MISSING']),
      [wrong, 'TARGET_KEY_NOT_CANONICAL'],
    ]);
  });

  it('adds to a row that another writer inserts just before ours', async () => {
    const shop = await openShop(views('insert'), products);
    const table = shop.tables.of('c', 'views');
    await shop.database.transaction(async connection => {
      let raced = false;
      const query = async (text: string, values?: unknown[]) => {
        if (!raced && text.startsWith('INSERT')) {
          raced = true;
          await shop.database.query('INSERT INTO products (id, view_count) VALUES (2, 100)');
        }
        return connection.query(text, values);
      };
      const racing = Object.assign(Object.create(connection), { query }) as typeof connection;
      await table.add(
        racing,
        ['1', '2', '3'].map(key => ({ name: 'views', key, amount: 5 })),
      );
      expect(raced).toBe(true);
    });
    expect(await shop.database.query('SELECT id, view_count FROM products ORDER BY id')).toMatchObject([
      { id: 1, view_count: 5 },
      { id: 2, view_count: 105 },
      { id: 3, view_count: 5 },
    ]);
  });

  it.each([
    ['in the first attempt', /^UPDATE JSON/, []],
    ['in the careful one', /^SELECT CAST\(t\.[\s\S]*FOR UPDATE$/, ['09']],
  ])(
    'waits %s for a row that is being inserted, rather than call it missing',
    async (_, statement, wrong) => {
      const shop = await openShop(views('quarantine'), products);
      const counter = shop.sluice.counter('views');
      await Promise.all([...wrong, '5'].map(key => counter.increment(key, 7)));
      await shop.database.transaction(async connection => {
        await connection.query('INSERT INTO products (id, view_count) VALUES (5, 100)');
        const drained = shop.drain();
        const waiting = async () => {
          const running = (await runningStatements(shop.database)).filter(text => statement.test(text));
          const [waits] = await shop.database.query("SHOW STATUS LIKE 'Innodb_row_lock_current_waits'");
          return running.length > 0 && Number(waits!.Value) > 0;
        };
        await until(waiting, 'the flush waits for the row');
        await connection.query('COMMIT');
        await drained;
      });
      expect(await shop.database.query('SELECT view_count FROM products')).toMatchObject([
        { view_count: 107 },
      ]);
      expect(await shop.quarantined()).toEqual(wrong.map(key => `${key} 7 TARGET_KEY_NOT_CANONICAL`));
    },
  );

  it('counts exactly beyond safe numbers, and does not read such a value rounded', async () => {
    const shop = await openShop(
      { counters: { hits: { target: { table: 'big', key: 'id', column: 'n' } } } },
      'CREATE TABLE big (id INT PRIMARY KEY, n BIGINT)',
      'INSERT INTO big VALUES (1, 9007199254740993)',
    );
    const hits = shop.sluice.counter('hits');
    await hits.increment('1', -2);
    await expect(hits.get('1')).rejects.toMatchObject({ code: 'OUT_OF_RANGE' });
    await shop.drain();
    expect(await hits.get('1')).toBe(Number.MAX_SAFE_INTEGER);
  });
});
