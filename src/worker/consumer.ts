/**
 * The BullMQ worker on the queue `flush`: takes wake-ups, flushes their partitions, and puts a job back without using up
 * an attempt where the trouble is not the job's own. The watchdog replaces it where it hangs.
 */
import { Worker as BullWorker, DelayedError, type Job, UnrecoverableError } from 'bullmq';
import type { Logger } from 'pino';
import { type Clock, within } from '../shared/clock.ts';
import { PartitionHaltedError } from '../shared/errors.ts';
import type { Keys } from '../shared/keys.ts';
import { type FlushJobData, type FlushQueue, failedJobs, QUEUE_NAME, wake } from '../shared/queue.ts';
import type { RedisConnection } from '../shared/redis.ts';
import { RepeatedLines } from '../shared/repeated.ts';
import type { Settings } from '../shared/settings.ts';
import { backoff, type Circuit, retryClass } from './circuit.ts';
import type { Flusher } from './flush.ts';
import type { WorkerMetrics } from './metrics.ts';
import { Watchdog } from './watchdog.ts';

type FlushJob = Job<FlushJobData, void, 'flush'>;

export interface ConsumerParts {
  readonly redis: RedisConnection;
  readonly keys: Keys;
  readonly queue: FlushQueue;
  readonly flusher: Flusher;
  readonly circuit: Circuit;
  readonly metrics: WorkerMetrics;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
}

/** BullMQ's lock: a killed worker's job returns after about this long; the sweep flushes its partition meanwhile. */
const LOCK_MS = 5000;
const RESTART_MS = 3000;

export class Consumer {
  readonly #parts: ConsumerParts;
  readonly #watchdog: Watchdog;
  readonly #lines: RepeatedLines;
  #worker: BullWorker<FlushJobData, void, 'flush'> | undefined;
  #stopping = false;

  constructor(parts: ConsumerParts) {
    this.#parts = parts;
    const { queue, circuit, settings, metrics, clock, log } = parts;
    this.#lines = new RepeatedLines(log, clock);
    this.#watchdog = new Watchdog({
      queue,
      circuit,
      settings,
      restarts: metrics.consumerRestarts,
      clock,
      log,
      restart: async () => {
        await within(this.#worker?.close(true) ?? Promise.resolve(), RESTART_MS);
        this.#open();
      },
    });
  }

  start(): void {
    this.#open();
    this.#watchdog.start();
  }

  /** Takes no new job. Resolves when BullMQ has said farewell, for which it may wait long after an outage. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#watchdog.stop();
    await this.#worker?.close();
  }

  /** Leaves a job at hand to BullMQ's stall check. */
  async abandon(): Promise<void> {
    await this.#worker?.close(true);
  }

  /** A partition has at most one failed job, and none once it flushes again. */
  async forgetFailed(partition: number, except?: string): Promise<void> {
    for await (const job of failedJobs(this.#parts.queue)) {
      if (job.data.partition === partition && job.id !== except) await job.remove();
    }
  }

  #open(): void {
    const { redis, keys, settings, random } = this.#parts;
    this.#worker = new BullWorker<FlushJobData, void, 'flush'>(
      QUEUE_NAME,
      (job, token) => this.#watchdog.during(() => this.#process(job, token)),
      {
        connection: redis,
        prefix: keys.queuePrefix,
        concurrency: settings.concurrency,
        lockDuration: LOCK_MS,
        stalledInterval: LOCK_MS / 2,
        // A worker that is killed again and again must not make a job fail that did nothing wrong.
        maxStalledCount: 1_000_000,
        // BullMQ's version check stays on: without it, it waits for delayed jobs in whole seconds.
        settings: {
          backoffStrategy: attempt => backoff(attempt, settings.backoffBaseMs, settings.backoffCapMs, random),
        },
      },
    );
    this.#worker.on('error', error => this.#lines.warn({ err: error }, 'BullMQ worker reports an error'));
    this.#worker.on('failed', (job, error) => {
      if (!job) return;
      const final = job.finishedOn !== undefined;
      this.#lines[final ? 'error' : 'warn'](
        { partition: job.data.partition, attempt: job.attemptsMade, err: error },
        final ? 'flush job failed; its batch is safe in flight' : 'flush job will be tried again',
      );
      if (final) this.forgetFailed(job.data.partition, job.id).catch(() => {});
    });
  }

  async #process(job: FlushJob, token: string | undefined): Promise<void> {
    const { partition } = job.data;
    const { settings, circuit, flusher, queue, metrics, random, log } = this.#parts;
    if (this.#stopping) await postpone(job, token, settings.flushIntervalMs);
    // The sweep looks after it; a job that waited for the lock too would keep a slot from other partitions.
    if (flusher.isBlocked(partition)) return;
    try {
      const end = await circuit.run(() => flusher.flush(partition));
      if (end === 'more') await wake(queue, partition, 0, settings.attempts);
    } catch (error) {
      const why = retryClass(error);
      metrics.flushRetries.inc({ class: why });
      if (why === 'conflict') {
        log.warn(
          { partition, err: error },
          'the flush waited for a lock in the database; the sweep tries again',
        );
        return;
      }
      if (why !== 'other') await postpone(job, token, circuit.retryDelay(random));
      // Trying again at once cannot help: the sweep keeps looking, at the cap of the backoff.
      if (error instanceof PartitionHaltedError) throw new UnrecoverableError(error.message);
      throw error;
    }
  }
}

/** Puts the job back without using up an attempt. */
async function postpone(job: FlushJob, token: string | undefined, delay: number): Promise<never> {
  await job.moveToDelayed(Date.now() + delay, token);
  throw new DelayedError();
}
