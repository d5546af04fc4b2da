/** An engine in this process, on the project's real servers, with a namespace and a database of its own. */
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { createProducer, type ProducerOptions } from '../../src/producer/producer.ts';
import { systemClock } from '../../src/shared/clock.ts';
import { type DefinitionsInput, parseDefinitions } from '../../src/shared/config/definitions.ts';
import { parseSettings, type Settings } from '../../src/shared/config/settings.ts';
import type { Kind } from '../../src/shared/item.ts';
import { createLog } from '../../src/shared/log.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { deploymentOf } from '../../src/shared/mysql/deployment.ts';
import { migrate } from '../../src/shared/mysql/migrate.ts';
import { Aligner } from '../../src/shared/partition/align.ts';
import { connectRedis, openRedis } from '../../src/shared/redis/connections.ts';
import { Inspector } from '../../src/shared/redis/inspect.ts';
import { Keys } from '../../src/shared/redis/keys.ts';
import type { LiveKey } from '../../src/shared/redis/live-keys.ts';
import { openQueue } from '../../src/shared/redis/queue.ts';
import { ColdReader } from '../../src/shared/values/cold-read.ts';
import { openTables } from '../../src/shared/values/mapping.ts';
import type { WorkerParts } from '../../src/worker/assembly.ts';
import type { Seam, Step } from '../../src/worker/commit.ts';
import { Credits } from '../../src/worker/credits.ts';
import { Driver } from '../../src/worker/driver.ts';
import { Expiry } from '../../src/worker/expiry.ts';
import type { SendSeam } from '../../src/worker/fenced-sends.ts';
import { Flight } from '../../src/worker/flight.ts';
import { Flusher } from '../../src/worker/flush.ts';
import { WorkerMetrics } from '../../src/worker/metrics.ts';
import { Store } from '../../src/worker/store.ts';
import { Worker } from '../../src/worker/worker.ts';
import { openAccess, type Servers } from './access.ts';
import { cleanUp } from './cleanup.ts';

export type { Servers };

export const definitions = {
  counters: { views: {}, clicks: {} },
  points: { loyalty: { floor: 0 }, credits: { floor: -100 } },
} as const satisfies DefinitionsInput;

/** Thrown by a seam: work ends here, as if the process were killed. */
export class Crash extends Error {}

export type Engine = Awaited<ReturnType<typeof openEngine>>;

/**
 * Opens an engine; everything is closed after the test, or after the file if it was opened outside a test.
 */
