// A mapped table that is locked or altered holds up its own updates, and others for one lock wait at most.

import { randomBytes } from 'node:crypto';
import { createConnection } from 'mysql2/promise';
import { beforeAll, describe, expect, it } from 'vitest';
import { startMysql, startRedis } from '../../scripts/servers.ts';
import { createProducer } from '../../src/producer/producer.ts';
import type { Receipt } from '../../src/producer/receipt.ts';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { parseSettings } from '../../src/shared/config/settings.ts';
import { createLog } from '../../src/shared/log.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { migrate } from '../../src/shared/mysql/migrate.ts';
import { Keys } from '../../src/shared/redis/keys.ts';
import { Worker } from '../../src/worker/worker.ts';
import { cleanUp } from '../support/cleanup.ts';
import { keyIn, until } from '../support/engine.ts';
import { temporaryFolder } from '../support/servers.ts';

const definitions = {
  counters: {
    stock: { target: { table: 'items', key: 'id', column: 'n', missing: 'insert' } },
    views: {},
  },
} as const;
const PARTITIONS = 8;
const settings = parseSettings({ partitions: PARTITIONS, lockWaitSeconds: 1 });

describe.each(['mysql97', 'mariadb'] as const)('%s', flavour => {
  let redisUrl: string;
  let mysqlUrl: string;

  beforeAll(async () => {
    const folder = await temporaryFolder();
    const [redis, mysql] = await Promise.all([
      startRedis({ flavour: 'redis8', directory: `${folder}/redis` }),
      startMysql({ flavour, directory: `${folder}/mysql` }),
    ]);
    cleanUp(async () => {
      await Promise.all([redis.discard(), mysql.discard()]);
    });
    [redisUrl, mysqlUrl] = [redis.url, mysql.url];
  });

  async function openLockable() {
    const name = `l${randomBytes(6).toString('hex')}`;
    // The ALTER may wait for as long as a test takes.
    const limits = { connections: 4, idleTransactionSeconds: 60, lockWaitSeconds: 60 };
    const admin = new Database({ url: `${mysqlUrl}/information_schema` }, limits);
    await admin.query(`CREATE DATABASE ${name}`);
    await admin.close();
    const url = `${mysqlUrl}/${name}`;
    const database = new Database({ url }, limits);
    await migrate(database, PARTITIONS);
    await database.query(
      'CREATE TABLE items (id VARBINARY(64) PRIMARY KEY, n BIGINT NOT NULL DEFAULT 0) ENGINE = InnoDB',
    );
    const keys = new Keys(name, PARTITIONS);
    const log = createLog('silent', 'stderr');
    const parts = { redis: { url: redisUrl }, mysql: { url }, namespace: name, settings, log };
    cleanUp(async () => {
      await database.close();
    });
    const locker = await createConnection(url);
    cleanUp(async () => locker.destroy());
    return {
      database,
      keys,
      locker,
      async worker() {
        const worker = await Worker.start({ ...parts, definitions: parseDefinitions(definitions) });
        cleanUp(async () => {
          await worker.stop();
        });
        return worker;
      },
      async producer() {
        const sluice = await createProducer({ ...parts, definitions });
        cleanUp(() => sluice.close());
        return sluice;
      },
      /** Number of rows held for the table. */
      async waiting() {
        return (await database.query("SELECT 1 FROM sluice_quarantine WHERE cause = 'held'")).length;
      },
    };
  }

  type Opened = Awaited<ReturnType<typeof openLockable>>;
  const locks: [string, (opened: Opened) => Promise<() => Promise<void>>][] = [
    [
      'LOCK TABLES items READ',
      async ({ locker }) => {
        await locker.query('LOCK TABLES items READ');
        return async () => {
          await locker.query('UNLOCK TABLES');
        };
      },
    ],
    [
      'LOCK TABLES items WRITE',
      async ({ locker }) => {
        await locker.query('LOCK TABLES items WRITE');
        return async () => {
          await locker.query('UNLOCK TABLES');
        };
      },
    ],
    [
      'an ALTER that waits behind a transaction',
      async ({ locker, database }) => {
        await locker.query('START TRANSACTION');
        await locker.query('SELECT COUNT(*) FROM items');
        const altered = database.query('ALTER TABLE items ADD COLUMN more INT NULL');
        await until(async () => {
          const rows = await database.query('SHOW PROCESSLIST');
          return rows.some(({ State }) => /metadata lock/i.test(String(State)));
        }, 'the ALTER to wait');
        return async () => {
          await locker.query('COMMIT');
          await altered;
        };
      },
    ],
  ];

  it.each(locks)('%s holds up its own updates only; workers and producers start', async (_, lock) => {
    const opened = await openLockable();
    const { keys, database } = opened;
    const sluice = await opened.producer();
    await opened.worker();
    const release = await lock(opened);
    const send = async (from: Awaited<ReturnType<typeof opened.producer>>, partition: number) => {
      const key = keyIn(keys, partition);
      held.push(await from.counter('stock').increment(key));
      return from.counter('views').increment(key);
    };
    const held: Receipt[] = [];
    const others = [];
    for (let partition = 0; partition < PARTITIONS; partition++) others.push(await send(sluice, partition));
    // There are more partitions than slots of a worker; the worker waits for the table once at most.
    for (const receipt of others) await receipt.persisted();
    expect(await opened.waiting()).toBe(PARTITIONS);

    const [second] = await Promise.all([opened.producer(), opened.worker()]);
    for (let round = 0; round < 3; round++) {
      for (let partition = 0; partition < PARTITIONS; partition++) {
        const started = performance.now();
        await (await send(second, partition)).persisted();
        // The second worker also waits for the table once.
        const limit = settings.stuckAfterMs + 1000 + (round === 0 ? settings.lockWaitSeconds * 1000 : 0);
        expect(performance.now() - started).toBeLessThan(limit);
      }
    }
    // Each key has one held row.
    expect(await opened.waiting()).toBe(PARTITIONS);
    await release();
    for (const receipt of held) await receipt.persisted();
    const rows = await database.query('SELECT n FROM items');
    expect(rows.map(({ n }) => String(n))).toEqual(Array.from({ length: PARTITIONS }, () => '4'));
  });

  const closed: [string, string][] = [['FLUSH TABLES WITH READ LOCK', 'UNLOCK TABLES']];
  // MariaDB cannot keep an administrator from writing, and this file connects as one.
  if (flavour === 'mysql97') closed.push(['SET GLOBAL super_read_only = 1', 'SET GLOBAL read_only = 0']);
  it.each(closed)('%s stops no process from starting', async (lock, unlock) => {
    const opened = await openLockable();
    const first = await opened.producer();
    await opened.worker();
    for (let partition = 0; partition < PARTITIONS; partition++)
      await (await first.counter('views').increment(keyIn(opened.keys, partition))).persisted();
    await opened.locker.query(lock);
    const sluice = await opened.producer();
    await opened.worker();
    const receipt = await sluice.counter('views').increment('k');
    await opened.locker.query(unlock);
    await receipt.persisted();
  });
});
