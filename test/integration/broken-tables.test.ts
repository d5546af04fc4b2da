// A mapped table that takes no row holds up its own updates only, whatever the error's number, until its
// owner has mended it. A row that is alone in its batch is blamed only after its table took another row.

import { randomBytes } from 'node:crypto';
import { afterAll, describe, expect, inject, it } from 'vitest';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { openTables } from '../../src/shared/values/mapping.ts';
import { Store } from '../../src/worker/store.ts';
import { definitions, type Engine, openEngine, until } from '../support/engine.ts';
import { author, openFailed } from '../support/failed.ts';
import { openShop } from '../support/mapped.ts';

const user = `u${randomBytes(6).toString('hex')}`;
const signal = (set: string, when = '') =>
  `CREATE TRIGGER guard BEFORE UPDATE ON items FOR EACH ROW BEGIN ${when} SIGNAL SQLSTATE ${set}; ${when && 'END IF;'} END`;

/** How the table breaks and how it is mended; `held` are the keys that wait, by default all three. */
const CAUSES: Record<string, { breaks: string[]; mend: string[]; held?: string[] }> = {
  'a column is renamed (1054)': {
    breaks: ['ALTER TABLE items RENAME COLUMN n TO m'],
    mend: ['ALTER TABLE items RENAME COLUMN m TO n'],
  },
  'the table is dropped (1146)': {
    breaks: ['CREATE TABLE kept AS SELECT * FROM items', 'DROP TABLE items'],
    mend: [
      'CREATE TABLE items (id INT PRIMARY KEY, n BIGINT NOT NULL DEFAULT 0)',
      'INSERT INTO items SELECT * FROM kept',
    ],
  },
  'the definer of a trigger has no rights any more (1142)': {
    breaks: [
      'CREATE TABLE log (id INT)',
      `CREATE USER ${user}`,
      `GRANT ALL ON items TO ${user}`,
      `CREATE DEFINER = ${user} TRIGGER guard BEFORE UPDATE ON items FOR EACH ROW INSERT INTO log VALUES (NEW.id)`,
    ],
    mend: [`GRANT INSERT ON log TO ${user}`],
  },
  'the definer of a trigger has no rights for one row (1142)': {
    breaks: [
      'CREATE TABLE log (id INT)',
      `CREATE USER ${user}b`,
      `GRANT ALL ON items TO ${user}b`,
      `CREATE DEFINER = ${user}b TRIGGER guard BEFORE UPDATE ON items FOR EACH ROW BEGIN IF NEW.id = 2 THEN INSERT INTO log VALUES (NEW.id); END IF; END`,
    ],
    mend: [`GRANT INSERT ON log TO ${user}b`],
    held: ['2'],
  },
  'a trigger fails for every row with a number of its own': {
    breaks: [signal("'HY000' SET MYSQL_ERRNO = 31001")],
    mend: ['DROP TRIGGER guard'],
  },
  'a trigger says for every row that the server is read-only (1290)': {
    breaks: [signal("'HY000' SET MYSQL_ERRNO = 1290")],
    mend: ['DROP TRIGGER guard'],
  },
  'a trigger says for one row that a table is full (1114)': {
    breaks: [signal("'HY000' SET MYSQL_ERRNO = 1114", 'IF NEW.id = 2 THEN')],
    mend: ['DROP TRIGGER guard'],
    held: ['2'],
  },
};

