/**
 * A worker process's part: one BullMQ worker on the queue `flush`, the sweep, and what an operator sees.
 *
 * Boot: connect -> check both servers -> align partitions -> consume jobs and sweep.
 * Stop: take no new job -> finish the batch at hand -> close, all inside a deadline.
 */
import { Worker as BullWorker, DelayedError, type Job, UnrecoverableError } from 'bullmq';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { Aligner } from '../shared/align.ts';
import { type Clock, pause, systemClock, within } from '../shared/clock.ts';
import type { Definitions } from '../shared/definitions.ts';
import { PartitionHaltedError } from '../shared/errors.ts';
import { explain } from '../shared/explain.ts';
import { Inspector } from '../shared/inspect.ts';
import { Keys } from '../shared/keys.ts';
import { openTables } from '../shared/mapping.ts';
import { checkSchema } from '../shared/migrate.ts';
import { Database, type MysqlLocation } from '../shared/mysql.ts';
import { type FlushJobData, type FlushQueue, openQueue, QUEUE_NAME, wake } from '../shared/queue.ts';
import {
  checkRedis,
  connectRedis,
  openRedis,
  type RedisConnection,
  type RedisLocation,
  redisPlace,
} from '../shared/redis.ts';
import type { Settings } from '../shared/settings.ts';
import { backoff, Circuit, isOutage } from './circuit.ts';
import { Flight } from './flight.ts';
import { Flusher } from './flush.ts';
import type { Readiness } from './http.ts';
import { WorkerMetrics } from './metrics.ts';
import { type Seam, Store } from './store.ts';
import { Sweep } from './sweep.ts';

export interface WorkerParts {
  readonly redis: RedisLocation;
  readonly mysql: MysqlLocation;
  readonly definitions: Definitions;
  readonly namespace: string;
  readonly settings: Settings;
  readonly log: Logger;
  readonly registry?: Registry | undefined;
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly seam?: Seam;
}

/** BullMQ's lock: a killed worker's job returns after about this long; the sweep flushes its partition meanwhile. */
const LOCK_MS = 5000;
const ANSWER_MS = 1500;
const FAREWELL_MS = 3000;

export class Worker {
  readonly metrics: WorkerMetrics;
  readonly #parts: WorkerParts;
  readonly #keys: Keys;
  readonly #redis: RedisConnection;
  readonly #database: Database;
  readonly #queue: FlushQueue;
  readonly #inspector: Inspector;
  readonly #flusher: Flusher;
  readonly #circuit: Circuit;
  readonly #sweep: Sweep;
  readonly #aligner: Aligner;
  readonly #clock: Clock;
  readonly #random: () => number;
  #consumer: BullWorker<FlushJobData, void, 'flush'> | undefined;
  #stopping = false;

