// A target is checked before anything is written to it: reasons to refuse it, and names that inject SQL.

import { expect, inject, it } from 'vitest';
import { type DefinitionsInput, parseDefinitions } from '../../src/shared/config/definitions.ts';
import { LIMITS } from '../../src/shared/limits.ts';
import { openTables } from '../../src/shared/values/mapping.ts';
import { exactCollation, openDatabase, openShop } from '../support/mapped.ts';

const mariadb = () => inject('mysqlFlavour') === 'mariadb';
const target = { table: 'things', key: 'id', column: 'n', missing: 'quarantine' };
const map = (...targets: object[]) =>
  parseDefinitions({
    counters: Object.fromEntries(
      targets.map((given, at) => [`counter${at}`, { target: { ...target, ...given } }]),
    ),
  } as DefinitionsInput);

/** Tables that no target may name: columns of `things`, changes to the target, text of the refusal. */
const refused: Record<string, [columns: string | (() => string), given: object, says: RegExp]> = {
  'a table that does not exist': ['id INT PRIMARY KEY, n INT', { table: 'thing' }, /no such table/],
  'a table in a schema that does not exist': [
    'id INT PRIMARY KEY, n INT',
    { table: 'x.things' },
    /no such table/,
  ],
  'a name of three parts': ['id INT PRIMARY KEY, n INT', { table: 'a.b.c' }, /"schema.table"/],
  'a table of Sluice': ['id INT PRIMARY KEY, n INT', { table: 'sluice_partitions' }, /belongs to Sluice/],
  'a key column that does not exist': [
    'id INT PRIMARY KEY, n INT',
    { key: 'no' },
    /no column "no"; it has id, n/,
  ],
  'a value column that does not exist': ['id INT PRIMARY KEY, n INT', { column: 'no' }, /no column "no"/],
  'one column for both': ['id INT PRIMARY KEY, n INT', { column: 'ID' }, /same column/],
  'a value column of text': ['id INT PRIMARY KEY, n VARCHAR(9)', {}, /n is varchar\(9\)/],
  'a value column of DECIMAL': ['id INT PRIMARY KEY, n DECIMAL(9, 2)', {}, /n is decimal/],
  'a generated value column': ['id INT PRIMARY KEY, m INT, n INT AS (m + 1) STORED', {}, /generated/],
  'a unique value column': ['id INT PRIMARY KEY, n INT UNIQUE', {}, /part of the unique key n/],
  'a key column without an index': ['id INT, n INT', {}, /not a primary key or unique key by itself/],
  'a key column with a plain index': [
    'id INT, n INT, KEY (id)',
    {},
    /not a primary key or unique key by itself/,
  ],
  'a key column unique with another': ['id INT, m INT, n INT, UNIQUE KEY (id, m)', {}, /by itself/],
  'a key column unique by its beginning': ['id VARBINARY(40), n INT, UNIQUE KEY (id(3))', {}, /by itself/],
  'a hidden unique key': [
    () => `id INT, n INT, UNIQUE KEY (id) ${mariadb() ? 'IGNORED' : 'INVISIBLE'}`,
    {},
    /hidden from queries/,
  ],
  'a CHAR key': ['id CHAR(9) CHARACTER SET utf8mb4 PRIMARY KEY, n INT', {}, /id is char\(9\)/],
  'a BINARY key': ['id BINARY(9) PRIMARY KEY, n INT', {}, /id is binary\(9\)/],
  'a DECIMAL key': ['id DECIMAL(9) PRIMARY KEY, n INT', {}, /id is decimal/],
  'a key of a TIMESTAMP': ['id TIMESTAMP PRIMARY KEY, n INT', {}, /id is timestamp/],
  'a ZEROFILL key': ['id INT ZEROFILL PRIMARY KEY, n INT', {}, /ZEROFILL/],
  'a case-insensitive key': [
    'id VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY, n INT',
    {},
    /collation utf8mb4_general_ci, which merges/,
  ],
  'a binary collation that pads': [
    'id VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY, n INT',
    {},
    /collation utf8mb4_bin, which merges/,
  ],
  'a key of another character set': [
    'id VARCHAR(9) CHARACTER SET latin1 COLLATE latin1_bin PRIMARY KEY, n INT',
    {},
    /collation latin1_bin/,
  ],
  'insert with a second unique key': [
    'id INT PRIMARY KEY, mail VARCHAR(40) UNIQUE, n INT',
    { missing: 'insert' },
    /the unique key mail could refuse/,
  ],
  'insert where other columns need a value': [
    'id INT PRIMARY KEY, a INT NOT NULL, b INT NOT NULL DEFAULT 1, c INT NULL, d DATETIME NOT NULL, n INT',
    { missing: 'insert' },
    /need a value for a, d; give a default or a constant/,
  ],
  'key columns that are unique only with another': [
    'a INT, b INT, c INT, n INT, UNIQUE KEY (a, b, c)',
    { key: ['a', 'b'] },
    /columns a, b are not a primary key or unique key together and by themselves; add UNIQUE KEY \(a, b\)/,
  ],
  'key columns of which one is unique': [
    'a INT PRIMARY KEY, b INT, n INT',
    { key: ['a', 'b'] },
    /together and by/,
  ],
  'key columns with a hidden key': [
    () => `a INT, b INT, n INT, UNIQUE KEY (b, a) ${mariadb() ? 'IGNORED' : 'INVISIBLE'}`,
    { key: ['a', 'b'] },
    /key of columns a, b is hidden/,
  ],
  'a key column of a wrong type among others': [
    'a INT, b TIMESTAMP, n INT, PRIMARY KEY (a, b)',
    { key: ['a', 'b'] },
    /key column b is timestamp/,
  ],
  'a value column among the key columns': [
    'a INT, n INT, PRIMARY KEY (a, n)',
    { key: ['a', 'N'], column: 'n' },
    /same column/,
  ],
  'insert with a unique key of one of the key columns': [
    'a INT UNIQUE, b INT, n INT, PRIMARY KEY (a, b)',
    { key: ['a', 'b'], missing: 'insert' },
    /the unique key a could refuse/,
  ],
  'a UUID in a column of text': [
    'id VARBINARY(36) PRIMARY KEY, n INT',
    { key: { column: 'id', format: 'uuid' } },
    /id is varbinary\(36\); the format "uuid" is for BINARY\(16\)/,
  ],
  'BINARY(16) without its format': [
    'id BINARY(16) PRIMARY KEY, n INT',
    {},
    /if it holds UUIDs, give its format/,
  ],
  'a value column of FLOAT': ['id INT PRIMARY KEY, n FLOAT', {}, /n is float.*DECIMAL\(n,0\)/],
  'a value column of DOUBLE': ['id INT PRIMARY KEY, n DOUBLE', {}, /n is double/],
  'a constant for a column that does not exist': [
    'id INT PRIMARY KEY, n INT',
    { missing: 'insert', insert: { source: 'web' } },
    /no column "source"; it has id, n/,
  ],
  'a constant for a generated column': [
    'id INT PRIMARY KEY, n INT, m INT AS (n + 1) STORED',
    { missing: 'insert', insert: { m: 1 } },
    /constant for m, which is generated/,
  ],
  'NULL for a NOT NULL column': [
    'id INT PRIMARY KEY, n INT, m INT NOT NULL DEFAULT 1',
    { missing: 'insert', insert: { m: null } },
    /NULL for m, which is NOT NULL/,
  ],
  'a constant that is too long': [
    'id INT PRIMARY KEY, n INT, m VARCHAR(3)',
    { missing: 'insert', insert: { M: 'four' } },
    /text for m that is longer than its varchar\(3\)/,
  ],
  'a constant of a name that looks like a parameter': [
    'id INT PRIMARY KEY, n INT',
    { missing: 'insert', insert: { '?': 1 } },
    /question mark/,
  ],
  'insert into a generated key': [
    'm INT, id INT AS (m + 1) STORED UNIQUE, n INT',
    { missing: 'insert' },
    /id is generated/,
  ],
};

