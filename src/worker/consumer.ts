/**
 * The BullMQ worker on the queue `flush`: takes wake-ups and flushes their partitions. A partition that fails
 * backs off with a job of its own, and its group goes on without it; after too many failures that job fails,
 * so that operators see it. Failures with another cause, such as an outage, do not count. The watchdog
 * replaces the BullMQ worker if it hangs.
 */
import { Worker as BullWorker, type Job } from 'bullmq';
import type { Logger } from 'pino';
import { type Clock, within } from '../shared/clock.ts';
import type { Settings } from '../shared/config/settings.ts';
import { PartitionHaltedError } from '../shared/errors.ts';
import type { RedisConnection } from '../shared/redis/connections.ts';
import { Groups } from '../shared/redis/groups.ts';
import type { Keys } from '../shared/redis/keys.ts';
import { QUEUE_NAME } from '../shared/redis/layout.ts';
import {
  type FlushJobData,
  type FlushQueue,
  failedJobs,
  type WakeUp,
  wake,
  wakeUpId,
} from '../shared/redis/queue.ts';
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
  readonly #groups: Groups;
  /** By id of the wake-up: of a partition or, during an outage, of a group. */
  readonly #troubles = new Map<string, Trouble>();
  /** By id of the wake-up of a group: when its partitions were claimed last, ms of the injected clock. */
  readonly #claimedAt = new Map<string, number>();
  /** Until when jobs of groups leave a partition out whose own job has failed, ms of the injected clock. */
  readonly #givenUp = new Map<number, number>();
  #worker: BullWorker<FlushJobData, void, 'flush'> | undefined;
  #stopping = false;

  constructor(parts: ConsumerParts) {
    this.#parts = parts;
    const { redis, keys, queue, circuit, settings, metrics, clock, log } = parts;
    this.#lines = new RepeatedLines(log, clock);
    this.#wakeUps = new WakeUps(queue, log);
    this.#groups = new Groups(redis, keys);
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

  /** The partition flushes again. */
  async recovered(partition: number): Promise<void> {
    this.#givenUp.delete(partition);
    await this.forgetFailed(partition);
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
    const { partition, group } = job.data;
    const wakeUp: WakeUp = group === undefined ? { partition } : { partition, group };
    // Another worker takes it.
    if (this.#stopping) return wake(this.#parts.queue, wakeUp);
    // A delayed wake-up is on its way.
    if (this.#isTooEarly(wakeUp)) return;
    const partitions = this.#groups.partitionsOf(wakeUp);
    if (partitions.length > 1) return this.#flushGroup(wakeUp, partitions);
    return this.#flushOne(job, partitions[0]!);
  }

  #isTooEarly(wakeUp: WakeUp): boolean {
    return (this.#troubles.get(wakeUpId(wakeUp))?.notBefore ?? 0) > this.#parts.clock.now();
  }

  async #flushOne(job: FlushJob, partition: number): Promise<void> {
    const { circuit, flusher, queue } = this.#parts;
    // The sweep retries it; a job that waits for the lock would take a slot from other partitions.
    if (flusher.isBlocked(partition)) return;
    try {
      const end = await circuit.run(() => flusher.flush(partition));
      this.#flushed(partition);
      if (end === 'more') await wake(queue, { partition });
    } catch (error) {
      const failures = this.#failed(partition, error);
      if (failures === undefined) return;
      this.#troubles.delete(wakeUpId({ partition }));
      this.#leaveOut(partition);
      await job.updateData({ partition, attempts: failures });
      throw error;
    }
  }

  #flushed(partition: number): void {
    this.#troubles.delete(wakeUpId({ partition }));
    this.#givenUp.delete(partition);
  }

  /** It ends when the sweep takes the partition: somebody may have ended the cause by then. */
  #leaveOut(partition: number): void {
    const { clock, settings } = this.#parts;
    this.#givenUp.set(partition, clock.now() + settings.stuckAfterMs);
  }

  /**
   * Several producers may wake a group for one interval, each for other partitions. The first of these jobs
   * claims all, and the others would write what came in the meantime: they wait until the interval is over.
   * @returns whether the wake-up is put off; otherwise the group counts as claimed now
   */
  #putOff(wakeUp: WakeUp): boolean {
    const { clock, settings } = this.#parts;
    const now = clock.now();
    const id = wakeUpId(wakeUp);
    const since = now - (this.#claimedAt.get(id) ?? Number.NEGATIVE_INFINITY);
    if (since < settings.flushIntervalMs / 2) {
      this.#wakeUps.after(wakeUp, settings.flushIntervalMs - since);
      return true;
    }
    this.#claimedAt.set(id, now);
    return false;
  }

  async #flushGroup(wakeUp: WakeUp, partitions: readonly number[]): Promise<void> {
    const { circuit, clock, flusher, queue } = this.#parts;
    if (this.#putOff(wakeUp)) return;
    const able = partitions.filter(
      partition =>
        !flusher.isBlocked(partition) &&
        !this.#isTooEarly({ partition }) &&
        (this.#givenUp.get(partition) ?? 0) <= clock.now(),
    );
    // To flush nothing would tell the breaker that MySQL is back.
    if (able.length === 0) return;
    const listener = {
      failed: (partition: number, error: unknown) => this.#failedInGroup(partition, error),
      wake: () => this.#wakeUps.after(wakeUp, 0),
    };
    try {
      const { more, flushed } = await circuit.run(() => flusher.flushGroup(able, listener));
      this.#troubles.delete(wakeUpId(wakeUp));
      for (const partition of flushed) this.#flushed(partition);
      if (!more) return;
      this.#claimedAt.delete(wakeUpId(wakeUp));
      await wake(queue, wakeUp);
    } catch (error) {
      this.#groupFailed(wakeUp, error);
    }
  }

  /** The cause is beyond the partitions: the group's job is not to blame, and comes again. */
  #groupFailed(wakeUp: WakeUp, error: unknown): void {
    const { circuit, metrics, random } = this.#parts;
    const why = retryClass(error);
    metrics.flushRetries.inc({ class: why });
    const before = this.#troubles.get(wakeUpId(wakeUp))?.failures ?? 0;
    if (why !== 'other') {
      this.#retryLater(wakeUp, before, circuit.retryDelay(random));
      return;
    }
    const failures = before + 1;
    this.#lines.warn({ ...wakeUp, attempt: failures, err: error }, 'flush failed and will be retried');
    this.#retryLater(wakeUp, failures, this.#backoff(failures));
  }

  /** The partition gets a job of its own, which counts its attempts, and its group goes on without it. */
  #failedInGroup(partition: number, error: unknown): void {
    const failures = this.#failed(partition, error);
    if (failures === undefined) return;
    this.#leaveOut(partition);
    // That job makes this attempt once more, fails, and so shows the failure to operators.
    this.#retryLater({ partition }, failures - 1, 0);
  }

  /**
   * Arranges the retry of a partition.
   * @returns the number of failures if its job has failed for good
   */
  #failed(partition: number, error: unknown): number | undefined {
    const { settings, circuit, metrics, random, log } = this.#parts;
    const why = retryClass(error);
    metrics.flushRetries.inc({ class: why });
    if (why === 'conflict') {
      log.warn(
        { partition, err: error },
        'the flush timed out waiting for a database lock; the sweep will retry',
      );
      return undefined;
    }
    const before = this.#troubles.get(wakeUpId({ partition }))?.failures ?? 0;
    if (why !== 'other') {
      this.#retryLater({ partition }, before, circuit.retryDelay(random));
      return undefined;
    }
    const failures = before + 1;
    // A quick retry of a halted partition cannot help: the sweep keeps retrying, at the cap of the backoff.
    if (error instanceof PartitionHaltedError || failures >= settings.attempts) return failures;
    this.#lines.warn({ partition, attempt: failures, err: error }, 'flush failed and will be retried');
    this.#retryLater({ partition }, failures, this.#backoff(failures));
    return undefined;
  }

  #backoff(failures: number): number {
    const { settings, random } = this.#parts;
    return backoff(failures, settings.backoffBaseMs, settings.backoffCapMs, random);
  }

  #retryLater(wakeUp: WakeUp, failures: number, ms: number): void {
    this.#troubles.set(wakeUpId(wakeUp), { failures, notBefore: this.#parts.clock.now() + ms });
    this.#wakeUps.after(wakeUp, ms);
  }
}
