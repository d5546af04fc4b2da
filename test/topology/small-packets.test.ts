// MySQL and MariaDB with a small max_allowed_packet: every batch can be written, whatever it holds.

import { join } from 'node:path';
import { createConnection } from 'mysql2/promise';
import { beforeAll, describe, expect, it } from 'vitest';
import { startMysql, startRedis } from '../../scripts/servers.ts';
import { createProducer } from '../../src/producer/producer.ts';
import { verify } from '../../src/recovery/verify.ts';
import { openFailed } from '../../src/replay/index.ts';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { LIMITS } from '../../src/shared/limits.ts';
import { LEAST_PACKET } from '../../src/shared/mysql/statement-size.ts';
import { openTables } from '../../src/shared/values/mapping.ts';
import { cleanUp } from '../support/cleanup.ts';
import { type Engine, openEngine, until } from '../support/engine.ts';
import { temporaryFolder } from '../support/servers.ts';

const MEGABYTE = 1024 * 1024;
const definitions = {
  counters: {
    views: {},
    clicks: {},
    visits: { target: { table: 'pages', key: 'path', column: 'visits', missing: 'insert' } },
    likes: { target: { table: 'posts', key: 'path', column: 'likes', missing: 'quarantine' } },
  },
  points: { loyalty: { floor: 0 }, credits: { floor: -100 } },
} as const;
const TABLES = ['pages', 'posts'].map(
  table =>
    `CREATE TABLE ${table} (path VARBINARY(${LIMITS.key}) PRIMARY KEY, visits BIGINT NOT NULL DEFAULT 0, likes BIGINT NOT NULL DEFAULT 0)`,
);

let redisUrl: string;
beforeAll(async () => {
  const redis = await startRedis({ flavour: 'redis8', directory: join(await temporaryFolder(), 'redis') });
  cleanUp(() => redis.stop());
  redisUrl = redis.url;
});

/** A distinct key of this length whose bytes take the most room in a statement. */
const longKey = (number: number, bytes: number) => `${number}`.padEnd(bytes, '\u0001');
/** A JSON object of this length whose bytes take four times the room in a statement. */
const longMetadata = (bytes = 8192) => ({ q: '"'.repeat(Math.floor((bytes - '{"q":""}'.length) / 2)) });