export async function openEngine(overrides: Partial<Settings> = {}, servers: Partial<Servers> = {}) {
  const name = `t${randomBytes(6).toString('hex')}`;
  const settings = parseSettings({ partitions: 4, ...overrides });
  const access = await openAccess(name, servers);
  const { redisUrl, mysqlUrl } = access.user;
  const openMysql = (url: string, idleTransactionSeconds = settings.idleTransactionSeconds) =>
    new Database({ url }, { ...settings, idleTransactionSeconds, connections: 10 });
  const migrator = openMysql(access.migratorUrl);
  await migrate(migrator, settings.partitions);
  await migrator.close();
  const database = openMysql(mysqlUrl);
  // A test may hold a lock for longer than a worker may.
  const adminDatabase = openMysql(access.admin.mysqlUrl, 60);

  const log = createLog((process.env.TEST_LOG as 'debug' | undefined) ?? 'silent', 'stderr');
  const keys = new Keys(name, settings.partitions);
  keys.deployment = await deploymentOf(database, name, false);
  const redis = openRedis({ url: redisUrl }, () => {}) as Redis;
  await connectRedis(redis, 'test');
  const adminRedis = access.separate.redis ? new Redis(access.admin.redisUrl) : redis;
  const tables = await openTables(database, parseDefinitions(definitions));
  const aligner = new Aligner(redis, database, keys, log, () => metrics.rewinds.inc());
  const flight = new Flight(redis, keys, settings);
  const metrics = new WorkerMetrics();
  let crashAt: Step | undefined;
  const seam: Seam = step => {
    if (step === crashAt) throw new Crash(step);
  };
  const store = new Store(database, tables, flight, settings.journalBatches, seam);
  const clock = systemClock;
  const queue = openQueue(redis, keys);
  const memory = { isOver: async () => false };
  const credits = new Credits({ redis, address: 'test', keys, settings, memory, queue, log });
  /** Sends credits at once, without a rest. A rest is needed if there are more than one page of them. */
  const driver = (seam?: SendSeam, restMs = 0) =>
    new Driver({
      ...{ database, credits, circuit: { isOpen: false }, settings, clock, random: Math.random, log },
      ...{ seam, restMs },
    });
  /** Ends holds whose time is over. */
  const expiry = (seam?: SendSeam) =>
    new Expiry({
      ...{ database, credits, circuit: { isOpen: false }, settings, clock, random: Math.random, log, seam },
    });
  const flusher = new Flusher({ flight, store, aligner, metrics, clock, log, settings, seam });
  const inspector = new Inspector(redis, keys);
  const cold = new ColdReader(redis, 'test', database, keys, tables, aligner);
  const closers: (() => Promise<unknown>)[] = [];
  cleanUp(async () => {
    for (const close of closers.reverse()) await close();
    await credits.close();
    await queue.close();
    for (const connection of [redis, adminRedis]) connection.disconnect();
    for (const connection of [database, adminDatabase]) await connection.close();
    await access.drop();
  });

  return {
    name,
    redisUrl,
    mysqlUrl,
    settings,
    /** Connections of the administrator, for what the test does itself. */
    database: adminDatabase,
    redis: adminRedis,
    /** Connections of the engine's user, for parts of the engine that a test opens. */
    own: { database, redis },
    access,
    keys,
    aligner,
    flight,
    metrics,
    store,
    flusher,
    credits,
    driver,
    expiry,
    inspector,
    tables,
    cold,
    log,
    onClose: (close: () => Promise<unknown>) => closers.push(close),
    /** Makes the loop throw Crash at this step until the next call. */
    crashAt: (step: Step | undefined) => {
      crashAt = step;
    },
    /** @param through other URLs, such as those of a proxy */
    async producer<D extends DefinitionsInput = typeof definitions>(
      through: Partial<Servers> = {},
      more: Partial<ProducerOptions<D>> = {},
    ) {
      const sluice = await createProducer<D>({
        redis: through.redisUrl ?? redisUrl,
        mysql: through.mysqlUrl ?? mysqlUrl,
        definitions: definitions as unknown as D,
        namespace: name,
        settings,
        log,
        ...more,
      });
      closers.push(() => sluice.close());
      return sluice;
    },
    async worker(
      more: Partial<Settings> = {},
      through: Partial<Servers> = {},
      parts: Partial<
        Pick<WorkerParts, 'claimDurability' | 'tracing' | 'definitions' | 'log' | 'seam' | 'redis'>
      > = {},
    ) {
      const worker = await Worker.start({
        redis: { url: through.redisUrl ?? redisUrl },
        mysql: { url: through.mysqlUrl ?? mysqlUrl },
        definitions: parseDefinitions(definitions),
        namespace: name,
        settings: { ...settings, ...more },
        log,
        ...parts,
      });
      closers.push(() => worker.stop());
      return worker;
    },
    /** Flushes every partition until nothing is pending or in flight. */
    async drain() {
      for (let partition = 0; partition < keys.partitions; partition++) {
        for (;;) {
          await flusher.flush(partition);
          const status = await inspector.partition(partition);
          if (!status || (status.pendingUpdates === 0 && status.token === '')) break;
        }
      }
    },
    /**
     * Compares a live value with the sum of MySQL, quarantine, in flight and pending, as a cold read does.
     */
    async compare(kind: Kind, counter: string, key: string) {
      const wanted: LiveKey = { kind, name: counter, key };
      return (await cold.compare(keys.partitionOf(key), [wanted]))[0]!;
    },
    async counterInMysql(counter: string, key: string): Promise<number> {
      const [row] = await adminDatabase.query(
        'SELECT value FROM sluice_counters WHERE counter = ? AND counter_key = ?',
        [Buffer.from(counter), Buffer.from(key)],
      );
      return Number(row?.value ?? 0);
    },
    async balanceInMysql(program: string, account: string): Promise<number> {
      const [row] = await adminDatabase.query(
        'SELECT balance FROM sluice_accounts WHERE program = ? AND account = ?',
        [Buffer.from(program), Buffer.from(account)],
      );
      return Number(row?.balance ?? 0);
    },
    async watermark(partition: number) {
      const [row] = await adminDatabase.query(
        'SELECT sequence, token, epoch FROM sluice_partitions WHERE partition_id = ?',
        [partition],
      );
      return { sequence: Number(row!.sequence), token: String(row!.token), epoch: String(row!.epoch) };
    },
  };
}

/** A key of the form `${prefix}N` in this partition. */
export function keyIn(keys: Keys, partition: number, prefix = 'k'): string {
  for (let n = 0; ; n++) if (keys.partitionOf(`${prefix}${n}`) === partition) return `${prefix}${n}`;
}

/** Polls until the condition holds or the limit is over. */
export async function until(
  condition: () => Promise<boolean> | boolean,
  what = 'condition',
  limitMs = 30_000,
): Promise<void> {
  const start = performance.now();
  while (!(await condition())) {
    const waited = performance.now() - start;
    if (waited > limitMs) throw new Error(`${what}: not within ${limitMs} ms`);
    // Each look costs servers and other tests some time, so a long wait looks less often.
    await new Promise(resolve => setTimeout(resolve, Math.min(50, 5 + waited / 20)));
  }
}
