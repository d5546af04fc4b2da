/**
 * A worker process's part: one BullMQ worker on the queue `flush`, the sweep, and what an operator sees.
 *
 * Boot: wait for both servers -> check them -> align partitions -> consume jobs and sweep.
 * Stop: take no new job -> finish the batch at hand -> close, all inside a deadline.
 */
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { Aligner } from '../shared/align.ts';
import { Barrier } from '../shared/barrier.ts';
import { type Clock, pause, systemClock, within } from '../shared/clock.ts';
import { ColdReader } from '../shared/cold-read.ts';
import type { Definitions } from '../shared/definitions.ts';
import type { ClaimDurability } from '../shared/durability.ts';
import { explain } from '../shared/explain.ts';
import { Inspector } from '../shared/inspect.ts';
import { Keys, SHOWN_KINDS } from '../shared/keys.ts';
import { Database } from '../shared/mysql.ts';
import type { MysqlLocation } from '../shared/mysql-url.ts';
import { Primaries } from '../shared/primaries.ts';
import { type FlushQueue, openQueue } from '../shared/queue.ts';
import { openRedis, type RedisConnection } from '../shared/redis.ts';
import { type RedisLocation, redisPlace } from '../shared/redis-url.ts';
import { RepeatedLines } from '../shared/repeated.ts';
import type { Settings } from '../shared/settings.ts';
import { checkServers } from '../shared/start-checks.ts';
import { type StartWait, whenReachable } from '../shared/start-wait.ts';
import type { ValueTables } from '../shared/tables.ts';
import { loadOpenTelemetry } from '../shared/tracing.ts';
import { Circuit, tellOfCircuit } from './circuit.ts';
import { ClaimBarrier } from './claim-barrier.ts';
import { Consumer } from './consumer.ts';
import { Flight } from './flight.ts';
import { Flusher } from './flush.ts';
import { type FlushTracing, flushTracing } from './flush-span.ts';
import type { Readiness } from './http.ts';
import { WorkerMetrics } from './metrics.ts';
import { readinessJudge } from './readiness.ts';
import { Releaser } from './releaser.ts';
import { type Seam, Store } from './store.ts';
import { Sweep } from './sweep.ts';
import { watchSystem } from './system-metrics.ts';
import { TableHealth } from './table-health.ts';
import { Verifier } from './verifier.ts';

export interface WorkerParts {
  readonly redis: RedisLocation;
  readonly mysql: MysqlLocation;
  readonly definitions: Definitions;
  readonly namespace: string;
  readonly settings: Settings;
  /** What a claim waits for before its batch is written; `auto` by default: a replica where there is one. */
  readonly claimDurability?: ClaimDurability;
  readonly log: Logger;
  /** Gives batches with sampled calls in them a span; off by default. */
  readonly tracing?: boolean | undefined;
  readonly registry?: Registry | undefined;
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly seam?: Seam;
}

const FAREWELL_MS = 3000;

export class Worker {
  readonly metrics: WorkerMetrics;
  readonly #parts: WorkerParts;
  readonly #keys: Keys;
  readonly #redis: RedisConnection;
  readonly #database: Database;
  readonly #queue: FlushQueue;
  readonly #primaries: Primaries;
  readonly #barrier: Barrier;
  readonly #claimBarrier: ClaimBarrier;
  readonly #inspector: Inspector;
  readonly #flusher: Flusher;
  readonly #circuit: Circuit;
  readonly #sweep: Sweep;
  readonly #consumer: Consumer;
  readonly #aligner: Aligner;
  #verifier: Verifier | undefined;
  #releaser: Releaser | undefined;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #judge: (isStopping: boolean) => Promise<Readiness>;
  #stopping = false;