describe.each(['mysql97', 'mariadb'] as const)('%s', flavour => {
  let mysqlUrl: string;
  beforeAll(async () => {
    const mysql = await startMysql({ flavour, directory: join(await temporaryFolder(), 'mysql') });
    cleanUp(() => mysql.stop());
    mysqlUrl = mysql.url;
  }, 60_000);

  /** Uses a plain client, since Sluice refuses some of these limits. */
  async function allow(packet: number) {
    const admin = await createConnection({ uri: mysqlUrl });
    await admin.query(`SET GLOBAL max_allowed_packet = ${packet}`);
    await admin.end();
  }

  async function open(packet: number) {
    await allow(packet);
    const engine = await openEngine(
      { partitions: 1, batchKeys: 50_000, batchEntries: 50_000, callTimeoutMs: 20_000 },
      { redisUrl, mysqlUrl },
    );
    cleanUp(() => allow(MEGABYTE));
    for (const table of TABLES) await engine.database.query(table);
    const { name: namespace, settings } = engine;
    const producer = { redis: redisUrl, mysql: engine.mysqlUrl, definitions, namespace, settings };
    const sluice = await createProducer(producer);
    engine.onClose(() => sluice.close());
    return { engine, sluice, producer };
  }

  /** Starts a worker only now, so that all applied updates are one batch. */
  async function drain(engine: Engine) {
    const worker = await engine.worker({}, {}, { definitions: parseDefinitions(definitions) });
    await until(async () => {
      const status = await engine.inspector.partition(0);
      return status?.pendingUpdates === 0 && status.token === '';
    }, 'drained');
    await worker.stop();
  }

  async function verified(engine: Engine) {
    const parsed = parseDefinitions(definitions);
    const { redis, database, keys, cold } = engine;
    const tables = await openTables(database, parsed);
    return verify({ redis, database, keys, definitions: parsed, tables, cold });
  }

  const sum = async ({ database }: Engine, sql: string) => {
    const [row] = await database.query(sql);
    return `${row!.items} ${row!.total}`;
  };

  it('a batch of 1,500 keys of 490 bytes is written, in own and in mapped tables', async () => {
    const { engine, sluice } = await open(MEGABYTE);
    const { database } = engine;
    const keys = Array.from({ length: 1500 }, (_, number) => longKey(number, 490));
    const rows = keys.slice(0, 800).map(key => [Buffer.from(key)]);
    for (let from = 0; from < rows.length; from += 500)
      await database.query('INSERT INTO posts (path) VALUES ?', [rows.slice(from, from + 500)]);
    await Promise.all([
      ...keys.map(key => sluice.counter('views').increment(key)),
      ...keys.slice(0, 800).map(key => sluice.counter('visits').increment(key, 2)),
      ...keys.slice(0, 800).map(key => sluice.counter('likes').increment(key, 3)),
    ]);
    await drain(engine);
    expect(await sum(engine, 'SELECT COUNT(*) AS items, SUM(value) AS total FROM sluice_counters')).toBe(
      '1500 1500',
    );
    expect(await sum(engine, 'SELECT COUNT(*) AS items, SUM(visits) AS total FROM pages')).toBe('800 1600');
    expect(await sum(engine, 'SELECT COUNT(*) AS items, SUM(likes) AS total FROM posts')).toBe('800 2400');
    // Half of these keys have rows already, which the second batch must find.
    await Promise.all(keys.slice(400, 1200).map(key => sluice.counter('visits').increment(key, 2)));
    await drain(engine);
    expect(await sum(engine, 'SELECT COUNT(*) AS items, SUM(visits) AS total FROM pages')).toBe('1200 3200');
    const many = await sluice.counter('views').getMany(keys.slice(0, 800));
    expect([...many.values()].every(value => value === 1)).toBe(true);
    expect(await verified(engine)).toMatchObject({ drift: [], ledger: [] });
  }, 60_000);

  it('entries with metadata full of quotes are written, recognised, shown and verified', async () => {
    const { engine, sluice } = await open(MEGABYTE);
    const { database, redis } = engine;
    const loyalty = sluice.points('loyalty');
    const accounts = Array.from({ length: 1000 }, (_, number) => longKey(number, LIMITS.account));
    const credit = () =>
      Promise.all(
        accounts.map(account =>
          loyalty.credit(account, 5, {
            id: longKey(1, LIMITS.id),
            reason: longKey(1, LIMITS.reason),
            metadata: longMetadata(1000),
          }),
        ),
      );
    await credit();
    await Promise.all(
      Array.from({ length: 200 }, (_, number) =>
        loyalty.credit('one', 1, {
          id: `${number}`,
          reason: longKey(1, LIMITS.reason),
          metadata: longMetadata(),
        }),
      ),
    );
    await drain(engine);
    const counted = 'SELECT COUNT(*) AS items, SUM(amount) AS total FROM sluice_entries';
    expect(await sum(engine, counted)).toBe('1200 5200');
    const history = await loyalty.history('one', { limit: 200 });
    expect(history).toHaveLength(200);
    expect(history[0]!.metadata).toEqual(longMetadata());

    // Redis forgets the ids: all entries come again, and their list is longer than a row of the journal.
    const { epoch } = await engine.watermark(0);
    await redis.del(`{${engine.name}:0}:ids`);
    await credit();
    await drain(engine);
    expect(await sum(engine, counted)).toBe('1200 5200');
    expect((await engine.watermark(0)).epoch).not.toBe(epoch);
    expect(await loyalty.balance(accounts[7]!)).toBe(5);
    expect(await verified(engine)).toMatchObject({ drift: [], ledger: [] });
    expect(await database.query('SELECT 1 FROM sluice_quarantine')).toEqual([]);
  }, 60_000);

  it('the smallest packet takes the largest items, and a smaller packet is refused', async () => {
    const { engine, sluice, producer } = await open(LEAST_PACKET);
    const { database } = engine;
    await database.query(
      "CREATE TRIGGER refuse BEFORE INSERT ON sluice_accounts FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'",
    );
    await database.query(
      "CREATE TRIGGER refuse2 BEFORE INSERT ON sluice_counters FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'",
    );
    const account = longKey(7, LIMITS.account);
    const [id, reason, metadata] = [longKey(1, LIMITS.id), longKey(2, LIMITS.reason), longMetadata()];
    await sluice.points('loyalty').credit(account, 5, { id, reason, metadata });
    await sluice.counter('views').increment(longKey(7, LIMITS.key));
    await sluice.counter('visits').increment(longKey(7, LIMITS.key));
    await drain(engine);
    expect(await database.query('SELECT 1 FROM sluice_quarantine')).toHaveLength(2);
    const failed = await openFailed(producer);
    engine.onClose(() => failed.close());
    const refused = await failed.replay({}, { operator: 'test' });
    expect(refused.updates).toEqual({ 'refused:ER_SIGNAL_EXCEPTION': 2 });
    await database.query('DROP TRIGGER refuse');
    await database.query('DROP TRIGGER refuse2');
    const worker = await engine.worker({}, {}, { definitions: parseDefinitions(definitions) });
    const edited = await failed.edit(
      { kind: 'entry' },
      { amount: 6, reason, metadata },
      { operator: 'test' },
    );
    expect(edited.updates).toEqual({ edited: 1 });
    await worker.stop();
    const replayed = await failed.replay({}, { operator: 'test' });
    expect(replayed.updates).toEqual({ replayed: 1 });
    const [entry] = await sluice.points('loyalty').history(account);
    expect(entry).toMatchObject({ id, amount: 6, balanceAfter: 6, reason, metadata });
    expect(await verified(engine)).toMatchObject({ drift: [], ledger: [] });

    await allow(LEAST_PACKET - 1024);
    const error = await createProducer(producer).then(
      () => undefined,
      caught => caught,
    );
    expect(error).toMatchObject({ code: 'DATABASE_UNSUITABLE' });
    expect(error.message).toContain(`max_allowed_packet = ${LEAST_PACKET - 1024}`);
    expect(error.message).toContain(`${LEAST_PACKET} bytes`);
    await expect(engine.worker()).rejects.toMatchObject({ code: 'DATABASE_UNSUITABLE' });
  }, 60_000);
});
