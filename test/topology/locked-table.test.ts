// A user's table that somebody locks or alters: it holds up the partitions that wait for it, and nothing else.

import { randomBytes } from 'node:crypto';
import { createConnection } from 'mysql2/promise';
import { beforeAll, describe, expect, it } from 'vitest';
import { startMysql, startRedis } from '../../scripts/servers.ts';
import { createProducer } from '../../src/producer/producer.ts';
import { parseDefinitions } from '../../src/shared/definitions.ts';
import { Inspector } from '../../src/shared/inspect.ts';
import { Keys } from '../../src/shared/keys.ts';
import { createLog } from '../../src/shared/log.ts';
import { migrate } from '../../src/shared/migrate.ts';
import { Database } from '../../src/shared/mysql.ts';
import { openRedis } from '../../src/shared/redis.ts';
import { parseSettings } from '../../src/shared/settings.ts';
import { Worker } from '../../src/worker/worker.ts';
import { cleanUp } from '../support/cleanup.ts';
import { until } from '../support/engine.ts';
import { temporaryFolder } from '../support/servers.ts';

const definitions = {
  counters: {
    stock: { target: { table: 'items', key: 'id', column: 'n', missing: 'insert' } },
    views: {},
  },
} as const;
const PARTITIONS = 8;
/** More than a worker has slots, and as many as leave others. */
const LOCKED = 6;
const settings = parseSettings({ partitions: PARTITIONS, lockWaitSeconds: 1 });
/** One key of each partition. */
const keyOf = (keys: Keys, partition: number) => {
  for (let n = 0; ; n++) if (keys.partitionOf(`k${n}`) === partition) return `k${n}`;
};

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
      await Promise.all([redis.stop(), mysql.stop()]);
    });
    [redisUrl, mysqlUrl] = [redis.url, mysql.url];
  });

  async function openPlace() {
    const name = `l${randomBytes(6).toString('hex')}`;
    const limits = { connections: 4, idleTransactionSeconds: 60, lockWaitSeconds: 10 };
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
    const redis = openRedis({ url: redisUrl }, () => {});
    const log = createLog('silent', 'stderr');
    const parts = { redis: { url: redisUrl }, mysql: { url }, namespace: name, settings, log };
    cleanUp(async () => {
      redis.disconnect();
      await database.close();
    });
    const inspector = new Inspector(redis, keys);
    const locker = await createConnection(url);
    cleanUp(async () => locker.destroy());
    return {
      database,
      keys,
      inspector,
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
      /** Batches in flight of the partitions that the table holds up. */
      async blocked() {
        const statuses = await inspector.all();
        return statuses.filter(status => status.partition < LOCKED && status.inFlight > 0).length;
      },
    };
  }

  type PlaceHere = Awaited<ReturnType<typeof openPlace>>;
  const locks: [string, (place: PlaceHere) => Promise<() => Promise<void>>][] = [
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

  it.each(locks)('%s holds up its partitions only; workers and producers start', async (_, lock) => {
    const place = await openPlace();
    const { keys, database } = place;
    const sluice = await place.producer();
    await place.worker();
    const release = await lock(place);
    const held = [];
    for (let partition = 0; partition < LOCKED; partition++)
      held.push(await sluice.counter('stock').increment(keyOf(keys, partition)));
    await until(async () => (await place.blocked()) >= settings.concurrency, 'batches to wait for the table');

    // Started while every one of those watermarks is held, or about to be.
    const [second] = await Promise.all([place.producer(), place.worker()]);
    for (let partition = LOCKED; partition < PARTITIONS; partition++)
      await (await second.counter('views').increment(keyOf(keys, partition))).persisted({
        timeoutMs: 20_000,
      });
    await until(async () => (await place.blocked()) === LOCKED, 'all partitions of the table to wait');
    // By now each is known to wait, and the others lag as ever.
    for (let round = 0; round < 5; round++) {
      for (let partition = LOCKED; partition < PARTITIONS; partition++) {
        const started = performance.now();
        await (await second.counter('views').increment(keyOf(keys, partition))).persisted();
        expect(performance.now() - started).toBeLessThan(settings.stuckAfterMs + 1000);
      }
    }
    expect(await place.blocked()).toBe(LOCKED);
    await release();
    for (const receipt of held) await receipt.persisted();
    const rows = await database.query('SELECT n FROM items');
    expect(rows.map(({ n }) => String(n))).toEqual(Array.from({ length: LOCKED }, () => '1'));
  });

  const closed: [string, string][] = [['FLUSH TABLES WITH READ LOCK', 'UNLOCK TABLES']];
  // MariaDB knows nothing that keeps an administrator, as whom this file is connected, from writing.
  if (flavour === 'mysql97') closed.push(['SET GLOBAL super_read_only = 1', 'SET GLOBAL read_only = 0']);
  it.each(closed)('%s keeps nobody from starting', async (lock, unlock) => {
    const place = await openPlace();
    const first = await place.producer();
    await place.worker();
    for (let partition = 0; partition < PARTITIONS; partition++)
      await (await first.counter('views').increment(keyOf(place.keys, partition))).persisted();
    await place.locker.query(lock);
    const sluice = await place.producer();
    await place.worker();
    const receipt = await sluice.counter('views').increment('k');
    await place.locker.query(unlock);
    await receipt.persisted();
  });
});