  private constructor(
    parts: WorkerParts,
    keys: Keys,
    redis: RedisConnection,
    database: Database,
    store: (flight: Flight) => Store,
    tracing: FlushTracing | undefined,
  ) {
    const { settings, log } = parts;
    this.#parts = parts;
    this.#clock = parts.clock ?? systemClock;
    this.#random = parts.random ?? Math.random;
    this.#keys = keys;
    this.#redis = redis;
    this.#database = database;
    this.#queue = openQueue(redis, this.#keys);
    this.#inspector = new Inspector(redis, this.#keys);
    this.metrics = new WorkerMetrics(parts.registry);
    for (const program of Object.keys(parts.definitions.points)) this.metrics.belowFloor.inc({ program }, 0);
    this.#aligner = new Aligner(redis, database, this.#keys, log, () => this.metrics.rewinds.inc());
    this.#circuit = new Circuit(settings, (open, cause) => {
      this.metrics.breakerOpen.set(open ? 1 : 0);
      tellOfCircuit(log, open, cause);
    });
    const place = redisPlace(parts.redis);
    this.#primaries = new Primaries(redis, this.#keys);
    this.#barrier = new Barrier(this.#primaries, settings.barrierReplicas);
    this.#claimBarrier = new ClaimBarrier({
      redis,
      place,
      barrier: this.#barrier,
      asked: parts.claimDurability ?? 'auto',
      replicas: settings.barrierReplicas,
      timeoutMs: settings.barrierTimeoutMs,
      clock: this.#clock,
      log,
      onDurability: durability => {
        this.metrics.claimDurability.reset();
        this.metrics.claimDurability.set({ durability }, 1);
      },
      onUnconfirmed: () => this.metrics.claimsUnconfirmed.inc(),
    });
    const flight = new Flight(redis, this.#keys, settings, this.#claimBarrier);
    this.#flusher = new Flusher({
      flight,
      store: store(flight),
      aligner: this.#aligner,
      metrics: this.metrics,
      clock: this.#clock,
      log,
      settings,
      tracing,
      ...(parts.seam ? { seam: parts.seam } : {}),
    });
    this.#consumer = new Consumer({
      redis,
      keys: this.#keys,
      queue: this.#queue,
      flusher: this.#flusher,
      circuit: this.#circuit,
      metrics: this.metrics,
      settings,
      clock: this.#clock,
      random: this.#random,
      log,
    });
    this.#sweep = new Sweep({
      inspector: this.#inspector,
      flusher: this.#flusher,
      circuit: this.#circuit,
      aligner: this.#aligner,
      flight,
      database,
      settings,
      clock: this.#clock,
      random: this.#random,
      log,
      onRecovered: partition => this.#consumer.forgetFailed(partition),
    });
    const [inspector, flusher] = [this.#inspector, this.#flusher];
    this.#judge = readinessJudge({ inspector, database, flusher, clock: this.#clock, settings });
  }

  /**
   * Waits for both servers, at most `startWaitMs`, checks them and starts to flush.
   * @throws RedisUnavailableError, RedisUnsuitableError, DatabaseUnavailableError, DatabaseUnsuitableError,
   * NotMigratedError, NewerFormatError, PartitionCountError, AccessDeniedError, TlsFailedError, ConfigurationError
   */
  static async start(parts: WorkerParts, onWait?: StartWait['onWait']): Promise<Worker> {
    const { settings, log, random } = parts;
    const { worker, tables, place } = await whenReachable(() => Worker.#connect(parts), {
      waitMs: settings.startWaitMs,
      log,
      ...(random ? { random } : {}),
      ...(onWait ? { onWait } : {}),
    });
    worker.#watch();
    worker.#consumer.start();
    worker.#sweep.start();
    worker.#releaser?.start();
    worker.#verify(tables, place);
    return worker;
  }

  static async #connect(parts: WorkerParts) {
    const { settings, log } = parts;
    const lines = new RepeatedLines(log, parts.clock);
    // Until then the start itself says what it waits for.
    let isConnected = false;
    const redis = openRedis(parts.redis, error => {
      if (isConnected) lines.warn({ err: error }, 'Redis connection failed, reconnecting');
      else log.debug({ err: error }, 'Redis connection failed');
    });
    const place = redisPlace(parts.redis);
    let database: Database | undefined;
    let worker: Worker | undefined;
    try {
      const limits = { ...settings, connections: settings.concurrency * 2 + 3 };
      database = new Database(parts.mysql, limits, (from, to) => {
        log.warn({ from, to }, 'another host of MYSQL_URL takes writes now');
        if (worker) worker.#circuit.close();
      });
      const keys = new Keys(parts.namespace, settings.partitions);
      const health = new TableHealth(log);
      const tables = await checkServers({ redis, place, database, keys }, parts.definitions, {
        onUndefined: (kind, name) =>
          log.warn(
            { kind: SHOWN_KINDS[kind], name },
            "this worker's definitions lack a name that is in use, so its values are taken to be in the tables of Sluice; if it is mapped, restart the worker with the definitions of the producers",
          ),
        onUnfit: (table, error) => health.failed(table, error),
      });
      const tracing = parts.tracing ? flushTracing(redis, keys, await loadOpenTelemetry()) : undefined;
      const opened = database;
      const store = (flight: Flight) =>
        new Store(opened, tables, flight, settings.journalBatches, parts.seam, undefined, health);
      worker = new Worker(parts, keys, redis, opened, store, tracing);
      await worker.#claimBarrier.check();
      await worker.#aligner.alignAtStart((partition, error) =>
        log.error({ partition, err: error }, 'partition could not be aligned'),
      );
      isConnected = true;
      worker.#releaser = new Releaser({
        database,
        tables,
        definitions: parts.definitions,
        health,
        circuit: worker.#circuit,
        random: worker.#random,
        log,
      });
      return { worker, tables, place };
    } catch (error) {
      redis.disconnect();
      if (worker) await worker.#queue.close().catch(() => {});
      await database?.close().catch(() => {});
      throw explain(error, place, database?.place ?? 'MySQL');
    }
  }

  /** Only once connected: a registry keeps what reads the servers for its gauges. */
  #watch(): void {
    watchSystem(this.metrics.registry, {
      redis: this.#redis,
      primaries: this.#primaries,
      keys: this.#keys,
      definitions: this.#parts.definitions,
      inspector: this.#inspector,
      queue: this.#queue,
      database: this.#database,
    });
  }

  #verify(tables: ValueTables, place: string): void {
    const { settings, log } = this.#parts;
    const [redis, database, keys, aligner] = [this.#redis, this.#database, this.#keys, this.#aligner];
    const cold = new ColdReader(redis, place, database, keys, tables, aligner, settings.liveTtlMs);
    const [circuit, metrics, random] = [this.#circuit, this.metrics, this.#random];
    this.#verifier = new Verifier({ redis, keys, tables, cold, circuit, metrics, settings, random, log });
    this.#verifier.start();
  }

  readiness(): Promise<Readiness> {
    return this.#judge(this.#stopping);
  }

  /**
   * Finishes the batch at hand and closes. True when it was done inside the deadline; what was not finished stays in
   * flight in Redis, for another worker.
   */
  async stop(): Promise<boolean> {
    this.#stopping = true;
    this.#flusher.stop();
    const orderly = async () => {
      const rounds = [this.#sweep.stop(), this.#verifier?.stop(), this.#releaser?.stop()];
      const ended = Promise.all([...rounds, this.#consumer.stop()]);
      await this.#flusher.settled();
      // No batch is at hand any more. What is left is farewells, for which BullMQ may wait long after an outage.
      await within(ended, FAREWELL_MS);
      return true;
    };
    const inTime = await Promise.race([
      orderly(),
      pause(this.#parts.settings.shutdownDeadlineMs).then(() => false),
    ]);
    if (!inTime) await Promise.race([this.#consumer.abandon(), pause(500)]);
    await Promise.race([this.#closeConnections(), pause(1000)]);
    return inTime;
  }

  async #closeConnections(): Promise<void> {
    this.#barrier.close();
    await this.#queue.close();
    this.#redis.disconnect();
    await this.#database.close();
  }
}
