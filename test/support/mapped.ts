// A database with tables of a user, and a Sluice whose definitions map into them.

import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { inject } from 'vitest';
import type { Sluice } from '../../src/producer/client.ts';
import { createProducer } from '../../src/producer/producer.ts';
import { type Verification, verify } from '../../src/recovery/verify.ts';
import { type OpenFailedUpdates, openFailed } from '../../src/replay/index.ts';
import { type DefinitionsInput, parseDefinitions } from '../../src/shared/config/definitions.ts';
import { parseSettings } from '../../src/shared/config/settings.ts';
import type { Kind } from '../../src/shared/item.ts';
import { createLog } from '../../src/shared/log.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { deploymentOf } from '../../src/shared/mysql/deployment.ts';
import { migrate } from '../../src/shared/mysql/migrate.ts';
import { Aligner } from '../../src/shared/partition/align.ts';
import { connectRedis, openRedis } from '../../src/shared/redis/connections.ts';
import { Inspector } from '../../src/shared/redis/inspect.ts';
import { Keys } from '../../src/shared/redis/keys.ts';
import { ColdReader } from '../../src/shared/values/cold-read.ts';
import type { Comparison } from '../../src/shared/values/comparison.ts';
import { openTables } from '../../src/shared/values/mapping.ts';
import type { ValueTables } from '../../src/shared/values/tables.ts';
import { Worker } from '../../src/worker/worker.ts';
import { openAccess } from './access.ts';
import { cleanUp } from './cleanup.ts';
import { until } from './engine.ts';
import { dropAllLive } from './live.ts';

/** Codes of MySQL for the refusals that docs/mapping.md explains. */
export const DATABASE_CODES = {
  range: 'ER_WARN_DATA_OUT_OF_RANGE',
  checkMysql: 'ER_CHECK_CONSTRAINT_VIOLATED',
  checkMariadb: 'ER_CONSTRAINT_FAILED',
  signal: 'ER_SIGNAL_EXCEPTION',
  partition: 'ER_NO_PARTITION_FOR_GIVEN_VALUE',
  zero: 'ER_DIVISION_BY_ZERO',
  rows: 'ER_SUBQUERY_NO_1_ROW',
  value: 'ER_TRUNCATED_WRONG_VALUE',
  table: 'ER_NO_SUCH_TABLE',
  column: 'ER_BAD_FIELD_ERROR',
  routine: 'ER_SP_DOES_NOT_EXIST',
} as const;

/** Collation under which a VARCHAR key is exact; it differs between the servers. */
export const exactCollation = () =>
  inject('mysqlFlavour') === 'mariadb' ? 'utf8mb4_nopad_bin' : 'utf8mb4_0900_bin';

/** A database with Sluice's schema and these tables; dropped after the test. */
export async function openDatabase(...tables: string[]) {
  const name = `m${randomBytes(6).toString('hex')}`;
  const limits = { connections: 10, idleTransactionSeconds: 30, lockWaitSeconds: 10 };
  const access = await openAccess(name);
  const { redisUrl, mysqlUrl: url } = access.user;
  const migrator = new Database({ url: access.migratorUrl }, limits);
  await migrate(migrator, 1);
  await migrator.close();
  /** For the administrator. */
  const database = new Database({ url: access.admin.mysqlUrl }, limits);
  /** For the engine's user. */
  const own = new Database({ url }, limits);
  for (const table of tables) await database.query(table);
  cleanUp(async () => {
    for (const connection of [database, own]) await connection.close();
    await access.drop();
  });
  return { name, url, redisUrl, database, own, access };
}

export interface Shop<D extends DefinitionsInput> {
  /** Name of the database, the namespace and the user. */
  readonly name: string;
  readonly database: Database;
  readonly sluice: Sluice<D>;
  readonly tables: ValueTables;
  /** Starts a worker if none runs, and waits until everything is in MySQL or in quarantine. */
  drain(): Promise<void>;
  /** Removes all live values, so that the next read is cold. */
  forget(): Promise<void>;
  compare(kind: Kind, name: string, key: string): Promise<Comparison>;
  /** Puts other values into Redis' hash of live values. */
  setLive(fields: Readonly<Record<string, string>>): Promise<void>;
  /** `key amount code` of each refused row, by key. */
  quarantined(): Promise<string[]>;
  /** `key amount code` of each row that is held for its table, by number. */
  held(): Promise<string[]>;
  /** Starts another worker, optionally with other definitions or another log. */
  worker(own?: { definitions?: DefinitionsInput; log?: Logger }): Promise<Worker>;
  /** Stops all workers; the next drain starts a new one. */
  stopWorkers(): Promise<void>;
  /** The operators' functions for failed updates. */
  failed(): Promise<OpenFailedUpdates>;
  /** Runs `verify` as the command does. */
  verify(): Promise<Pick<Verification, 'drift' | 'ledger'>>;
  /** Replays everything in quarantine; returns the number of updates by outcome. */
  replay(): Promise<Readonly<Record<string, number>>>;
  /** Number of failed transactions of the worker. */
  failedFlushes(): Promise<number>;
  /** Whether the worker's circuit breaker is open. */
  breakerIsOpen(): Promise<boolean>;
}

