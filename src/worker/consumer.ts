/**
 * The BullMQ worker on the queue `flush`: takes wake-ups and flushes their partitions. After a failure the
 * partition backs off; after too many the job fails, so that operators see it. Failures with another cause,
 * such as an outage, do not count. The watchdog replaces the BullMQ worker if it hangs.
 */
import { Worker as BullWorker, type Job } from 'bullmq';
import type { Logger } from 'pino';
import { type Clock, within } from '../shared/clock.ts';
import type { Settings } from '../shared/config/settings.ts';
import { PartitionHaltedError } from '../shared/errors.ts';
import type { RedisConnection } from '../shared/redis/connections.ts';
import type { Keys } from '../shared/redis/keys.ts';
import { QUEUE_NAME } from '../shared/redis/layout.ts';
import { type FlushJobData, type FlushQueue, failedJobs, wake } from '../shared/redis/queue.ts';
import { WakeUps } from '../shared/redis/wake-ups.ts';
import { RepeatedLines } from '../shared/repeated.ts';
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

/** BullMQ's lock: a killed worker's job returns after about this time. The sweep flushes before. */
const LOCK_MS = 5000;
const RESTART_MS = 3000;

interface Trouble {
  /** Consecutive failures that count. */
  readonly failures: number;
  /** Ms of the injected clock. */
  readonly notBefore: number;
}

export class Consumer {
  readonly #parts: ConsumerParts;
  readonly #watchdog: Watchdog;
  readonly #lines: RepeatedLines;
  readonly #wakeUps: WakeUps;
  readonly #troubles = new Map<number, Trouble>();
  #worker: BullWorker<FlushJobData, void, 'flush'> | undefined;
  #stopping = false;

  constructor(parts: ConsumerParts) {
    this.#parts = parts;
    const { queue, circuit, settings, metrics, clock, log } = parts;
    this.#lines = new RepeatedLines(log, clock);
    this.#wakeUps = new WakeUps(queue, log);
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

  /** Takes no new job. Resolves when BullMQ has closed, which may take long after an outage. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#watchdog.stop();
    // Wake-ups that are not due yet go to other workers.
    await Promise.all([this.#worker?.close(), this.#wakeUps.close()]);
  }

  /** Leaves a running job to BullMQ's stall check. */
  async abandon(): Promise<void> {
    await this.#worker?.close(true);
  }

  /** Removes failed jobs, so that a partition has at most one, and none once it flushes again. */
  async forgetFailed(partition: number, except?: string): Promise<void> {
    for await (const job of failedJobs(this.#parts.queue)) {
      if (job.data.partition === partition && job.id !== except) await job.remove();
    }
  }

  #open(): void {
    const { redis, keys, settings } = this.#parts;
    this.#worker = new BullWorker<FlushJobData, void, 'flush'>(
      QUEUE_NAME,
      job => this.#watchdog.during(() => this.#process(job)),
      {
        connection: redis,
        prefix: keys.queuePrefix,
        concurrency: settings.concurrency,
        lockDuration: LOCK_MS,
        stalledInterval: LOCK_MS / 2,
        // A job must not fail because its workers were killed.
        maxStalledCount: 1_000_000,
      },
    );
    this.#worker.on('error', error => this.#lines.warn({ err: error }, 'BullMQ worker error'));
    this.#worker.on('failed', (job, error) => {
      if (!job) return;
      const { partition, attempts } = job.data;
      this.#lines.error(
        { partition, attempt: attempts, err: error },
        'flush job failed; its batch is safe in flight',
      );
      this.forgetFailed(partition, job.id).catch(() => {});
    });
  }

  async #process(job: FlushJob): Promise<void> {
    const { partition } = job.data;
    const { circuit, clock, flusher, queue } = this.#parts;
    // Another worker takes it.
    if (this.#stopping) return wake(queue, partition);
    // The sweep retries it; a job that waits for the lock would take a slot from other partitions.
    if (flusher.isBlocked(partition)) return;
    // A delayed wake-up is on its way.
    if ((this.#troubles.get(partition)?.notBefore ?? 0) > clock.now()) return;
    try {
      const end = await circuit.run(() => flusher.flush(partition));
      this.#troubles.delete(partition);
      if (end === 'more') await wake(queue, partition);
    } catch (error) {
      await this.#failed(job, error);
    }
  }

  /** Throws the error if the job has failed for good. */
  async #failed(job: FlushJob, error: unknown): Promise<void> {
    const { partition } = job.data;
    const { settings, circuit, metrics, random, log } = this.#parts;
    const why = retryClass(error);
    metrics.flushRetries.inc({ class: why });
    if (why === 'conflict') {
      log.warn(
        { partition, err: error },
        'the flush timed out waiting for a database lock; the sweep will retry',
      );
      return;
    }
    const before = this.#troubles.get(partition)?.failures ?? 0;
    if (why !== 'other') return this.#retryLater(partition, before, circuit.retryDelay(random));
    const failures = before + 1;
    // A quick retry of a halted partition cannot help: the sweep keeps retrying, at the cap of the backoff.
    if (error instanceof PartitionHaltedError || failures >= settings.attempts) {
      this.#troubles.delete(partition);
      await job.updateData({ partition, attempts: failures });
      throw error;
    }
    this.#lines.warn({ partition, attempt: failures, err: error }, 'flush failed and will be retried');
    this.#retryLater(
      partition,
      failures,
      backoff(failures, settings.backoffBaseMs, settings.backoffCapMs, random),
    );
  }

  #retryLater(partition: number, failures: number, ms: number): void {
    this.#troubles.set(partition, { failures, notBefore: this.#parts.clock.now() + ms });
    this.#wakeUps.after(partition, ms);
  }
}
