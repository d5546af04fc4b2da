/** Both partitions in Redis and MySQL, their faults, and how processes ask them, one step at a time. */
import type { Random } from '../random.ts';
import { OUTAGE, type Steps } from '../steps.ts';
import type { TransferBug } from './bugs.ts';
import { type Mood, Tables, Transaction, type Watermark } from './mysql.ts';
import { type Batch, type Entry, Redis } from './redis.ts';

/** Accounts by partition, with what they have at first. */
export const ACCOUNTS: readonly Readonly<Record<string, number>>[] = [
  { a: 5, c: 2 },
  { b: 1, d: 0 },
];
export const PARTITIONS = [0, 1] as const;

export function partitionOf(account: string): number {
  return account in ACCOUNTS[0]! ? 0 : 1;
}

export class World {
  readonly random: Random;
  readonly bug: TransferBug | undefined;
  readonly redis: Redis[] = PARTITIONS.map(() => new Redis());
  readonly replicas: Redis[];
  tables = new Tables();
  backup: Tables | undefined;
  readonly moods: { credits: Mood; debits: Mood }[] = PARTITIONS.map(() => ({
    credits: 'takes',
    debits: 'takes',
  }));
  /** Claims are on the replica before a batch is written. */
  readonly hasBarrier: boolean;
  /** Each commit of a destination comes between what the sweep reads and what it sends. */
  readonly isCrowded: boolean;
  /** Updates that still come then. */
  crowd = 0;
  /** Operations that may still begin before the calm. */
  operations = 0;
  /** Faults and new updates have ended. */
  isCalm = false;
  /** Called after each commit. */
  onCommit = () => {};
  /** Debits below the floor may follow from what happened. */
  mayFall = false;
  /** Ids of updates that were accepted and must reach the ledger. */
  readonly accepted = new Map<string, string>();
  /** A credit of these may count although its row is gone: MySQL was restored before the partition noticed. */
  readonly excused = new Set<Entry>();
  /** Partitions that have not begun a new epoch since MySQL was restored. */
  readonly stale = new Set<number>();
  readonly #holders = new Map<number, Transaction>();
  readonly #open = new Set<Transaction>();
  #numbers = 0;

  constructor(random: Random, bug: TransferBug | undefined, hasBarrier: boolean, isCrowded: boolean) {
    this.random = random;
    this.bug = bug;
    this.hasBarrier = hasBarrier;
    this.isCrowded = isCrowded;
    if (!isCrowded && random.chance(0.2)) this.setMood(random.pick(PARTITIONS), { credits: 'refuses' });
    for (const partition of PARTITIONS) {
      this.tables.watermarks.push({ sequence: 0, token: '', epoch: 'e0' });
      this.tables.journals.push(new Map());
      for (const [account, balance] of Object.entries(ACCOUNTS[partition]!)) {
        this.tables.balances.set(account, balance);
        if (random.chance(0.8)) this.redis[partition]!.live.set(account, balance);
      }
    }
    this.replicas = this.redis.map(redis => redis.copy());
  }

  /** A name that was never used. */
  fresh(kind: string): string {
    return `${kind}${++this.#numbers}`;
  }

  newRow(): number {
    return ++this.#numbers;
  }

  setMood(partition: number, mood: { credits?: Mood; debits?: Mood }): void {
    Object.assign(this.moods[partition]!, mood);
    this.mayFall = true;
  }

  watermark(partition: number): Watermark {
    return this.tables.watermarks[partition]!;
  }

  /** Runs steps in one transaction, which is rolled back if its process dies. */
  *transaction<Result>(
    steps: (transaction: Transaction) => Steps<Result | undefined>,
  ): Steps<Result | undefined> {
    const transaction = new Transaction(() => this.tables);
    this.#open.add(transaction);
    try {
      const result = yield* steps(transaction);
      if (result !== undefined && transaction.changes.length > 0)
        yield { name: 'commit', run: () => this.#commit(transaction), isCommit: true };
      return result;
    } finally {
      this.#end(transaction);
    }
  }

  *lock(transaction: Transaction, partition: number): Steps<void> {
    yield {
      name: `lock ${partition}`,
      until: () => !this.#holders.has(partition),
      run: () => {
        this.#check(transaction);
        this.#holders.set(partition, transaction);
        transaction.locks.add(partition);
      },
    };
  }

  isLocked(partition: number): boolean {
    return this.#holders.has(partition);
  }

  /** A statement of a transaction. */
  *statement<Answer>(transaction: Transaction, name: string, run: () => Answer): Steps<Answer> {
    return yield {
      name,
      run: () => {
        this.#check(transaction);
        return run();
      },
    };
  }

  #check(transaction: Transaction): void {
    if (!this.#open.has(transaction)) throw OUTAGE;
  }

  #commit(transaction: Transaction): void {
    this.#check(transaction);
    for (const change of transaction.changes) change(this.tables);
    this.#end(transaction);
    this.onCommit();
  }

  #end(transaction: Transaction): void {
    this.#open.delete(transaction);
    for (const partition of transaction.locks)
      if (this.#holders.get(partition) === transaction) this.#holders.delete(partition);
  }

  /** One statement by itself. */
  autocommit(change: (tables: Tables) => void): void {
    change(this.tables);
    this.onCommit();
  }

  rewind(claimed: Batch, { partition, sequence, epoch }: Batch): boolean {
    const isRewound = this.redis[partition]!.rewind(claimed, sequence, epoch);
    if (isRewound) this.stale.delete(partition);
    return isRewound;
  }

  adopt(partition: number, seen: string, epoch: string, sequence: number): boolean {
    const isAdopted = this.redis[partition]!.adopt(seen, epoch, sequence);
    if (isAdopted) this.stale.delete(partition);
    return isAdopted;
  }

  /** Both sides at once: the other model has the steps of it. */
  recover(partition: number): void {
    const redis = this.redis[partition]!;
    const epoch = this.fresh('e');
    redis.recover(epoch);
    this.tables.watermarks[partition] = {
      sequence: redis.token ? redis.sequence - 1 : redis.sequence,
      token: '',
      epoch,
    };
    this.stale.delete(partition);
  }

  /** The replica gets all that its primary has. */
  replicate(partition: number): void {
    this.replicas[partition] = this.redis[partition]!.copy();
  }

  /** Redis goes back to its replica. */
  loseTail(partition: number, replica = this.replicas[partition]!): void {
    this.redis[partition] = replica.copy();
    this.replicas[partition] = replica.copy();
    this.mayFall = true;
    this.#forgive((id, account) => !this.#isPending(id, account));
  }

  /** MySQL goes back to its backup; connections end. */
  restore(): void {
    this.#open.clear();
    this.#holders.clear();
    const before = this.tables;
    this.tables = this.backup!.copy();
    this.mayFall = true;
    for (const partition of PARTITIONS) {
      this.stale.add(partition);
      const { flight, pending } = this.redis[partition]!;
      for (const entry of [...flight, ...pending]) this.excused.add(entry);
    }
    // What was committed may be acknowledged still.
    this.#forgive((id, account) => before.has(account, id) || !this.#isPending(id, account));
    this.onCommit();
  }

  #isPending(id: string, account: string): boolean {
    const { flight, pending } = this.redis[partitionOf(account)]!;
    return [flight, pending].some(entries => entries.some(entry => entry.id === id));
  }

  /** What neither side has any more is lost, and declared. */
  #forgive(isGone: (id: string, account: string) => boolean): void {
    for (const [id, account] of this.accepted)
      if (!this.tables.has(account, id) && isGone(id, account)) this.accepted.delete(id);
  }
}
