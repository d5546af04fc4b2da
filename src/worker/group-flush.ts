/**
 * Flushes the partitions of a group together: one claim each, all at once; one transaction for the plain
 * batches (together.ts); one ack each. The other batches go alone beside it, as flush.ts writes them. The
 * trouble of one partition is told to the listener and fails no other.
 */
import type { Logger } from 'pino';
import { type Clock, within } from '../shared/clock.ts';
import type { Settings } from '../shared/config/settings.ts';
import { classifyDatabaseError, isServerError } from '../shared/mysql/errors.ts';
import { Budget } from '../shared/redis/budget.ts';
import type { Batch } from './batch.ts';
import { isOutage } from './circuit.ts';
import type { CommitResult, Seam } from './commit.ts';
import type { Flight, ShortClaim } from './flight.ts';
import type { FlushTracing } from './flush-span.ts';
import type { WorkerMetrics } from './metrics.ts';
import type { Store } from './store.ts';

export interface GroupParts {
  readonly flight: Flight;
  readonly store: Store;
  readonly metrics: WorkerMetrics;
  readonly clock: Clock;
  readonly log: Logger;
  readonly settings: Settings;
  readonly tracing?: FlushTracing | undefined;
  readonly seam?: Seam;
}

export interface GroupListener {
  /** The partition could not be flushed. The servers are not away, as far as this shows. */
  failed(partition: number, error: unknown): void;
  /** A partition may have updates that nobody has been woken for: the group needs one more job. */
  wake(): void;
}

export interface GroupEnd {
  /** Whether the time budget is spent, or the worker is stopping, and more updates may be pending. */
  readonly more: boolean;
  /** Partitions that were claimed without a failure. */
  readonly flushed: ReadonlySet<number>;
}

/** What a short claim found, and when it was answered, ms of the injected clock. */
export type Claimed = ShortClaim & { readonly at: number };

/** What the group flush needs of the flush of one partition. */
export interface Member {
  readonly isStopping: () => boolean;
  /** The flush of the partition that is under way in this process. */
  readonly running: (partition: number) => Promise<unknown> | undefined;
  /** Marks the partition as busy while `use` runs. */
  readonly occupy: <Result>(partition: number, use: () => Promise<Result>) => Promise<Result>;
  /** Whether its batches must not share a transaction, since one of them made it fail lately. */
  readonly isApart: (partition: number) => boolean;
  /** Commits and acknowledges one batch alone. @returns whether it must be claimed again at once */
  readonly step: (partition: number, claimed: Claimed) => Promise<boolean>;
  /** Acknowledges a committed batch. @returns the same */
  readonly finish: (batch: Batch, result: CommitResult, since: number) => Promise<boolean>;
}

/** Partitions in one transaction: its locks must be short, and its batches fit into memory. */
const AT_ONCE = 16;

type Claims = Map<number, PromiseSettledResult<ShortClaim | undefined>>;
/** The answered claims of a round, and when they were answered. */
interface Answered {
  readonly found: Claims;
  readonly at: number;
}
type Ends = Map<number, PromiseSettledResult<boolean>>;

export class GroupFlush {
  readonly #parts: GroupParts;
  readonly #member: Member;
  /** Transactions at a time, over all groups: each takes a connection. */
  readonly #lanes: Budget;
  /** Partitions that were busy when a group was woken, and that nobody has claimed since. */
  readonly #again = new Set<number>();
  #rounds = 0;

  constructor(parts: GroupParts, member: Member) {
    this.#parts = parts;
    this.#member = member;
    this.#lanes = new Budget(parts.settings.concurrency);
  }

  /** A claim of the partition begins: it takes what any earlier wake-up was about. */
  claiming(partition: number): void {
    this.#again.delete(partition);
  }

  /**
   * Flushes the partitions until little is pending or the time budget is spent. A batch that goes alone may
   * go on after that, and then tells the listener.
   * @throws an outage of MySQL, or what made all claims fail: the cause is beyond the partitions
   */
  async flush(partitions: readonly number[], listener: GroupListener): Promise<GroupEnd> {
    const { clock, settings } = this.#parts;
    const deadline = clock.now() + settings.jobBudgetMs;
    const flushed = new Set<number>();
    const failed = new Set<number>();
    for (let more = true; more; ) {
      more = false;
      for (const some of this.#slices(partitions.filter(partition => !failed.has(partition)))) {
        if (this.#member.isStopping() || clock.now() >= deadline) return { more: true, flushed };
        const ends = await this.#round(this.#free(some, listener), deadline, listener);
        for (const [partition, end] of ends) {
          if (end.status === 'fulfilled') {
            flushed.add(partition);
            more ||= end.value;
          } else {
            if (isOutage(end.reason)) throw end.reason;
            flushed.delete(partition);
            failed.add(partition);
            listener.failed(partition, end.reason);
          }
        }
      }
    }
    return { more: false, flushed };
  }

  /** Cuts a large group into parts; which part comes first changes, so that a short budget starves none. */
  *#slices(partitions: readonly number[]): Generator<readonly number[]> {
    const count = Math.ceil(partitions.length / AT_ONCE);
    const first = this.#rounds++;
    for (let index = 0; index < count; index++) {
      const from = ((first + index) % count) * AT_ONCE;
      yield partitions.slice(from, from + AT_ONCE);
    }
  }