describe('only the updates of a mapped table wait', () => {
  afterAll(async () => {
    const limits = { connections: 1, idleTransactionSeconds: 30, lockWaitSeconds: 5 };
    const server = new Database({ url: `${inject('mysqlUrl')}/information_schema` }, limits);
    await server.query(`DROP USER IF EXISTS ${user}, ${user}b`);
    await server.close();
  });

  it.each(Object.entries(CAUSES))('while %s', async (_, { breaks, mend, held = ['1', '2', '3'] }) => {
    const shop = await openShop(
      {
        counters: { items: { target: { table: 'items', key: 'id', column: 'n' } }, plain: {} },
      },
      'CREATE TABLE items (id INT PRIMARY KEY, n BIGINT NOT NULL DEFAULT 0)',
      'INSERT INTO items (id) VALUES (1), (2), (3)',
    );
    await shop.drain();
    // MariaDB names the right on a table by its database only if the user has been told it.
    const [{ name }] = (await shop.database.query('SELECT DATABASE() AS name')) as [{ name: string }];
    const run = async (texts: string[]) => {
      for (const text of texts)
        await shop.database.query(text.replace(/ ON (items|log) TO/, ` ON ${name}.$1 TO`));
    };
    await run(breaks);
    for (const key of ['1', '2', '3']) await shop.sluice.counter('items').increment(key, 5);
    await shop.sluice.counter('plain').increment('k', 5);
    await shop.drain();
    expect(await shop.database.query('SELECT value FROM sluice_counters')).toMatchObject([{ value: '5' }]);
    expect((await shop.held()).map(row => row.split(' ', 2))).toEqual(held.map(key => [key, '5']));
    expect(await shop.quarantined()).toEqual([]);
    expect(await shop.breakerIsOpen()).toBe(false);

    await run(mend);
    await until(async () => (await shop.held()).length === 0, 'the held updates to be written');
    expect(await shop.quarantined()).toEqual([]);
    const rows = await shop.database.query('SELECT n FROM items ORDER BY id');
    expect(rows.map(row => Number(row.n))).toEqual([5, 5, 5]);
    expect(await shop.verify()).toEqual({ drift: [], ledger: [] });
  });
});

/** Makes MySQL fail for keys and accounts that begin with "bad". */
async function breakBad({ database }: Engine, what: string): Promise<void> {
  for (const [table, key] of [
    ['sluice_counters', 'counter_key'],
    ['sluice_accounts', 'account'],
  ])
    await database.query(
      `CREATE TRIGGER ${table}_guard BEFORE INSERT ON ${table} FOR EACH ROW BEGIN IF NEW.${key} LIKE 'bad%' THEN ${what}; END IF; END`,
    );
}
const ODD = "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 31001";
const codes = async ({ database }: Engine) =>
  (await database.query('SELECT item_key, error_code FROM sluice_quarantine ORDER BY id')).map(
    row => `${row.item_key} ${row.error_code}`,
  );
/** Keys of the form `${name}N` in this partition, or outside it. */
const keyIn = (engine: Engine, name: string, partition: number, same: boolean) => {
  for (let n = 0; ; n++)
    if ((engine.keys.partitionOf(`${name}${n}`) === partition) === same) return `${name}${n}`;
};

describe('a row that is alone in its batch', () => {
  it('waits until its table took another row, and is then put in quarantine', async () => {
    const engine = await openEngine();
    const sluice = await engine.producer();
    await breakBad(engine, ODD);
    const partition = engine.keys.partitionOf('bad');
    const flush = () => engine.flusher.flush(partition);
    await sluice.counter('views').increment('bad');
    for (let attempt = 0; attempt < 3; attempt++)
      await expect(flush()).rejects.toMatchObject({ errno: 31_001 });
    // A row of another table proves nothing about this one.
    const other = keyIn(engine, 'good', partition, false);
    await sluice.points('loyalty').credit(other, 5, { id: 'e' });
    await engine.flusher.flush(engine.keys.partitionOf(other));
    await expect(flush()).rejects.toMatchObject({ errno: 31_001 });
    expect(await codes(engine)).toEqual([]);

    await sluice.counter('views').increment(other);
    await engine.flusher.flush(engine.keys.partitionOf(other));
    await flush();
    expect(await codes(engine)).toEqual(['bad ERRNO_31001']);
    expect(await engine.compare('c', 'views', 'bad')).toMatchObject({ expected: 1 });
  });

  it('waits for the operator if the schema is at fault', async () => {
    const engine = await openEngine();
    const sluice = await engine.producer();
    await breakBad(engine, 'CALL missing()');
    const partition = engine.keys.partitionOf('bad');
    await sluice.counter('views').increment('bad');
    await expect(engine.flusher.flush(partition)).rejects.toMatchObject({ errno: 1305 });
    const other = keyIn(engine, 'good', partition, false);
    await sluice.counter('views').increment(other);
    await engine.flusher.flush(engine.keys.partitionOf(other));
    await expect(engine.flusher.flush(partition)).rejects.toMatchObject({ errno: 1305 });
    expect(await codes(engine)).toEqual([]);
  });
});

