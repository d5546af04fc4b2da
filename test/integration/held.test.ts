// A mapped table that takes no rows for a while: its own updates are held, everything else is written, and
// the held updates are written afterwards, once and in order.

import { type Logger, pino } from 'pino';
import { describe, expect, inject, it } from 'vitest';
import type { Receipt } from '../../src/producer/receipt.ts';
import { until } from '../support/engine.ts';
import { openShop } from '../support/mapped.ts';

const definitions = {
  counters: {
    items: { target: { table: 'items', key: 'id', column: 'n' } },
    plain: {},
  },
  points: {
    miles: { floor: 0, target: { table: 'users', key: 'id', column: 'miles' } },
    loyalty: { floor: 0 },
  },
} as const;
const TABLES = [
  'CREATE TABLE items (id INT PRIMARY KEY, n BIGINT NOT NULL DEFAULT 0)',
  'INSERT INTO items (id) VALUES (1), (2), (3)',
  'CREATE TABLE users (id INT PRIMARY KEY, miles INT UNSIGNED NOT NULL DEFAULT 0)',
  'INSERT INTO users (id) VALUES (1), (2)',
];
const RENAMED = 'ALTER TABLE items RENAME COLUMN n TO m';
const BACK = 'ALTER TABLE items RENAME COLUMN m TO n';
const AWAY = /^50 a mapped table does not take updates: /;
const AGAIN = /^30 a mapped table takes updates again: /;

async function open() {
  const shop = await openShop(definitions, ...TABLES);
  const items = shop.sluice.counter('items');
  const plain = shop.sluice.counter('plain');
  const released = () =>
    until(async () => (await shop.held()).length === 0, 'the held updates to be written');
  const remembered = () =>
    until(
      async () => (await shop.database.query('SELECT 1 FROM sluice_targets')).length === 2,
      'the mappings to be remembered',
    );
  const ledger = async () =>
    (await shop.database.query('SELECT program, entry_id FROM sluice_entries ORDER BY ledger_no')).map(
      row => `${row.program} ${row.entry_id}`,
    );
  const stock = async () =>
    (await shop.database.query('SELECT n FROM items ORDER BY id')).map(({ n }) => Number(n));
  return { ...shop, items, plain, released, remembered, ledger, stock };
}

/** Starts a worker. @returns what it says of the table of items, a line each */
async function watched(shop: { worker(own: { log: Logger }): Promise<unknown> }) {
  const told: string[] = [];
  const write = (text: string) => {
    const { table, level, msg } = JSON.parse(text);
    if (table === 'items') told.push(`${level} ${msg}`);
  };
  await shop.worker({ log: pino({}, { write }) });
  return told;
}

it('every read of a value that is not live says that the table cannot be used, also once its catalogue was read', async () => {
  const { items, database, forget } = await open();
  await items.get('1');
  await database.query(RENAMED);
  await forget();
  for (let read = 0; read < 50; read++)
    await expect(items.get('1')).rejects.toMatchObject({ code: 'TABLE_UNUSABLE', retryable: true });
  await database.query(BACK);
  await until(
    () =>
      items.get('1').then(
        n => n === 0,
        () => false,
      ),
    'the table to be used again',
  );
});

