// One batch with a bad row in each of many tables, each bad in another way: good rows are written, bad ones
// wait in quarantine with the server's code, nothing drifts, and a replay writes them once the cause is
// mended.

import { beforeAll, describe, expect, inject, it } from 'vitest';
import { DATABASE_CODES, openShop, type Shop } from '../support/mapped.ts';

interface Case {
  /** Id of the bad row, 2 by default; 1 and 3 are good. */
  readonly bad?: string;
  /** Columns beside id and n, and the end of the statement. */
  readonly columns?: string;
  readonly options?: string;
  /** Statement of a trigger before an update of row 2. */
  readonly trigger?: string;
  /** Other tables and procedures; `{t}` is the table's name. */
  readonly besides?: readonly string[];
  /** Rows are inserted rather than updated. */
  readonly insert?: true;
  /** Amount added to row 2. */
  readonly by?: number;
  /** Null if row 2 is not bad after all. */
  readonly code: string | { readonly mysql97: string; readonly mariadb: string } | null;
  /** SQL that mends the cause; by default it drops the trigger. */
  readonly mend?: string;
}

const audit = (columns: string, ...rows: string[]) => [
  `CREATE TABLE {t}_audit (${columns})`,
  ...rows.map(row => `INSERT INTO {t}_audit VALUES ${row}`),
];
const procedure = (body: string) => `CREATE PROCEDURE {t}_check(v BIGINT) BEGIN ${body} END`;
const texts = Array.from({ length: 20 }, (_, i) => `c${i}`);
const { signal } = DATABASE_CODES;