/** Opens a shop with one partition, so that all updates before the first drain are one batch. */
export async function openShop<const D extends DefinitionsInput>(
  definitions: D,
  ...statements: string[]
): Promise<Shop<D>> {
  const { name, url, redisUrl, database, own, access } = await openDatabase(...statements);
  const { counters = {}, points = {}, values = {} } = definitions;
  for (const { target } of [counters, points, values].flatMap(named => Object.values(named))) {
    const [schema, table] = target?.table.split('.') ?? [];
    if (schema && table) await access.reach(schema);
  }
  const settings = parseSettings({ partitions: 1, flushIntervalMs: 10 });
  const log = createLog('silent', 'stderr');
  const keys = new Keys(name, 1);
  keys.deployment = await deploymentOf(own, name, false);
  const parsed = parseDefinitions(definitions);
  const sluice = await createProducer({
    redis: redisUrl,
    mysql: url,
    definitions,
    namespace: name,
    settings,
    log,
  });
  const redis = openRedis({ url: redisUrl }, () => {}) as Redis;
  await connectRedis(redis, 'test');
  const tables = await openTables(own, parsed);
  const aligner = new Aligner(redis, own, keys, log);
  const cold = new ColdReader(redis, 'test', own, keys, tables, aligner);
  const inspector = new Inspector(redis, keys);
  const workers: Worker[] = [];
  const start = async (own: { definitions?: DefinitionsInput; log?: Logger } = {}) => {
    const started = await Worker.start({
      redis: { url: redisUrl },
      mysql: { url },
      definitions: own.definitions ? parseDefinitions(own.definitions) : parsed,
      namespace: name,
      settings,
      log: own.log ?? log,
    });
    workers.push(started);
    return started;
  };
  const stop = () => Promise.all(workers.splice(0).map(worker => worker.stop()));
  const rows = async (cause: 'refused' | 'held', order: string) =>
    (
      await database.query(
        `SELECT item_key, amount, error_code FROM sluice_quarantine WHERE cause = ? ORDER BY ${order}`,
        [cause],
      )
    ).map(row => `${row.item_key} ${row.amount} ${row.error_code}`);
  const failedUpdates = () =>
    openFailed({ redis: redisUrl, mysql: url, definitions, namespace: name, settings, log });
  cleanUp(async () => {
    await stop();
    await sluice.close();
    redis.disconnect();
  });
  return {
    name,
    database,
    sluice,
    tables,
    async drain() {
      if (workers.length === 0) await start();
      await until(async () => {
        const status = await inspector.partition(0);
        return status?.pendingUpdates === 0 && status.token === '';
      }, 'drained');
    },
    async forget() {
      const admin = new Redis(access.admin.redisUrl);
      await dropAllLive({ redis: admin, keys }, 0);
      admin.disconnect();
    },
    setLive: async fields => void (await redis.hset(keys.of(0, 'live:young'), fields)),
    compare: async (kind, counter, key) => (await cold.compare(0, [{ kind, name: counter, key }]))[0]!,
    quarantined: () => rows('refused', 'item_key, id'),
    held: () => rows('held', 'id'),
    worker: start,
    async stopWorkers() {
      await stop();
    },
    failed: failedUpdates,
    async verify() {
      const { drift, ledger } = await verify({
        redis,
        database: own,
        keys,
        definitions: parsed,
        tables,
        cold,
      });
      return { drift, ledger };
    },
    async replay() {
      const failed = await failedUpdates();
      const { updates } = await failed.replay({}, { operator: 'olga' });
      await failed.close();
      return updates;
    },
    async failedFlushes() {
      const { values } = (await workers[0]?.metrics.flushErrors.get()) ?? { values: [] };
      return values.reduce((sum, { value }) => sum + value, 0);
    },
    breakerIsOpen: async () => (await workers[0]?.metrics.breakerOpen.get())?.values[0]?.value === 1,
  };
}
