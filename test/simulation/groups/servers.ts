/**
 * Redis, MySQL and the queue as the flush of a group sees them: several partitions, with one update each for
 * what the other model has in detail (../redis.ts, ../mysql.ts).
 */
import { type Decision, decideStepwise } from '../../../src/shared/partition/decision.ts';
import type { Random } from '../random.ts';
import type { GroupBug } from './bugs.ts';

/** A step's name, or the condition that it waits for. */
export type Wait = string | (() => boolean);
export type Steps<Result> = Generator<Wait, Result, void>;

/** What a schedule finds wrong. */
export class Wrong extends Error {}

/** The commit was not answered: the transaction may be there or not. */
export const OUTAGE = Symbol('outage');
export const HALTED = Symbol('halted');

interface Flight {
  readonly sequence: number;
  readonly token: string;
  readonly updates: readonly string[];
}

export interface Batch extends Flight {
  readonly partition: number;
  readonly reclaimed: boolean;
}

interface Partition {
  /** In Redis. */
  pending: string[];
  flight: Flight | undefined;
  claimed: number;
  armed: boolean;
  /** In MySQL. */
  watermark: { sequence: number; token: string };
  readonly journal: Map<string, number>;
  holder: Transaction | undefined;
}

/** An open transaction; others see nothing of it before its commit. */
export interface Transaction {
  readonly owner: string;
  readonly locks: Set<number>;
  readonly written: string[];
  readonly quarantined: string[];
  readonly moves: Batch[];
  /** Partitions whose tokens were asked for once more. */
  readonly checked: Set<number>;
  isOver: boolean;
}

interface Job {
  /** Task that has it; undefined while it waits. */
  holder: object | undefined;
  /** Whether it was added again while active (`keepLastIfActive`). */
  kept: boolean;
  readonly woken: number;
}

export interface Faults {
  kill: number;
  /** Redis forgets a claim that MySQL does not have yet. */
  forget: number;
  /** A worker loses the lock of its job, and goes on. */
  stall: number;
  lostCommit: number;
  sweep: number;
}

export class Servers {
  readonly random: Random;
  readonly bug: GroupBug | undefined;
  readonly partitions: readonly Partition[];
  readonly numbers: readonly number[];
  /** Updates that MySQL refuses, and partitions that are halted. */
  readonly refused: ReadonlySet<string>;
  readonly halted: ReadonlySet<number>;
  readonly faults: Faults;
  /** By id: `group`, or the number of a partition. */
  readonly jobs = new Map<'group' | number, Job>();
  readonly failedJobs = new Set<number>();
  readonly counted = new Map<string, number>();
  readonly quarantined = new Set<string>();
  #tokens = 0;

  constructor(
    random: Random,
    count: number,
    bug: GroupBug | undefined,
    refused: ReadonlySet<string>,
    halted: ReadonlySet<number>,
    faults: Faults,
  ) {
    this.random = random;
    this.bug = bug;
    this.refused = refused;
    this.halted = halted;
    this.faults = faults;
    this.numbers = Array.from({ length: count }, (_, partition) => partition);
    this.partitions = this.numbers.map(() => ({
      pending: [],
      flight: undefined,
      claimed: 0,
      armed: false,
      watermark: { sequence: 0, token: '' },
      journal: new Map(),
      holder: undefined,
    }));
  }

  /** claim.lua */
  claim(partition: number): Batch | undefined {
    const redis = this.partitions[partition]!;
    redis.armed = false;
    if (redis.flight) return { ...redis.flight, partition, reclaimed: true };
    if (redis.pending.length === 0) return undefined;
    redis.flight = { sequence: ++redis.claimed, token: `t${++this.#tokens}`, updates: redis.pending };
    redis.pending = [];
    return { ...redis.flight, partition, reclaimed: false };
  }

  inFlight({ partition, token }: Batch): boolean {
    return this.partitions[partition]!.flight?.token === token;
  }