for (const [what, [columns, given, says]] of Object.entries(refused)) {
  it(`a target is refused: ${what}`, async () => {
    const list = typeof columns === 'string' ? columns : columns();
    const { own } = await openDatabase(`CREATE TABLE things (${list})`);
    const refusal = await openTables(own, map(given)).catch(error => error);
    expect(refusal).toMatchObject({ code: 'DATABASE_UNSUITABLE', message: expect.stringMatching(says) });
    expect(refusal.message).toMatch(/^The counter "counter0" cannot be mapped to .*\.$/);
  });
}

it('a view, and an engine without transactions, are refused', async () => {
  const { own } = await openDatabase(
    'CREATE TABLE things (id INT PRIMARY KEY, n INT)',
    'CREATE VIEW seen AS SELECT * FROM things',
    'CREATE TABLE loose (id INT PRIMARY KEY, n INT) ENGINE = MyISAM',
  );
  const refusal = (given: object) => openTables(own, map(given)).catch(error => error);
  expect(await refusal({ table: 'seen' })).toMatchObject({ message: expect.stringMatching(/it is a view/) });
  expect(await refusal({ table: 'loose' })).toMatchObject({
    message: expect.stringMatching(/engine is MyISAM/),
  });
});

it('two names on one column are refused, however they spell it, and two on two columns are not', async () => {
  const { name, own } = await openDatabase('CREATE TABLE things (id INT PRIMARY KEY, n INT, m INT)');
  await expect(openTables(own, map({}, { table: `${name}.things`, column: 'N' }))).rejects.toMatchObject({
    code: 'DATABASE_UNSUITABLE',
    message: expect.stringMatching(/"counter1" and the counter "counter0" are both mapped/),
  });
  const tables = await openTables(own, map({}, { column: 'm' }));
  expect(tables.of('c', 'counter0')).not.toBe(tables.of('c', 'counter1'));
  expect(tables.mapped('c', 'counter1')).toMatchObject({ column: 'm' });
  expect(tables.mapped('p', 'counter1')).toBeUndefined();
});

