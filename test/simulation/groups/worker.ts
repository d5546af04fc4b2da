/** A worker: jobs and sweep of `Consumer` and `Sweep`, flushes of `GroupFlush`, `Together` and `Store`. */
import {
  type Batch,
  HALTED,
  OUTAGE,
  type Servers,
  type Steps,
  type Transaction,
  type Wait,
  Wrong,
} from './servers.ts';

export interface Task {
  readonly name: string;
  readonly steps: Steps<void>;
  /** What its last step waits for. */
  until: (() => boolean) | undefined;
}

/** One claim of each partition of a group, and what became of it. */
interface Round {
  /** Partitions that are still under way. */
  readonly left: Set<number>;
  /** Whether the job waits no longer: what ends later tells the listener. */
  isOver: boolean;
  more: boolean;
  readonly failed: Set<number>;
  outage: boolean;
}

/** Attempts before a partition's own job fails. */
const ATTEMPTS = 3;

export class GroupWorker {
  readonly name: string;
  readonly tasks: Task[] = [];
  readonly #servers: Servers;
  readonly #busy = new Set<number>();
  readonly #again = new Set<number>();
  /** Partitions that jobs of the group leave to their own jobs. */
  readonly #leftOut = new Set<number>();
  readonly #attempts = new Map<number, number>();
  readonly #open = new Set<Transaction>();

  constructor(name: string, servers: Servers) {
    this.name = name;
    this.#servers = servers;
  }

  isBusy(partition: number): boolean {
    return this.#busy.has(partition);
  }

  /** The process ends, and MySQL rolls its transactions back. */
  kill(): void {
    for (const transaction of this.#open) this.#servers.end(transaction);
    this.#open.clear();
    this.tasks.length = 0;
    for (const set of [this.#busy, this.#again, this.#leftOut, this.#attempts]) set.clear();
  }

  takeJob(id: 'group' | number): void {
    const job = this.#servers.jobs.get(id)!;
    job.holder = this.#start(`job ${id}`, holder =>
      id === 'group' ? this.#groupJob(holder, job.woken) : this.#ownJob(id, holder),
    );
  }

  sweep(partition: number): void {
    this.#start(`sweep ${partition}`, () => this.#sweeps(partition));
  }

  #start(name: string, use: (task: object) => Steps<void>): Task {
    const key = {};
    const task: Task = Object.assign(key, { name, steps: use(key), until: undefined });
    this.tasks.push(task);
    return task;
  }

  *#sweeps(partition: number): Steps<void> {
    try {
      yield* this.#flushOne(partition);
    } catch (error) {
      if (error instanceof Error) throw error;
      // The sweep comes again.
      this.#servers.wake(partition);
    }
  }

  /** `Consumer.#flushOne` */
  *#ownJob(partition: number, holder: object): Steps<void> {
    const servers = this.#servers;
    try {
      yield* this.#flushOne(partition);
      this.#attempts.delete(partition);
    } catch (error) {
      if (error instanceof Error) throw error;
      const attempts = (this.#attempts.get(partition) ?? 0) + 1;
      this.#attempts.set(partition, attempts);
      if (error === HALTED || attempts >= ATTEMPTS) servers.failedJobs.add(partition);
      else servers.wake(partition);
    }
    servers.endJob(partition, holder);
  }