  /**
   * The partitions that nobody in this process is flushing. A flush of another one may have claimed before the
   * updates came that woke the group, so the group is woken once more when that flush has ended.
   */
  #free(partitions: readonly number[], listener: GroupListener): number[] {
    return partitions.filter(partition => {
      const running = this.#member.running(partition);
      if (!running) return true;
      this.#again.add(partition);
      const look = () => {
        if (this.#again.delete(partition)) listener.wake();
      };
      running.then(look, look);
      return false;
    });
  }

  /**
   * One batch of each partition. Waits for those that go alone until the deadline; the later ones tell the
   * listener.
   */
  async #round(partitions: readonly number[], deadline: number, listener: GroupListener): Promise<Ends> {
    const ends: Ends = new Map();
    if (partitions.length === 0) return ends;
    const claims = this.#claim(partitions);
    const commits = claims.then(({ found }) => this.#commit(found));
    let isOver = false;
    const parts = partitions.map(async partition => {
      const use = () => this.#part(partition, claims, commits);
      const [end] = await Promise.allSettled([this.#member.occupy(partition, use)]);
      if (!isOver) ends.set(partition, end);
      else if (end.status === 'rejected') listener.failed(partition, end.reason);
      else if (end.value) listener.wake();
    });
    commits.catch(() => {});
    await claims;
    await commits.catch(() => {});
    await within(Promise.all(parts), Math.max(1, deadline - this.#parts.clock.now()));
    isOver = true;
    return ends;
  }

  async #claim(partitions: readonly number[]): Promise<Answered> {
    const { flight, clock, seam } = this.#parts;
    for (const partition of partitions) this.claiming(partition);
    const found = await flight.claimShort(partitions);
    await seam?.('claimed');
    return { found, at: clock.now() };
  }

  /** The partition's share of a round. @returns whether it must be claimed again at once */
  async #part(
    partition: number,
    claims: Promise<Answered>,
    commits: Promise<Map<Batch, CommitResult>>,
  ): Promise<boolean> {
    const { found, at } = await claims;
    const claim = found.get(partition)!;
    if (claim.status === 'rejected') throw claim.reason;
    const { value } = claim;
    if (!value) return false;
    const result = this.#isShared(value) ? (await commits).get(value.batch) : undefined;
    if (result) return this.#member.finish(value.batch!, result, at);
    return this.#lanes.run(1, () => this.#member.step(partition, { ...value, at }));
  }

  /** Whether the batch is tried together with others. One that was in flight may be written already. */
  #isShared(claim: ShortClaim | undefined): claim is ShortClaim & { readonly batch: Batch } {
    const batch = claim?.batch;
    return batch !== undefined && !batch.reclaimed && !this.#member.isApart(batch.partition);
  }

  /** Results of the batches that were written together. @throws an outage of MySQL */
  async #commit(claims: Claims): Promise<Map<Batch, CommitResult>> {
    const values = [...claims.values()].map(claim =>
      claim.status === 'fulfilled' ? claim.value : undefined,
    );
    const batches = values.filter(claim => this.#isShared(claim)).map(({ batch }) => batch);
    if (batches.length < 2) return new Map();
    return this.#lanes
      .run(1, () => this.#commitTraced(batches))
      .catch(error => {
        const { metrics, log } = this.#parts;
        const kind = classifyDatabaseError(error);
        // A SIGNAL can have the number of an outage: whoever goes alone finds out (blame.ts).
        const isAway = isOutage(error) && !isServerError(error);
        if (isAway || kind === 'conflict') metrics.flushErrors.inc({ class: kind });
        if (isAway) throw error;
        if (kind === 'conflict') metrics.flushRetries.inc({ class: kind });
        const partitions = batches.map(({ partition }) => partition);
        log.debug({ partitions, err: error }, 'batches could not be written together and go alone');
        return new Map();
      });
  }

  async #commitTraced(batches: readonly Batch[]): Promise<Map<Batch, CommitResult>> {
    const { store, tracing } = this.#parts;
    const spans = await Promise.all(batches.map(batch => tracing?.(batch)));
    try {
      const results = await store.commitTogether(batches);
      for (const [at, batch] of batches.entries()) spans[at]?.end(results.get(batch) ?? { decision: 'stop' });
      return results;
    } catch (error) {
      for (const span of spans) span?.fail(error);
      throw error;
    }
  }
}