describe('columns are renamed under load', () => {
  it('and everything else is written; then the held updates are, once and in order', async () => {
    const shop = await open();
    const { sluice, database, items, plain } = shop;
    const [miles, loyalty] = [sluice.points('miles'), sluice.points('loyalty')];
    await miles.credit('1', 10, { id: 'start' });
    const told = [await watched(shop), await watched(shop)];
    await shop.drain();
    await database.query(RENAMED);
    await database.query('ALTER TABLE users RENAME COLUMN miles TO m');

    const receipts: Receipt[] = [];
    // Each would be refused if it reached the table before the entry ahead of it.
    receipts.push(await miles.credit('1', 5, { id: 'up' }), await miles.debit('1', 15, { id: 'down' }));
    let rounds = 0;
    const send = async () => {
      receipts.push(await items.increment(`${1 + (rounds++ % 3)}`, 2));
      return Promise.all([plain.increment('k', 3), loyalty.credit('ann', 1, { id: `${rounds}` })]);
    };
    const persisted = async () => {
      for (const receipt of await send()) await receipt.persisted();
    };
    for (let batch = 0; batch < 20; batch++) await persisted();
    for (let more = 0; more < 100; more++) await send();
    await persisted();
    // A counter's key has one held row, however many batches there were.
    expect((await shop.held()).map(row => row.replace(/ .*/, ''))).toEqual(
      expect.arrayContaining(['1', '1', '1', '2', '3']),
    );
    expect(await shop.held()).toHaveLength(5);
    await expect(receipts[0]!.persisted({ timeoutMs: 1 })).rejects.toMatchObject({ code: 'PERSIST_TIMEOUT' });
    expect(await miles.credit('1', 5, { id: 'up' })).toMatchObject({ duplicate: true });
    await expect(items.get('9')).rejects.toMatchObject({ code: 'TABLE_UNUSABLE', retryable: true });
    await expect(miles.debit('2', 1, { id: 'cold' })).rejects.toMatchObject({ code: 'TABLE_UNUSABLE' });

    // verify() leaves out the unreadable tables.
    expect(await shop.verify()).toEqual({ drift: [], ledger: [] });
    // One worker may have flushed all batches: the other has nothing to tell.
    const knowing = told.filter(lines => lines.length > 0);
    expect(knowing).not.toEqual([]);
    for (const lines of knowing) expect(lines).toEqual([expect.stringMatching(AWAY)]);

    await database.query(BACK);
    await database.query('ALTER TABLE users RENAME COLUMN m TO miles');
    // It waits behind the held entries, although its table takes rows again.
    receipts.push(await miles.credit('1', 7, { id: 'after' }));
    await Promise.all(receipts.map(receipt => receipt.persisted()));
    await persisted();
    await shop.released();
    expect(await shop.quarantined()).toEqual([]);
    expect((await shop.stock()).reduce((sum, n) => sum + n)).toBe(2 * rounds);
    expect(await database.query('SELECT miles FROM users ORDER BY id')).toMatchObject([
      { miles: 7 },
      { miles: 0 },
    ]);
    const ledger = await shop.ledger();
    expect(ledger.filter(row => row.startsWith('miles'))).toEqual(
      ['start', 'up', 'down', 'after'].map(id => `miles ${id}`),
    );
    expect(ledger.filter(row => row.startsWith('loyalty'))).toEqual(
      Array.from({ length: rounds }, (_, at) => `loyalty ${at + 1}`),
    );
    await until(async () => (await items.get('9').catch(() => -1)) === 0, 'the table to be readable');
    expect(await shop.verify()).toEqual({ drift: [], ledger: [] });
    await until(() => knowing.every(lines => lines.length > 1), 'the line that the table works again');
    for (const lines of knowing)
      expect(lines).toEqual([expect.stringMatching(AWAY), expect.stringMatching(AGAIN)]);
    // No row is held any more, so flushes do not look for held rows.
    expect(await database.query('SELECT held FROM sluice_partitions')).toMatchObject([{ held: 0 }]);
  });
});

describe('a right on a table', () => {
  // On other pairings Sluice is the administrator, who keeps all rights.
  it.skipIf(inject('hostile') !== true)('is revoked and granted again', async () => {
    const other = `h${Date.now().toString(36)}`;
    const table = `${other}.things`;
    const shop = await openShop(
      { counters: { things: { target: { table, key: 'id', column: 'n' } }, plain: {} } },
      `CREATE DATABASE ${other}`,
      `CREATE TABLE ${table} (id INT PRIMARY KEY, n BIGINT NOT NULL DEFAULT 0)`,
      `INSERT INTO ${table} (id) VALUES (1)`,
    );
    const { sluice, database } = shop;
    const right = (change: string) => database.query(`${change} '${shop.name}'@'%'`);
    try {
      await shop.drain();
      await right(`REVOKE UPDATE ON ${other}.* FROM`);
      const receipt = await sluice.counter('things').increment('1', 4);
      await (await sluice.counter('plain').increment('k')).persisted();
      expect(await shop.held()).toEqual(['1 4 ER_TABLEACCESS_DENIED_ERROR']);
      await right(`GRANT UPDATE ON ${other}.* TO`);
      await receipt.persisted();
      expect(await database.query(`SELECT n FROM ${table}`)).toMatchObject([{ n: '4' }]);
    } finally {
      await database.query(`DROP DATABASE ${other}`);
    }
  });
});

describe('workers', () => {
  it('that start while the column is missing know what earlier ones held, and write everything else', async () => {
    const shop = await open();
    const { database, items, plain } = shop;
    await shop.drain();
    await shop.remembered();
    await database.query(RENAMED);
    const receipt = await items.increment('1', 5);
    await shop.drain();
    await shop.stopWorkers();
    await items.increment('1', 6);
    await items.increment('2', 7);
    await (await plain.increment('k')).value;
    await shop.drain();
    expect(await database.query('SELECT value FROM sluice_counters')).toMatchObject([{ value: '1' }]);
    expect((await shop.held()).map(row => row.replace(/ [A-Z_]+$/, ''))).toEqual(['1 11', '2 7']);
    // A mapping that never worked is a configuration error.
    const wrong = { ...definitions.counters.items.target, column: 'nn' };
    await expect(
      shop.worker({
        definitions: { ...definitions, counters: { ...definitions.counters, items: { target: wrong } } },
      }),
    ).rejects.toMatchObject({ code: 'DATABASE_UNSUITABLE' });

    await shop.stopWorkers();
    await database.query(BACK);
    await shop.worker();
    await receipt.persisted();
    await shop.released();
    expect(await shop.stock()).toEqual([11, 7, 0]);
  });

  it('use a table that was dropped and created again with another index', async () => {
    const shop = await open();
    await shop.drain();
    await shop.database.query('DROP TABLE items');
    await shop.items.increment('1', 5);
    await shop.drain();
    await shop.database.query(
      'CREATE TABLE items (n BIGINT NOT NULL DEFAULT 0, id BIGINT NOT NULL, UNIQUE KEY other (id))',
    );
    await shop.database.query('INSERT INTO items (id) VALUES (1)');
    await shop.released();
    expect(await shop.stock()).toEqual([5]);
  });
});