  /** ack.lua @returns whether updates are pending */
  ack(batch: Batch): boolean {
    const redis = this.partitions[batch.partition]!;
    if (this.inFlight(batch)) redis.flight = undefined;
    return redis.pending.length > 0;
  }

  /** Redis goes back to before the claim, and its updates are pending again. */
  forget(partition: number): void {
    const redis = this.partitions[partition]!;
    redis.pending = [...redis.flight!.updates, ...redis.pending];
    redis.flight = undefined;
    redis.claimed--;
  }

  /** Whether MySQL lacks the batch in flight, and no transaction is past its last look at the token. */
  canForget(partition: number): boolean {
    const { flight, watermark, holder } = this.partitions[partition]!;
    return flight !== undefined && watermark.token !== flight.token && !holder?.checked.has(partition);
  }

  begin(owner: string): Transaction {
    const lists = { written: [], quarantined: [], moves: [] };
    return { owner, ...lists, locks: new Set(), checked: new Set(), isOver: false };
  }

  isLocked(transaction: Transaction, partition: number): boolean {
    const { holder } = this.partitions[partition]!;
    return holder !== undefined && holder !== transaction;
  }

  lock(transaction: Transaction, partition: number): void {
    this.partitions[partition]!.holder = transaction;
    transaction.locks.add(partition);
  }

  /** decision.ts, with the answers that it asks for. */
  decide(batch: Batch): Decision {
    if (this.halted.has(batch.partition)) return 'halt-database';
    const { watermark, journal } = this.partitions[batch.partition]!;
    const steps = decideStepwise(batch, watermark);
    const facts = {
      recorded: () => journal.has(batch.token),
      inFlight: () => this.inFlight(batch),
      oldestInJournal: () => Math.min(...journal.values()),
    };
    let step = steps.next();
    while (!step.done) step = steps.next(facts[step.value]());
    return step.value;
  }

  /** @returns false if MySQL refuses an update; then nothing of the batch is written */
  write(transaction: Transaction, { updates }: Batch, careful: boolean): boolean {
    if (!careful && updates.some(update => this.refused.has(update))) return false;
    for (const update of updates)
      (this.refused.has(update) ? transaction.quarantined : transaction.written).push(update);
    return true;
  }

  /** @throws OUTAGE if the answer is lost; Wrong if an update counts twice */
  commit(transaction: Transaction): void {
    const isLost = this.faults.lostCommit > 0 && this.random.chance(0.3);
    if (isLost) this.faults.lostCommit--;
    if (!isLost || this.random.chance(0.5)) this.#apply(transaction);
    this.end(transaction);
    if (isLost) throw OUTAGE;
  }

  #apply({ written, quarantined, moves }: Transaction): void {
    for (const update of written) this.counted.set(update, (this.counted.get(update) ?? 0) + 1);
    for (const update of quarantined) this.quarantined.add(update);
    for (const { partition, sequence, token } of moves) {
      this.partitions[partition]!.watermark = { sequence, token };
      this.partitions[partition]!.journal.set(token, sequence);
    }
    for (const [update, times] of this.counted)
      if (times > 1 || this.quarantined.has(update)) throw new Wrong(`${update} counts twice`);
  }

  /** Rolls back what was not committed, and releases the locks. */
  end(transaction: Transaction): void {
    transaction.isOver = true;
    for (const { holder } of this.partitions) if (holder === transaction) this.#release(transaction);
  }

  #release(transaction: Transaction): void {
    for (const partition of this.partitions)
      if (partition.holder === transaction) partition.holder = undefined;
  }

  wake(id: 'group' | number, woken = typeof id === 'number' ? id : 0): void {
    const job = this.jobs.get(id);
    if (!job) this.jobs.set(id, { holder: undefined, kept: false, woken });
    else if (job.holder) job.kept = true;
  }

  /** Does nothing if the task has lost the job. */
  endJob(id: 'group' | number, holder: object): void {
    const job = this.jobs.get(id);
    if (job?.holder !== holder) return;
    if (job.kept) this.jobs.set(id, { holder: undefined, kept: false, woken: job.woken });
    else this.jobs.delete(id);
  }
}