it('a key may have any integer type or an exact string type, a value any integer type', async () => {
  const keys = [
    'TINYINT',
    'SMALLINT UNSIGNED',
    'MEDIUMINT',
    'INT UNSIGNED',
    'BIGINT',
    'SERIAL',
    `VARBINARY(${LIMITS.key})`,
  ];
  for (const key of [...keys, `VARCHAR(255) CHARACTER SET utf8mb4 COLLATE ${exactCollation()}`]) {
    const value = key.startsWith('VAR') || key === 'SERIAL' ? 'BIGINT UNSIGNED' : key;
    const { own } = await openDatabase(
      `CREATE TABLE things (id ${key}, n ${value} NULL, PRIMARY KEY (id)) ROW_FORMAT = DYNAMIC`,
    );
    await expect(openTables(own, map({}))).resolves.toBeDefined();
  }
});

it('a constant makes up for a default that a column lacks; DATE and DECIMAL(n,0) fit', async () => {
  const { own } = await openDatabase(
    'CREATE TABLE things (id DATE PRIMARY KEY, n DECIMAL(30,0), a INT NOT NULL, b VARCHAR(9) NULL, u BINARY(16) NULL)',
    'CREATE TABLE pairs (a DATETIME(6), u BINARY(16), n DECIMAL(9) UNSIGNED, UNIQUE KEY (u, a))',
  );
  const pair = { table: 'pairs', key: ['a', { column: 'u', format: 'uuid' }] };
  const insert = { a: 1, B: null };
  await expect(openTables(own, map({ missing: 'insert', insert }, pair))).resolves.toBeDefined();
});

it('no name leaves its quotes or acts as a placeholder', async () => {
  const table = 'th`ings; DROP TABLE kept; -- {column}';
  const key = "i'd` OR 1=1 -- {key}";
  const column = '{table}`=0,"n\\';
  // The configuration does not name the index, but its name reaches statements too.
  const index = 'u` ON x = ?; -- ? {key}';
  const quote = (name: string) => `\`${name.replaceAll('`', '``')}\``;
  const shop = await openShop(
    { counters: { hits: { target: { table, key, column, missing: 'insert' } } } },
    'CREATE TABLE kept (id INT)',
    `CREATE TABLE ${quote(table)} (${quote(key)} INT NOT NULL, ${quote(column)} INT, UNIQUE KEY ${quote(index)} (${quote(key)}))`,
    `INSERT INTO ${quote(table)} VALUES (1, 10), (2, 20)`,
  );
  const hits = shop.sluice.counter('hits');
  await Promise.all([hits.increment('1', 5), hits.increment('3', 7)]);
  await shop.drain();
  expect(await shop.database.query(`SELECT * FROM ${quote(table)}`)).toMatchObject([
    { [key]: 1, [column]: 15 },
    { [key]: 2, [column]: 20 },
    { [key]: 3, [column]: 7 },
  ]);
  await shop.forget();
  expect(await hits.getMany(['1', '2', '3', '4'])).toEqual([15, 20, 7, 0]);
  expect(await shop.database.query('SELECT * FROM kept')).toEqual([]);
});

it('names that look like a parameter, and names that no table can have, are refused', async () => {
  const { own } = await openDatabase('CREATE TABLE things (id INT PRIMARY KEY, n INT)');
  for (const given of [
    { table: 'th?ngs' },
    { key: '?' },
    { column: 'n`, n = ?' },
    { table: "things' OR '1'='1" },
    { table: 'things\0' },
    { table: '😀' },
    { key: 'id` OR 1=1 -- ' },
    { column: 'things.n' },
  ]) {
    const refusal = await openTables(own, map(given)).catch(error => error);
    expect(refusal).toMatchObject({ code: 'DATABASE_UNSUITABLE' });
  }
});