describe('entries', () => {
  it('of one account fail with an unknown number, and the others of the batch are written', async () => {
    const engine = await openEngine({ partitions: 1 });
    const sluice = await engine.producer();
    await breakBad(engine, ODD);
    await sluice.apply(
      ['ann', 'bad', 'cid', 'bad', 'ann'].map((account, at) => ({
        points: 'loyalty' as const,
        account,
        amount: 5,
        id: `${at}`,
      })),
    );
    await engine.flusher.flush(0);
    expect(await codes(engine)).toEqual(['bad ERRNO_31001', 'bad ERRNO_31001']);
    expect(
      await engine.database.query(
        'SELECT account, balance_after FROM sluice_entries ORDER BY account, ledger_no',
      ),
    ).toMatchObject([
      { account: Buffer.from('ann'), balance_after: '5' },
      { account: Buffer.from('ann'), balance_after: '10' },
      { account: Buffer.from('cid'), balance_after: '5' },
    ]);
    expect(await engine.compare('p', 'loyalty', 'bad')).toMatchObject({ live: 10, expected: 10 });
  });
});

describe('a conflict', () => {
  /** Commits that blame a row at its first conflict. */
  async function impatient(engine: Engine) {
    const tables = await openTables(engine.own.database, parseDefinitions(definitions));
    const store = new Store(
      engine.own.database,
      tables,
      engine.flight,
      engine.settings.journalBatches,
      undefined,
      0,
    );
    return async () => {
      const batch = await engine.flight.claim(0);
      const result = await store.commit(batch!);
      if (result.decision === 'apply') await engine.flight.ack(batch!, result.outcome);
      return result;
    };
  }

  it.each([
    ['a deadlock', "'40001' SET MYSQL_ERRNO = 1213", 'ER_LOCK_DEADLOCK'],
    ['a lock wait', "'HY000' SET MYSQL_ERRNO = 1205", 'ER_LOCK_WAIT_TIMEOUT'],
  ])('raised by a trigger is retried, and at last blamed on its row: %s', async (_, what, code) => {
    const engine = await openEngine({ partitions: 1 });
    const sluice = await engine.producer();
    await breakBad(engine, `SIGNAL SQLSTATE ${what}`);
    await sluice.apply(['ann', 'bad', 'cid'].map(key => ({ counter: 'views' as const, key, by: 3 })));
    await expect(engine.flusher.flush(0)).rejects.toMatchObject({ code });
    expect(await codes(engine)).toEqual([]);
    const commit = await impatient(engine);
    expect(await commit()).toMatchObject({ decision: 'apply', outcome: { quarantined: 1 } });
    expect(await codes(engine)).toEqual([`bad ${code}`]);
    expect(await engine.counterInMysql('views', 'cid')).toBe(3);
    const failed = await openFailed(engine);
    expect((await failed.replay({}, author)).updates).toEqual({ [`refused:${code}`]: 1 });
    await engine.database.query('DROP TRIGGER sluice_counters_guard');
    expect((await failed.replay({}, author)).updates).toEqual({ replayed: 1 });
    expect(await engine.compare('c', 'views', 'bad')).toMatchObject({ expected: 3 });
  });

  it('that is real blames no row, however long it lasts', async () => {
    const engine = await openEngine({ partitions: 1, lockWaitSeconds: 1, idleTransactionSeconds: 60 });
    const sluice = await engine.producer();
    await sluice.apply(['ann', 'ben', 'cid'].map(key => ({ counter: 'views' as const, key, by: 3 })));
    await engine.flusher.flush(0);
    await sluice.apply(['ann', 'ben', 'cid'].map(key => ({ counter: 'views' as const, key, by: 4 })));
    const commit = await impatient(engine);
    await engine.database.transaction(async other => {
      await other.query("UPDATE sluice_counters SET value = value + 1 WHERE counter_key = 'ben'");
      for (let attempt = 0; attempt < 2; attempt++)
        await expect(commit()).rejects.toMatchObject({ errno: 1205 });
    });
    expect(await codes(engine)).toEqual([]);
    expect(await commit()).toMatchObject({ decision: 'apply', outcome: { quarantined: 0 } });
    expect(await engine.counterInMysql('views', 'ben')).toBe(8);
  });
});