describe('held updates', () => {
  it('are quarantined if their table takes other rows, and hold up none of them', async () => {
    const shop = await open();
    const { database, items } = shop;
    await shop.drain();
    await database.query(
      "CREATE TRIGGER guard BEFORE UPDATE ON items FOR EACH ROW IF NEW.id = 2 THEN SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 31001; END IF",
    );
    // It is alone in its batch, so the table might fail for every row.
    await items.increment('2', 5);
    await shop.drain();
    expect(await shop.held()).toEqual(['2 5 ERRNO_31001']);
    let sent = 0;
    await until(async () => {
      await (await items.increment('1')).persisted();
      sent++;
      return (await shop.quarantined()).length > 0;
    }, 'the one row to be refused');
    expect(await shop.quarantined()).toEqual(['2 5 ERRNO_31001']);
    await shop.released();
    expect(await shop.stock()).toEqual([sent, 0, 0]);
  });

  it('of a partition whose watermark is locked keep waiting, and those of others are written', async () => {
    const shop = await open();
    const { database, items } = shop;
    await watched(shop);
    await shop.remembered();
    await database.query(RENAMED);
    await items.increment('1', 4);
    await until(async () => (await shop.held()).length === 1, 'the update to be held');
    await database.query(
      "INSERT INTO sluice_partitions (partition_id, sequence, token, epoch, updated_at) VALUES (1, 0, '', '', UTC_TIMESTAMP(3))",
    );
    await database.query(
      `INSERT INTO sluice_quarantine (partition_id, sequence, kind, name, item_key, amount, cause, error_code, payload, created_at)
       SELECT 1, sequence, kind, name, '2', amount, cause, error_code, payload, created_at FROM sluice_quarantine`,
    );
    await database.transaction(async connection => {
      await connection.query('SELECT sequence FROM sluice_partitions WHERE partition_id = 0 FOR UPDATE');
      await database.query(BACK);
      await until(async () => (await shop.stock())[1] === 4, 'the update of the other partition');
      expect(await shop.stock()).toEqual([0, 4, 0]);
    });
    await shop.released();
    expect(await shop.stock()).toEqual([4, 4, 0]);
  });

  it('can be edited and dropped, are not replayed, and are quarantined if the mended table refuses them', async () => {
    const shop = await open();
    const { database, items } = shop;
    await shop.drain();
    await shop.remembered();
    await database.query(RENAMED);
    const receipts = [];
    for (const key of ['1', '2', '3', '4']) {
      receipts.push(await items.increment(key, Number(key)));
      await shop.drain();
    }
    const failed = await shop.failed();
    try {
      const { updates } = await failed.list();
      expect(updates.map(({ key, cause }) => [key, cause])).toEqual(
        ['1', '2', '3', '4'].map(key => [key, 'held']),
      );
      const idOf = (key: string) => updates.find(update => update.key === key)!.id;
      const author = { operator: 'olga' };
      const dropped = await failed.drop({ ids: [idOf('1')] }, { ...author, reason: 'test' });
      expect(dropped.updates).toEqual({ dropped: 1 });
      const edited = await failed.edit({ ids: [idOf('2')] }, { amount: 20 }, author);
      expect(edited.updates).toEqual({ edited: 1 });
      expect((await failed.replay({ ids: [idOf('3')] }, author)).updates).toEqual({
        'refused:TARGET_UNSUITABLE': 1,
      });
    } finally {
      await failed.close();
    }
    await items.increment('2', 1);
    await shop.drain();
    // An update that an operation has taken stays as the operator saw it.
    await database.query("UPDATE sluice_quarantine SET operation = 99 WHERE item_key = '3'");
    await items.increment('3', 10);
    await shop.drain();
    expect((await shop.held()).map(row => row.replace(/ [A-Z_]+$/, ''))).toEqual([
      '2 21',
      '3 3',
      '4 4',
      '3 10',
    ]);

    await database.query(BACK);
    await until(async () => (await shop.held()).length === 1, 'all but the taken one to be written');
    expect(await shop.stock()).toEqual([0, 21, 10]);
    await database.query('UPDATE sluice_quarantine SET operation = NULL');
    await shop.released();
    expect(await shop.quarantined()).toEqual(['4 4 TARGET_ROW_MISSING']);
    await expect(receipts[3]!.persisted()).rejects.toMatchObject({ code: 'QUARANTINED' });
    expect(await shop.stock()).toEqual([0, 21, 13]);
    expect(await shop.verify()).toEqual({ drift: [], ledger: [] });
  });
});