  /** `Consumer.#flushGroup` */
  *#groupJob(holder: object, woken: number): Steps<void> {
    const servers = this.#servers;
    try {
      yield* this.#flushGroup(woken);
    } catch (error) {
      if (error instanceof Error) throw error;
      if (error !== OUTAGE) throw new Wrong('the trouble of a partition fails the job of its group');
      servers.wake('group', woken);
    }
    servers.endJob('group', holder);
  }

  /** `Consumer.#failedInGroup` */
  #failedInGroup(partition: number): void {
    this.#leftOut.add(partition);
  }

  /** Partitions whose backoff may end. */
  get waiting(): readonly number[] {
    return [...this.#leftOut];
  }

  /** The delayed wake-up of the partition is due. */
  endBackoff(partition: number): void {
    this.#leftOut.delete(partition);
    if (this.#servers.bug !== 'noOwnJob') this.#servers.wake(partition);
  }

  /** `Flusher.flush`: waits for another flush of the partition, and holds nothing meanwhile. */
  *#flushOne(partition: number): Steps<void> {
    while (this.#busy.has(partition)) yield () => !this.#busy.has(partition);
    this.#busy.add(partition);
    try {
      for (let more = true; more; ) {
        this.#again.delete(partition);
        yield 'claim';
        const batch = this.#servers.claim(partition);
        more = batch !== undefined && (yield* this.#commitAlone(batch));
      }
    } finally {
      this.#release(partition);
    }
  }

  /** The partition is free again; whoever found it busy wanted to look at it. */
  #release(partition: number): void {
    this.#busy.delete(partition);
    if (this.#again.delete(partition)) this.#servers.wake('group', partition);
  }

  /** `GroupFlush.flush` */
  *#flushGroup(woken: number): Steps<void> {
    const { numbers, bug } = this.#servers;
    const failed = new Set<number>();
    for (let more = true; more; ) {
      const able = numbers.filter(partition => !failed.has(partition) && !this.#leftOut.has(partition));
      const wanted = bug === 'onlyWoken' ? able.filter(partition => partition === woken) : able;
      const free = wanted.filter(partition => !this.#busy.has(partition));
      for (const partition of wanted)
        if (this.#busy.has(partition) && bug !== 'noAgain') this.#again.add(partition);
      for (const partition of free) this.#busy.add(partition);
      const round = { left: new Set(free), isOver: false, more: false, failed, outage: false };
      yield* this.#round(round, free);
      if (round.outage) throw OUTAGE;
      more = round.more;
    }
  }

  /** `GroupFlush.#round` */
  *#round(round: Round, partitions: readonly number[]): Steps<void> {
    const servers = this.#servers;
    const claimed: Batch[] = [];
    for (const partition of partitions) this.#again.delete(partition);
    for (const partition of partitions) {
      yield 'claim';
      const batch = servers.claim(partition);
      if (batch) claimed.push(batch);
      else this.#ended(round, partition, false);
    }
    const sharesAll = servers.bug === 'oneDecision' || servers.bug === 'unordered';
    const shared = claimed.filter(batch => !batch.reclaimed || sharesAll);
    for (const batch of claimed) if (!shared.includes(batch)) this.#goAlone(round, batch);
    let written: readonly Batch[] = [];
    try {
      written = yield* this.#commitTogether(shared);
    } catch (error) {
      if (error !== OUTAGE) throw error;
      round.outage = true;
      for (const { partition } of shared) this.#ended(round, partition, false);
      return;
    }
    for (const batch of shared) if (!written.includes(batch)) this.#goAlone(round, batch);
    for (const batch of servers.bug === 'ackAll' ? claimed : written) {
      yield 'ack';
      servers.ack(batch);
      if (written.includes(batch)) this.#ended(round, batch.partition, false);
    }
    // The time of the job may end before that of the others.
    if (servers.random.chance(0.5)) yield () => round.left.size === 0;
    round.isOver = true;
  }

  /** The partition's share of a round has ended. */
  #ended({ left, isOver }: Round, partition: number, more: boolean): void {
    left.delete(partition);
    this.#release(partition);
    if (isOver && more && this.#servers.bug !== 'noWake') this.#servers.wake('group', partition);
  }

  #goAlone(round: Round, batch: Batch): void {
    this.#start(`alone ${batch.partition}`, () => this.#alone(round, batch));
  }

  *#alone(round: Round, batch: Batch): Steps<void> {
    const { partition } = batch;
    let more = false;
    try {
      more = yield* this.#commitAlone(batch);
    } catch (error) {
      if (error instanceof Error) throw error;
      if (this.#servers.bug === 'failAll' && !round.isOver)
        throw new Wrong('the trouble of a partition fails the job of its group');
      if (error === OUTAGE && !round.isOver) round.outage = true;
      else {
        round.failed.add(partition);
        this.#failedInGroup(partition);
      }
    }
    round.more ||= more;
    this.#ended(round, partition, more);
  }

  /** `Together.commit`. @returns the batches that were written */
  *#commitTogether(shared: readonly Batch[]): Steps<readonly Batch[]> {
    const servers = this.#servers;
    const { bug } = servers;
    if (shared.length < 2) return [];
    const transaction = this.#begin();
    try {
      if (bug === 'unordered') yield* this.#lockAll(transaction, shared);
      else
        for (const { partition } of shared.toSorted((a, b) => a.partition - b.partition)) {
          yield 'lock, if it is free';
          if (!servers.isLocked(transaction, partition)) servers.lock(transaction, partition);
        }
      const locked = shared.filter(({ partition }) => transaction.locks.has(partition));
      const decisions = locked.map(batch => servers.decide(batch));
      const applied = locked.filter((_, at) => decisions[bug === 'oneDecision' ? 0 : at] === 'apply');
      yield 'write';
      const written = applied.filter(batch => servers.write(transaction, batch, false));
      if (written.length < applied.length && bug !== 'keepRefused') return [];
      if (bug === 'keepRefused')
        for (const { updates } of applied.filter(batch => !written.includes(batch)))
          transaction.written.push(...updates.filter(update => !servers.refused.has(update)));
      transaction.moves.push(...written);
      yield 'ask for the tokens';
      const asked = bug === 'oneCheck' ? written.slice(0, 1) : written;
      if (!asked.every(batch => servers.inFlight(batch))) return [];
      for (const { partition } of asked) transaction.checked.add(partition);
      yield 'commit';
      servers.commit(transaction);
      return written;
    } finally {
      this.#end(transaction);
    }
  }

  /** Only for the bug: in the order of the claims, which is that of the answers. */
  *#lockAll(transaction: Transaction, batches: readonly Batch[]): Steps<void> {
    const order = this.#servers.random.chance(0.5) ? batches : batches.toReversed();
    for (const { partition } of order) yield* this.#lock(transaction, partition);
  }

  *#lock(transaction: Transaction, partition: number): Steps<void> {
    yield 'lock';
    while (this.#servers.isLocked(transaction, partition))
      yield () => !this.#servers.isLocked(transaction, partition);
    this.#servers.lock(transaction, partition);
  }

  /** `Store.commit`, then the ack. @returns whether the partition must be claimed again */
  *#commitAlone(batch: Batch): Steps<boolean> {
    const servers = this.#servers;
    const transaction = this.#begin();
    try {
      yield* this.#lock(transaction, batch.partition);
      const decision = servers.decide(batch);
      if (decision === 'stop') return true;
      if (decision !== 'apply' && decision !== 'skip') {
        if (decision === 'rewind') throw new Wrong('MySQL has a batch that was not in flight any more');
        throw HALTED;
      }
      if (decision === 'apply') {
        yield 'write';
        servers.write(transaction, batch, true);
        transaction.moves.push(batch);
        yield 'ask for the token';
        if (!servers.inFlight(batch)) return true;
        transaction.checked.add(batch.partition);
        yield 'commit';
        servers.commit(transaction);
      }
    } finally {
      this.#end(transaction);
    }
    yield 'ack';
    const pending = servers.ack(batch);
    return batch.reclaimed && servers.bug !== 'noSecond' && pending;
  }

  #begin(): Transaction {
    const transaction = this.#servers.begin(this.name);
    this.#open.add(transaction);
    return transaction;
  }

  #end(transaction: Transaction): void {
    this.#open.delete(transaction);
    this.#servers.end(transaction);
  }
}

/** Runs the task to its next wait. @returns whether it has ended */
export function advance(task: Task): boolean {
  const { done, value } = task.steps.next();
  task.until = !done && typeof value === 'function' ? (value as Exclude<Wait, string>) : undefined;
  return done === true;
}