  private constructor(
    parts: WorkerParts,
    redis: RedisConnection,
    database: Database,
    store: (flight: Flight) => Store,
  ) {
    const { settings, log } = parts;
    this.#parts = parts;
    this.#clock = parts.clock ?? systemClock;
    this.#random = parts.random ?? Math.random;
    this.#keys = new Keys(parts.namespace, settings.partitions);
    this.#redis = redis;
    this.#database = database;
    this.#queue = openQueue(redis, this.#keys);
    this.#inspector = new Inspector(redis, this.#keys);
    this.metrics = new WorkerMetrics(parts.registry);
    this.#aligner = new Aligner(redis, database, this.#keys, log, () => this.metrics.rewinds.inc());
    this.metrics.watch({ inspector: this.#inspector, queue: this.#queue, database });
    this.#circuit = new Circuit(settings, open => {
      this.metrics.breakerOpen.set(open ? 1 : 0);
      if (open) log.warn('the database is away: flushing pauses, updates go on and coalesce in Redis');
      else log.info('the database is back: flushing goes on');
    });
    const flight = new Flight(redis, this.#keys, settings);
    this.#flusher = new Flusher({
      flight,
      store: store(flight),
      aligner: this.#aligner,
      metrics: this.metrics,
      clock: this.#clock,
      log,
      settings,
      ...(parts.seam ? { seam: parts.seam } : {}),
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
      onRecovered: partition => this.#forgetFailed(partition),
    });
  }

  /**
   * Connects, checks both servers and starts to flush.
   * @throws RedisUnavailableError, RedisUnsuitableError, DatabaseUnavailableError, DatabaseUnsuitableError,
   * NotMigratedError, NewerFormatError, PartitionCountError, AccessDeniedError, ConfigurationError
   */
  static async start(parts: WorkerParts): Promise<Worker> {
    const { settings, log } = parts;
    const redis = openRedis(parts.redis, error =>
      log.warn({ err: error }, 'Redis connection failed, reconnecting'),
    );
    const place = redisPlace(parts.redis);
    let database: Database | undefined;
    let worker: Worker | undefined;
    try {
      database = new Database(parts.mysql, { ...settings, connections: settings.concurrency * 2 + 2 });
      await connectRedis(redis, place);
      await checkSchema(database, settings.partitions, parts.namespace);
      await checkRedis(redis, new Keys(parts.namespace, settings.partitions), place);
      const tables = await openTables(database, parts.definitions);
      const opened = database;
      worker = new Worker(
        parts,
        redis,
        opened,
        flight => new Store(opened, tables, flight, settings.journalBatches, parts.seam),
      );
      await worker.#aligner.alignAll(error => log.error({ err: error }, 'partition is halted'));
      worker.#consume();
      worker.#sweep.start();
      return worker;
    } catch (error) {
      redis.disconnect();
      if (worker) await worker.#queue.close().catch(() => {});
      await database?.close().catch(() => {});
      throw explain(error, place, database?.place ?? 'MySQL');
    }
  }

  #consume(): void {
    const { settings, log } = this.#parts;
    this.#consumer = new BullWorker<FlushJobData, void, 'flush'>(
      QUEUE_NAME,
      (job, token) => this.#process(job, token),
      {
        connection: this.#redis,
        prefix: this.#keys.queuePrefix,
        concurrency: settings.concurrency,
        lockDuration: LOCK_MS,
        stalledInterval: LOCK_MS / 2,
        // A worker that is killed again and again must not make a job fail that did nothing wrong.
        maxStalledCount: 1_000_000,
        // BullMQ's version check stays on: without it, it waits for delayed jobs in whole seconds.
        settings: {
          backoffStrategy: attempt =>
            backoff(attempt, settings.backoffBaseMs, settings.backoffCapMs, this.#random),
        },
      },
    );
    this.#consumer.on('error', error => log.warn({ err: error }, 'BullMQ worker reports an error'));
    this.#consumer.on('failed', (job, error) => {
      if (!job) return;
      const final = job.finishedOn !== undefined;
      log[final ? 'error' : 'warn'](
        { partition: job.data.partition, attempt: job.attemptsMade, err: error },
        final ? 'flush job failed; its batch is safe in flight' : 'flush job will be tried again',
      );
      if (final) this.#forgetFailed(job.data.partition, job.id).catch(() => {});
    });
  }

  async #process(job: Job<FlushJobData, void, 'flush'>, token: string | undefined): Promise<void> {
    const { partition } = job.data;
    const { settings } = this.#parts;
    if (this.#stopping) await this.#postpone(job, token, settings.flushIntervalMs);
    try {
      const end = await this.#circuit.run(() => this.#flusher.flush(partition));
      if (end === 'more') await wake(this.#queue, partition, 0, settings.attempts);
    } catch (error) {
      if (isOutage(error)) await this.#postpone(job, token, this.#circuit.retryDelay(this.#random));
      // Trying again at once cannot help: the sweep keeps looking, at the cap of the backoff.
      if (error instanceof PartitionHaltedError) throw new UnrecoverableError(error.message);
      throw error;
    }
  }

  /** Puts the job back without using up an attempt. */
  async #postpone(
    job: Job<FlushJobData, void, 'flush'>,
    token: string | undefined,
    delay: number,
  ): Promise<never> {
    await job.moveToDelayed(Date.now() + delay, token);
    throw new DelayedError();
  }

  /** A partition has at most one failed job, and none once it flushes again. */
  async #forgetFailed(partition: number, except?: string): Promise<void> {
    for (const job of await this.#queue.getFailed()) {
      if (job.data.partition === partition && job.id !== except) await job.remove();
    }
  }

  /** Judged by what works now, not by what a connection believes of itself. */
  async readiness(): Promise<Readiness> {
    const [partitions, answer] = await Promise.all([
      within(this.#inspector.all(), ANSWER_MS),
      within(this.#database.query('SELECT 1'), ANSWER_MS),
    ]);
    const lagSeconds = Math.max(0, ...(partitions ?? []).map(status => status.lagSeconds));
    const stalledMs = Math.max(10_000, this.#parts.settings.stuckAfterMs * 4);
    const quiet = this.#clock.now() - this.#flusher.lastProgress > stalledMs;
    const waiting = lagSeconds * 1000 > stalledMs;
    const flushing = this.#stopping
      ? 'stopping'
      : waiting && quiet
        ? 'stalled'
        : lagSeconds > 0
          ? 'progressing'
          : 'idle';
    const redis = partitions ? 'connected' : 'disconnected';
    const database = answer ? 'connected' : 'disconnected';
    const ready =
      redis === 'connected' &&
      database === 'connected' &&
      (flushing === 'idle' || flushing === 'progressing');
    return { ready, redis, database, flushing, lagSeconds };
  }

  /**
   * Finishes the batch at hand and closes. True when it was done inside the deadline; what was not finished stays in
   * flight in Redis, for another worker.
   */
  async stop(): Promise<boolean> {
    this.#stopping = true;
    this.#flusher.stop();
    const orderly = async () => {
      const ended = Promise.all([this.#sweep.stop(), this.#consumer?.close()]);
      await this.#flusher.settled();
      // No batch is at hand any more. What is left is farewells, for which BullMQ may wait long after an outage.
      await within(ended, FAREWELL_MS);
      return true;
    };
    const inTime = await Promise.race([
      orderly(),
      pause(this.#parts.settings.shutdownDeadlineMs).then(() => false),
    ]);
    if (!inTime) await Promise.race([this.#consumer?.close(true), pause(500)]);
    await Promise.race([this.#closeConnections(), pause(1000)]);
    return inTime;
  }

  async #closeConnections(): Promise<void> {
    await this.#queue.close();
    this.#redis.disconnect();
    await this.#database.close();
  }
}
