/** Two partitions in Redis and MySQL, the table that is copied, and what a schedule does with them. */
import { isValueKind, type Kind } from '../../../src/shared/item.ts';
import type { Random } from '../random.ts';
import type { Steps } from '../steps.ts';
import type { BackfillBug } from './bugs.ts';
import { Tables } from './mysql.ts';
import { type Call, Redis, type Scene, type Update } from './redis.ts';

/** The rows of the table, in the order of their keys. */
export const KEYS = ['a', 'b', 'c', 'd', 'e', 'f'] as const;
export const PARTITIONS = [0, 1] as const;
const KINDS: readonly Kind[] = ['c', 'c', 'c', 'p', 'p', '>', '='];
/** The lease of a run, in steps. */
export const LEASE = 15;

export function partitionOf(key: string): number {
  return 'acf'.includes(key) ? 0 : 1;
}

/** A process of `sluice backfill`. */
export interface Copier {
  readonly name: string;
  owner: string;
  /** Until then its lease holds, as far as it knows. */
  until: number;
  /** It has asked what it may send, and not all of its calls are answered. */
  sending: Sending | undefined;
  calls: number;
  /** What an operator has said about the page that was under way when it began; later ones nobody has looked at. */
  choice: World['choice'];
}

interface Sending {
  /** Whether some of it may have been accepted before. */
  readonly isUnknown: boolean;
  readonly keys: readonly string[];
}

/** Rolls back if its process dies. */
interface Transaction {
  changes: ((tables: Tables) => void)[];
}

export class World implements Scene {
  readonly random: Random;
  readonly bug: BackfillBug | undefined;
  readonly kind: Kind;
  readonly hasMark: boolean;
  /** Claims are on the replica before a batch is written. */
  readonly hasBarrier: boolean;
  /** What an operator says about a page that nobody can prove; undefined: nothing. */
  readonly choice: 'discard' | 'apply' | undefined;
  readonly tables = new Tables();
  readonly redis: Redis[] = PARTITIONS.map(partition => new Redis(partition));
  replicas: Redis[];
  now = 100;
  /** MySQL refuses the updates of these partitions. */
  readonly refuses = PARTITIONS.map(() => false);
  readonly copiers = new Map<string, Copier>();
  /** Faults and traffic have ended. */
  isCalm = false;
  /** A loss that is to come. */
  failover: { readonly partition: number; readonly at: number } | undefined;
  /** Whether Redis has lost anything. */
  hasLost = false;
  /** The run has stopped, since nobody can prove a page. */
  isUnproven = false;
  /** An operator has decided about a page: these keys. */
  readonly decided = new Set<string>();
  /** Keys that may count twice, since Redis lost ids within a call, or while its process was frozen. */
  readonly excused = new Set<string>();
  /** Amounts of the rows, as their pages were recorded. */
  readonly recorded = new Map<string, number>();
  /** What readers must see, if the source has a mark. */
  readonly truth = new Map<string, number>();
  /** Called after each commit. */
  onCommit = () => {};
  readonly #holders = new Map<number, Transaction>();
  #numbers = 0;

  constructor(random: Random, bug: BackfillBug | undefined) {
    this.random = random;
    this.bug = bug;
    this.kind = random.pick(KINDS);
    this.hasMark = !isValueKind(this.kind) && random.chance(0.3);
    this.hasBarrier = random.chance(0.4);
    this.choice = random.chance(0.5) ? undefined : random.pick(['discard', 'apply'] as const);
    for (const partition of PARTITIONS) {
      this.tables.watermarks[partition] = { sequence: 0, token: '', epoch: 'e0' };
      this.tables.journals[partition] = new Map();
    }
    for (const key of KEYS) {
      const value = 10 + random.below(90);
      this.tables.source.set(key, { value, home: 0 });
      this.truth.set(key, value);
    }
    this.replicas = this.redis.map(redis => redis.copy());
  }

  fresh(kind: string): string {
    return `${kind}${++this.#numbers}`;
  }

  newVersion = (): number => ++this.#numbers;

  redisOf(key: string): Redis {
    return this.redis[partitionOf(key)]!;
  }

  /** All that counts or will count: in MySQL, in quarantine, in flight, pending. */
  countedOf(key: string): readonly Update[] {
    const { flight, pending, token } = this.redisOf(key);
    const isWritten = this.tables.journals[partitionOf(key)]!.has(token);
    const waiting = [...(isWritten ? [] : flight), ...pending].filter(row => row.key === key);
    return [...this.tables.updatesOf(key), ...waiting.flatMap(({ updates }) => updates)];
  }

  apply(partition: number, call: Call) {
    return this.redis[partition]!.apply(call, this);
  }

  /** Runs steps under the lock of a watermark. Its changes are there with the commit; undefined rolls back. */
  *transaction<Result>(
    partition: number,
    steps: (write: (change: (tables: Tables) => void) => void) => Steps<Result | undefined>,
  ): Steps<Result | undefined> {
    const transaction: Transaction = { changes: [] };
    try {
      yield {
        name: `lock ${partition}`,
        until: () => !this.#holders.has(partition),
        run: () => this.#holders.set(partition, transaction),
      };
      const result = yield* steps(change => transaction.changes.push(change));
      if (result !== undefined)
        yield { name: 'commit', run: () => this.#commit(partition, transaction), isCommit: true };
      return result;
    } finally {
      if (this.#holders.get(partition) === transaction) this.#holders.delete(partition);
    }
  }

  #commit(partition: number, transaction: Transaction): void {
    if (this.#holders.get(partition) !== transaction) throw new Error('a transaction without its lock');
    this.#holders.delete(partition);
    for (const change of transaction.changes) change(this.tables);
    this.onCommit();
  }

  /** Redis goes back to its replica, or is empty. */
  lose(partition: number, isEmpty: boolean): void {
    const run = this.redis[partition]!.run + 1;
    const left = isEmpty ? new Redis(partition) : this.replicas[partition]!.copy();
    if (isEmpty) left.epoch = '';
    left.run = run;
    this.redis[partition] = left;
    this.replicas[partition] = left.copy();
    this.hasLost = true;
    if (this.hasBarrier && !isEmpty) return;
    // Between its question and its call nobody can know; nor if it was frozen and has lost the run meanwhile.
    for (const { sending, owner } of this.copiers.values())
      if (sending?.isUnknown || owner !== this.tables.run.owner)
        for (const key of sending?.keys ?? []) this.excused.add(key);
  }
}