const CASES: Record<string, Case> = {
  'RANGE without a partition': {
    insert: true,
    bad: '20',
    options: 'PARTITION BY RANGE (id) (PARTITION p VALUES LESS THAN (10))',
    code: DATABASE_CODES.partition,
    mend: 'ALTER TABLE {t} ADD PARTITION (PARTITION q VALUES LESS THAN MAXVALUE)',
  },
  'LIST without a partition': {
    insert: true,
    options: 'PARTITION BY LIST (id) (PARTITION p VALUES IN (1, 3))',
    code: DATABASE_CODES.partition,
    mend: 'ALTER TABLE {t} ADD PARTITION (PARTITION q VALUES IN (2))',
  },
  'division by zero': { trigger: 'SET NEW.n = NEW.n / 0', code: DATABASE_CODES.zero },
  'a subquery of two rows': {
    besides: audit('a INT', '(1)', '(1)'),
    trigger: 'SET NEW.n = (SELECT a FROM {t}_audit)',
    code: DATABASE_CODES.rows,
    mend: 'DELETE FROM {t}_audit LIMIT 1',
  },
  'SELECT INTO of two rows': {
    besides: audit('a INT', '(1)', '(1)'),
    trigger: 'SELECT a INTO @a FROM {t}_audit',
    code: 'ER_TOO_MANY_ROWS',
    mend: 'DELETE FROM {t}_audit LIMIT 1',
  },
  'a wrong date': {
    besides: audit('a DATE'),
    trigger: "INSERT INTO {t}_audit VALUES (CONCAT('2026-13-', NEW.n))",
    code: DATABASE_CODES.value,
  },
  'a CASE without a match': {
    trigger: 'CASE NEW.n WHEN 1 THEN SET NEW.n = 1; END CASE',
    code: 'ER_SP_CASE_NOT_FOUND',
  },
  'a foreign key': {
    insert: true,
    besides: ['CREATE TABLE {t}_parent (id INT PRIMARY KEY)', 'INSERT INTO {t}_parent VALUES (1), (3)'],
    columns: ', FOREIGN KEY (id) REFERENCES {t}_parent (id)',
    code: 'ER_NO_REFERENCED_ROW_2',
    mend: 'INSERT INTO {t}_parent VALUES (2)',
  },
  'a CHECK': {
    columns: ', CONSTRAINT {t}_small CHECK (n < 50)',
    by: 50,
    code: { mysql97: 'ER_CHECK_CONSTRAINT_VIOLATED', mariadb: 'ER_CONSTRAINT_FAILED' },
    mend: 'ALTER TABLE {t} DROP CONSTRAINT {t}_small',
  },
  'a generated column that overflows': {
    columns: ', g TINYINT AS (n * 50) STORED',
    by: 50,
    code: 'ER_WARN_DATA_OUT_OF_RANGE',
    mend: 'ALTER TABLE {t} MODIFY g INT AS (n * 50) STORED',
  },
  'a generated column that divides by zero': {
    columns: ', g INT AS (100 DIV (n - 50)) STORED',
    by: 50,
    code: DATABASE_CODES.zero,
    mend: 'ALTER TABLE {t} DROP COLUMN g',
  },
  'a row too long': {
    columns: `, ${texts.map(name => `${name} TEXT`).join(', ')}`,
    options: 'CHARACTER SET latin1 ROW_FORMAT = COMPACT',
    trigger: `SET ${texts.map(name => `NEW.${name} = REPEAT('x', 2000)`).join(', ')}`,
    code: 'ER_TOO_BIG_ROWSIZE',
  },
  'a value too long': {
    columns: ', s VARCHAR(2)',
    trigger: "SET NEW.s = 'long'",
    code: 'ER_DATA_TOO_LONG',
  },
  'a unique prefix': {
    columns: ', s VARCHAR(20) DEFAULT NULL, UNIQUE KEY short (s(2))',
    besides: ["UPDATE {t} SET s = 'abc' WHERE id = 1"],
    trigger: "SET NEW.s = 'abd'",
    code: 'ER_DUP_ENTRY',
    mend: 'ALTER TABLE {t} DROP INDEX short',
  },
  'an AUTO_INCREMENT that is used up': {
    besides: audit('id TINYINT AUTO_INCREMENT PRIMARY KEY, a INT', '(127, 1)'),
    trigger: 'INSERT INTO {t}_audit (a) VALUES (1)',
    code: { mysql97: 'ER_DUP_ENTRY', mariadb: 'HA_ERR_AUTOINC_ERANGE' },
    mend: 'ALTER TABLE {t}_audit MODIFY id INT AUTO_INCREMENT',
  },
  'the largest AUTO_INCREMENT that is used up': {
    besides: audit('id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, a INT', '(18446744073709551615, 1)'),
    trigger: 'INSERT INTO {t}_audit (a) VALUES (1)',
    code: 'ER_AUTOINC_READ_FAILED',
    mend: 'TRUNCATE {t}_audit',
  },
  'a column without a default': {
    besides: audit('a INT, b INT NOT NULL'),
    trigger: 'INSERT INTO {t}_audit (a) VALUES (1)',
    code: 'ER_NO_DEFAULT_FOR_FIELD',
    mend: 'ALTER TABLE {t}_audit MODIFY b INT',
  },
  'JSON that is none': {
    trigger: "SET NEW.n = JSON_EXTRACT(CONCAT('{', NEW.n), '$.a')",
    code: { mysql97: 'ER_INVALID_JSON_TEXT_IN_PARAM', mariadb: 'ERRNO_4038' },
  },
  'a recursion': {
    besides: ['CREATE PROCEDURE {t}_again() CALL {t}_again()'],
    trigger: 'CALL {t}_again()',
    code: 'ER_SP_RECURSION_LIMIT',
  },
  'a table that only one branch misses': {
    trigger: 'UPDATE {t}_missing SET a = 1',
    code: DATABASE_CODES.table,
    mend: 'CREATE TABLE {t}_missing (a INT)',
  },
  'a column that only one branch misses': {
    besides: audit('a INT'),
    trigger: 'UPDATE {t}_audit SET b = 1',
    code: DATABASE_CODES.column,
    mend: 'ALTER TABLE {t}_audit ADD COLUMN b INT',
  },
  'a procedure that only one branch misses': {
    trigger: 'CALL {t}_missing()',
    code: DATABASE_CODES.routine,
    mend: 'CREATE PROCEDURE {t}_missing() DO 1',
  },
  'a procedure whose handler gives another error': {
    besides: [
      ...audit('a DATE'),
      procedure(
        "DECLARE EXIT HANDLER FOR SQLEXCEPTION RESIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 31002; INSERT INTO {t}_audit VALUES (CONCAT('x', v));",
      ),
    ],
    trigger: 'CALL {t}_check(NEW.n)',
    code: 'ERRNO_31002',
  },
  'a procedure whose handler forgives': {
    besides: [
      ...audit('a DATE'),
      procedure(
        "DECLARE CONTINUE HANDLER FOR SQLEXCEPTION DO 1; INSERT INTO {t}_audit VALUES (CONCAT('x', v));",
      ),
    ],
    trigger: 'CALL {t}_check(NEW.n)',
    code: null,
  },
  'SIGNAL 45000': { trigger: "SIGNAL SQLSTATE '45000'", code: signal },
  'SIGNAL 45000 with the number of a deadlock': {
    trigger: "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1213",
    code: 'ERRNO_1213',
  },
  'SIGNAL 02001': { trigger: "SIGNAL SQLSTATE '02001'", code: 'ER_SIGNAL_NOT_FOUND' },
  'SIGNAL 02001 with the number of an outage': {
    trigger: "SIGNAL SQLSTATE '02001' SET MYSQL_ERRNO = 1290",
    code: 'ERRNO_1290',
  },
  'SIGNAL 01001, a warning': { trigger: "SIGNAL SQLSTATE '01001'", code: null },
  'SIGNAL 23000 with a number of its own': {
    trigger: "SIGNAL SQLSTATE '23000' SET MYSQL_ERRNO = 31003",
    code: 'ERRNO_31003',
  },
  'SIGNAL HY000': { trigger: "SIGNAL SQLSTATE 'HY000'", code: signal },
  'SIGNAL HY000 with a number of its own': {
    trigger: "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 31001",
    code: 'ERRNO_31001',
  },
  'SIGNAL HY000 as if the server were read-only': {
    trigger: "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1290",
    code: 'ER_OPTION_PREVENTS_STATEMENT',
  },
  'SIGNAL 08S01 as if the connection were lost': {
    trigger: "SIGNAL SQLSTATE '08S01' SET MYSQL_ERRNO = 2013",
    code: 'ERRNO_2013',
  },
  'SIGNAL of a class of its own': { trigger: "SIGNAL SQLSTATE 'XA100'", code: signal },
};

