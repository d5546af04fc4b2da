/**
 * The flush loop of one partition: claim -> commit -> ack, until little is pending or the time budget is
 * spent. group-flush.ts does the same for several partitions at once.
 *
 * Invariant: a batch stays in Redis until MySQL has confirmed its commit. A worker that fails before leaves
 * the batch in flight. The next claim returns it, and the watermark tells whether it was written.
 */
import type { Settings } from '../shared/config/settings.ts';
import { PartitionHaltedError } from '../shared/errors.ts';
import { classifyDatabaseError, isLockWait } from '../shared/mysql/errors.ts';
import type { Aligner } from '../shared/partition/align.ts';
import type { Batch } from './batch.ts';
import { isOutage } from './circuit.ts';
import type { CommitResult } from './commit.ts';
import {
  type Claimed,
  type GroupEnd,
  GroupFlush,
  type GroupListener,
  type GroupParts,
} from './group-flush.ts';
import type { Outgoing } from './transfers.ts';

export type FlushEnd =
  /** All updates that are left can wait for the next interval. */
  | 'drained'
  /** The time budget is spent or the worker is stopping; more updates are pending. */
  | 'more'
  /** Another flush of the partition ran before this one and timed out on a lock; the sweep retries. */
  | 'blocked';

export interface FlushParts extends GroupParts {
  readonly aligner: Aligner;
  /** Sends the credits of transfers whose debits were just committed. It does not wait, and never throws. */
  readonly sendCredits?: ((outgoing: readonly Outgoing[]) => void) | undefined;
}

/** How long the batches of a partition share no transaction after one of them was not plain, ms. */
const APART_MS = 60_000;

export class Flusher {
  readonly #parts: FlushParts;
  readonly #group: GroupFlush;
  readonly #running = new Map<number, Promise<unknown>>();
  readonly #blocked = new Set<number>();
  /** Until when the partition's batches go alone, ms of the injected clock. */
  readonly #apart = new Map<number, number>();
  #stopping = false;
  #lastProgress: number;

  constructor(parts: FlushParts) {
    this.#parts = parts;
    this.#lastProgress = parts.clock.now();
    this.#group = new GroupFlush(parts, {
      isStopping: () => this.#stopping,
      running: partition => this.#running.get(partition),
      occupy: (partition, use) => this.#occupy(partition, use),
      isApart: partition => (this.#apart.get(partition) ?? 0) > parts.clock.now(),
      step: (partition, claimed) => this.#step(partition, claimed),
      finish: (batch, result, since) => this.#finish(batch, result, since),
    });
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
    return this.#occupy(partition, () => this.#run(partition));
  }

  /**
   * Flushes the partitions of a group. Waits for no other flush: a partition that is busy in this process is
   * left out, and the listener told when to look again. See `GroupFlush.flush`.
   */
  flushGroup(partitions: readonly number[], listener: GroupListener): Promise<GroupEnd> {
    return this.#group.flush(partitions, listener);
  }

  #occupy<Result>(partition: number, use: () => Promise<Result>): Promise<Result> {
    const run = use()
      .then(
        result => {
          this.#blocked.delete(partition);
          return result;
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
      if (!more) return 'drained';
      if (clock.now() >= deadline) return 'more';
    }
    return 'more';
  }

  /**
   * One batch from claim to ack.
   * @param claimed if it was claimed before, or its first page read
   * @returns whether about a full batch is left
   */
  async #step(partition: number, claimed?: Claimed): Promise<boolean> {
    const { flight, clock, seam, tracing } = this.#parts;
    if (!claimed?.batch) this.#group.claiming(partition);
    const batch = claimed?.batch ?? (await flight.claim(partition, claimed?.firstPage));
    if (!batch) {
      this.#lastProgress = clock.now();
      return false;
    }
    await seam?.('claimed');
    const started = claimed?.batch ? claimed.at : clock.now();
    const span = await tracing?.(batch);
    const result = await this.#commit(batch).catch(error => {
      span?.fail(error);
      if (!isOutage(error)) this.#apart.set(partition, clock.now() + APART_MS);
      throw error;
    });
    span?.end(result);
    if (!isPlain(result)) this.#apart.set(partition, clock.now() + APART_MS);
    return this.#finish(batch, result, started);
  }

  /** Reports and acknowledges. @returns whether about a full batch is left */
  async #finish(batch: Batch, result: CommitResult, started: number): Promise<boolean> {
    const { flight, metrics, clock, seam, settings } = this.#parts;
    const elapsed = clock.now() - started;
    metrics.flushDuration.observe(elapsed / 1000);
    this.#report(batch, result, batch.claimedAt + elapsed);
    this.#lastProgress = clock.now();
    if (result.decision === 'stop') return true;
    if ('outgoing' in result && result.outgoing.length > 0) this.#parts.sendCredits?.(result.outgoing);
    const acked = await flight.ack(batch, result.outcome);
    await seam?.('acknowledged');
    if (result.decision === 'skip' && result.rewound && acked.acknowledged)
      await this.#parts.aligner.align(batch.partition);
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
      metrics.observeCommit(batch, result, committedAt);
      if (result.late > 0) {
        metrics.lateDuplicates.inc(result.late);
        log.warn(
          { ...about, entries: result.late },
          'entries were in the ledger already; their live balances are reloaded',
        );
      }
      if (result.leftOut > 0)
        log.warn(
          { ...about, credits: result.leftOut },
          'credits of transfers had no open row for their account and were left out; their live balances are reloaded',
        );
      if (result.unheld > 0)
        log.warn(
          { ...about, entries: result.unheld },
          'the database had these holds or their ends already, so they were left out; their accounts are reloaded',
        );
      if (result.aside > 0)
        log.error(
          { ...about, credits: result.aside },
          'the database refused credits of transfers; the transfers are aside, for "sluice transfers"',
        );
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

/** Whether the batch had nothing that makes a transaction for several partitions fail. */
function isPlain(result: CommitResult): boolean {
  if (result.decision === 'stop' || result.decision === 'skip') return true;
  return result.outcome.quarantined + result.late + result.aside + result.leftOut + result.unheld === 0;
}

/** Whether the claim reached a limit, so that more of its segment may be left. */
function wasCut(batch: Batch, settings: Settings): boolean {
  return batch.counters.length >= settings.batchKeys || batch.entries.length >= settings.batchEntries;
}
