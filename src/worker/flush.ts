/**
 * The flush loop: claim -> commit -> ack, until little is pending or the time budget is spent.
 *
 * Invariant: a batch stays in Redis until MySQL has confirmed its commit. A worker that fails before leaves
 * the batch in flight. The next claim returns it, and the watermark tells whether it was written.
 */
import type { Logger } from 'pino';
import type { Clock } from '../shared/clock.ts';
import type { Settings } from '../shared/config/settings.ts';
import { PartitionHaltedError } from '../shared/errors.ts';
import { classifyDatabaseError, isLockWait } from '../shared/mysql/errors.ts';
import type { Aligner } from '../shared/partition/align.ts';
import type { Batch } from './batch.ts';
import type { Flight } from './flight.ts';
import type { FlushTracing } from './flush-span.ts';
import type { WorkerMetrics } from './metrics.ts';
import type { CommitResult, Seam, Store } from './store.ts';

export type FlushEnd =
  /** All updates that are left can wait for the next interval. */
  | 'drained'
  /** The time budget is spent or the worker is stopping; more updates are pending. */
  | 'more'
  /** Another flush of the partition ran before this one and timed out on a lock; the sweep retries. */
  | 'blocked';

export interface FlushParts {
  readonly flight: Flight;
  readonly store: Store;
  readonly aligner: Aligner;
  readonly metrics: WorkerMetrics;
  readonly clock: Clock;
  readonly log: Logger;
  readonly settings: Settings;
  readonly tracing?: FlushTracing | undefined;
  readonly seam?: Seam;
}

export class Flusher {
  readonly #parts: FlushParts;
  readonly #running = new Map<number, Promise<FlushEnd>>();
  readonly #blocked = new Set<number>();
  #stopping = false;
  #lastProgress: number;

  constructor(parts: FlushParts) {
    this.#parts = parts;
    this.#lastProgress = parts.clock.now();
  }

  /** Lets running batches finish and starts no other. */
  stop(): void {
    this.#stopping = true;
  }

  /** Resolves when all running flushes have ended. Never rejects. */
  async finished(): Promise<void> {
    await Promise.allSettled(this.#running.values());
  }

  isBusy(partition: number): boolean {
    return this.#running.has(partition);
  }

  /**
   * Whether the partition's last flush timed out on a lock. Each further one may take `lockWaitSeconds`, so
   * only the sweep retries, a few partitions at a time: other partitions keep the slots and connections.
   */
  isBlocked(partition: number): boolean {
    return this.#blocked.has(partition);
  }

  /** The partition was flushed, perhaps by another process: the lock is gone. */
  unblock(partition: number): void {
    this.#blocked.delete(partition);
  }

  /** Time of the last successful batch, ms of the injected clock. */
  get lastProgress(): number {
    return this.#lastProgress;
  }

  /** Flushes one partition; a second call for the same partition waits for the first. */
  async flush(partition: number): Promise<FlushEnd> {
    for (let running = this.#running.get(partition); running; running = this.#running.get(partition)) {
      await running.catch(() => {});
      if (this.#blocked.has(partition)) return 'blocked';
    }
    const run = this.#run(partition)
      .then(
        end => {
          this.#blocked.delete(partition);
          return end;
        },
        error => {
          if (isLockWait(error)) this.#blocked.add(partition);
          throw error;
        },
      )
      .finally(() => this.#running.delete(partition));
    this.#running.set(partition, run);
    return run;
  }

  async #run(partition: number): Promise<FlushEnd> {
    const { clock, settings } = this.#parts;
    const deadline = clock.now() + settings.jobBudgetMs;
    while (!this.#stopping) {
      const more = await this.#step(partition);
      this.#lastProgress = clock.now();
      if (!more) return 'drained';
      if (clock.now() >= deadline) return 'more';
    }
    return 'more';
  }

  /** One batch from claim to ack. @returns whether about a full batch is left */
  async #step(partition: number): Promise<boolean> {
    const { flight, metrics, clock, seam, settings, tracing } = this.#parts;
    const batch = await flight.claim(partition);
    if (!batch) return false;
    await seam?.('claimed');
    const started = clock.now();
    const span = await tracing?.(batch);
    const result = await this.#commit(batch).catch(error => {
      span?.fail(error);
      throw error;
    });
    span?.end(result);
    const elapsed = clock.now() - started;
    metrics.flushDuration.observe(elapsed / 1000);
    this.#report(batch, result, batch.claimedAt + elapsed);
    if (result.decision === 'stop') return true;
    const acked = await flight.ack(batch, result.outcome);
    await seam?.('acknowledged');
    if (result.decision === 'skip' && result.rewound && acked.acknowledged)
      await this.#parts.aligner.align(partition);
    // Less than a full batch waits for its own wake-up: tiny batches would coalesce nothing.
    return batch.reclaimed || batch.more
      ? acked.pendingItems > 0
      : acked.pendingItems >= Math.min(settings.batchKeys, settings.batchEntries) || wasCut(batch, settings);
  }

  async #commit(batch: Batch): Promise<CommitResult> {
    const { store, metrics, log, settings } = this.#parts;
    for (let attempt = 0; ; attempt++) {
      try {
        return await store.commit(batch, () => this.#reportRewind(batch));
      } catch (error) {
        const kind = error instanceof PartitionHaltedError ? 'halted' : classifyDatabaseError(error);
        metrics.flushErrors.inc({ class: kind });
        if (kind !== 'conflict' || isLockWait(error) || attempt >= settings.conflictRetries) throw error;
        metrics.flushRetries.inc({ class: 'conflict' });
        log.debug(
          { partition: batch.partition, sequence: batch.sequence, err: error },
          'database conflict, retrying',
        );
      }
    }
  }

  #reportRewind({ partition, sequence }: Batch): void {
    const { metrics, log } = this.#parts;
    metrics.rewinds.inc();
    log.error(
      { partition, sequence },
      'Redis went back in time: it lost acknowledged writes, and counters of this batch may count twice',
    );
  }

  #report(batch: Batch, result: CommitResult, committedAt: number): void {
    const { metrics, log } = this.#parts;
    const about = { partition: batch.partition, sequence: batch.sequence };
    if (result.decision === 'apply' || result.decision === 'rewind') {
      metrics.observeCommit(batch, result.rows, committedAt);
      if (result.late > 0) {
        metrics.lateDuplicates.inc(result.late);
        log.warn(
          { ...about, entries: result.late },
          'entries were in the ledger already; their live balances are reloaded',
        );
      }
      for (const [program, accounts] of result.belowFloor) {
        metrics.belowFloor.inc({ program }, accounts);
        log.error(
          { ...about, program, accounts },
          'debits took accounts below their floor; see "SluiceUpdatesLost" in docs/operating.md',
        );
      }
      const quarantined = result.outcome.quarantined - (result.outcome.held ?? 0);
      if (quarantined > 0) {
        log.error({ ...about, quarantined }, 'the database refused updates; they are in quarantine');
      }
    } else {
      metrics.skippedBatches.inc();
      log.info({ ...about, decision: result.decision }, 'the batch was finished before');
    }
  }
}

/** Whether the claim reached a limit, so that more of its segment may be left. */
function wasCut(batch: Batch, settings: Settings): boolean {
  return batch.counters.length >= settings.batchKeys || batch.entries.length >= settings.batchEntries;
}