const names = Object.keys(CASES);
const tableOf = (name: string) => `t${names.indexOf(name)}`;
const badOf = (name: string) => CASES[name]!.bad ?? '2';

function statements(name: string): string[] {
  const { columns = '', options = '', trigger, besides = [], insert } = CASES[name]!;
  const isPart = (text: string) => text.startsWith('UPDATE');
  const table = `CREATE TABLE {t} (id INT PRIMARY KEY, n BIGINT NOT NULL DEFAULT 0 ${columns}) ${options}`;
  // Only a lenient session creates a table whose rows may become too long.
  const lenient = ['CREATE PROCEDURE {t}_lenient() BEGIN SET innodb_strict_mode = 0; ', '; END'];
  return [
    ...besides.filter(text => !isPart(text)),
    ...(options.includes('COMPACT') ? [lenient.join(table), 'CALL {t}_lenient()'] : [table]),
    ...(insert ? [] : ['INSERT INTO {t} (id) VALUES (1), (2), (3)']),
    ...besides.filter(isPart),
    ...(trigger
      ? [
          `CREATE TRIGGER {t}_guard BEFORE UPDATE ON {t} FOR EACH ROW BEGIN IF NEW.id = 2 THEN ${trigger}; END IF; END`,
        ]
      : []),
  ].map(text => text.replaceAll('{t}', tableOf(name)));
}

describe('a bad row', () => {
  let shop: Shop<{ counters: Record<string, object> }>;
  const rows = async (name: string) => {
    const found = await shop.database.query(`SELECT id, n FROM ${tableOf(name)} ORDER BY id`);
    return Object.fromEntries(found.map(row => [String(row.id), Number(row.n)]));
  };

  beforeAll(async () => {
    const counters = Object.fromEntries(
      names.map(name => {
        const missing = CASES[name]!.insert ? ('insert' as const) : ('quarantine' as const);
        return [tableOf(name), { target: { table: tableOf(name), key: 'id', column: 'n', missing } }];
      }),
    );
    shop = await openShop({ counters }, ...names.flatMap(statements));
    await shop.sluice.apply(
      names.flatMap(name => {
        const keys = ['1', badOf(name), '3'];
        return keys.map((key, at) => ({
          counter: tableOf(name),
          key,
          by: at === 1 ? (CASES[name]!.by ?? 2) : 2,
        }));
      }),
    );
    await shop.drain();
  });

  it.each(names)('blocks no other row: %s', async name => {
    const { code, by = 2, insert } = CASES[name]!;
    const found = await shop.database.query(
      'SELECT item_key, amount, error_code FROM sluice_quarantine WHERE name = ?',
      [Buffer.from(tableOf(name))],
    );
    const expected = code === null || typeof code === 'string' ? code : code[inject('mysqlFlavour')];
    expect(found.map(row => `${row.item_key} ${row.amount} ${row.error_code}`)).toEqual(
      expected === null ? [] : [`${badOf(name)} ${by} ${expected}`],
    );
    const bad = expected === null ? { 2: by } : insert ? {} : { 2: 0 };
    expect(await rows(name)).toEqual({ 1: 2, 3: 2, ...bad });
  });

  it('is in one batch with all the others', async () => {
    expect(await shop.database.query('SELECT sequence FROM sluice_partitions')).toMatchObject([
      { sequence: expect.toSatisfy(value => Number(value) === 1) },
    ]);
    expect(await shop.verify()).toEqual({ drift: [], ledger: [] });
  });

  it('is refused by a replay until its cause is mended, and then written', async () => {
    const culprits = names.filter(name => CASES[name]!.code !== null);
    const refused = await shop.replay();
    const total = Object.values(refused).reduce((sum, count) => sum + count, 0);
    expect(total).toBe(culprits.length);
    expect(Object.keys(refused).every(outcome => outcome.startsWith('refused:'))).toBe(true);
    expect(await shop.quarantined()).toHaveLength(culprits.length);
    for (const name of culprits) {
      const { mend = 'DROP TRIGGER {t}_guard' } = CASES[name]!;
      await shop.database.query(mend.replaceAll('{t}', tableOf(name)));
    }
    expect(await shop.replay()).toEqual({ replayed: culprits.length });
    for (const name of culprits) expect((await rows(name))[badOf(name)], name).not.toBe(0);
    await shop.forget();
    expect(await shop.verify()).toEqual({ drift: [], ledger: [] });
  });
});
