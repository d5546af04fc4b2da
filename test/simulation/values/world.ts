/** One partition in Redis and MySQL, and what a schedule does with both. */
import type { Random } from '../random.ts';
import { type Steps, Wrong } from '../steps.ts';
import type { ValueBug } from './bugs.ts';
import { ITEMS, type Item, type Kept, keepAll, type Put } from './kept.ts';
import { type Moods, type Scene, Tables } from './mysql.ts';
import { type Call, Redis } from './redis.ts';

/** Its copy of the tables replaces them with the commit. */
interface Transaction {
  tables: Tables;
}

export class World implements Scene {
  readonly random: Random;
  readonly bug: ValueBug | undefined;
  /** A new primary's clock may be behind by more than the failover took. */
  readonly hasBadClocks: boolean;
  readonly moods = Object.fromEntries(ITEMS.map(item => [item, 'takes'])) as Moods;
  redis = new Redis();
  replica = new Redis();
  tables = new Tables();
  /** Faults and new puts have ended. */
  isCalm = false;
  /** Operations that may still begin before the calm. */
  operations = 0;
  /** Accepted puts that must be in MySQL at the end. */
  readonly due = new Map<Put, Item>();
  /** Called after each commit. */
  onCommit = () => {};
  /** Numbers of the last accepted call of each producer. */
  readonly #calls = new Map<string, number>();
  #holder: Transaction | undefined;
  #numbers = 0;

  constructor(random: Random, bug: ValueBug | undefined) {
    this.random = random;
    this.bug = bug;
    this.hasBadClocks = random.chance(0.15);
    this.operations = random.below(6);
  }

  newNumber(): number {
    return ++this.#numbers;
  }

  newVersion(): number {
    return ++this.redis.clock;
  }

  /** Accepts a call, and notes what must become of its puts. */
  apply(call: Call): void {
    const { redis, tables, bug } = this;
    const wereLive = new Set(redis.live.keys());
    const fits = redis.fits(tables.watermark);
    const known = new Map(ITEMS.map(item => [item, this.truth(item)]));
    // With bad clocks, versions are the only order. Of the puts of a call, only the last one may have another's.
    const rankOf = (version: number, isLast: boolean) =>
      this.hasBadClocks ? version - (isLast ? 0 : 0.5) : this.newNumber();
    const accepted = redis.apply(call, rankOf, bug);
    if (!accepted) return;
    if ((this.#calls.get(call.producer) ?? 0) > call.number)
      throw new Wrong(`${call.producer} ${call.number} is applied after a later call`);
    this.#calls.set(call.producer, call.number);
    for (const [item, { version, puts }] of accepted) {
      for (const put of puts) this.due.set(put, item);
      const isCertain = !this.hasBadClocks || (wereLive.has(item) && fits);
      const last = known.get(item)?.version ?? 0;
      if (item[0] === '=' && isCertain && version <= last)
        throw new Wrong(`a put of ${item} gets version ${version} after ${last}`);
    }
  }

  /** The value of an item with all that is nowhere but in Redis. */
  truth(item: Item): Kept | undefined {
    const { redis, tables } = this;
    const stored = tables.stored(item);
    const isWritten = tables.journal.has(redis.token);
    const waiting = isWritten ? [...redis.segment, ...redis.pending] : redis.waiting;
    const puts = waiting.filter(([other]) => other === item).map(([, put]) => put);
    return keepAll(item, stored ? [stored, ...puts] : puts);
  }

  /** Runs steps under the lock of the watermark. They change a copy; the result undefined rolls it back. */
  *transaction<Result>(steps: (tables: Tables) => Steps<Result | undefined>): Steps<Result | undefined> {
    const transaction = { tables: this.tables };
    const lock = () => {
      this.#holder = transaction;
      transaction.tables = this.tables.copy();
    };
    try {
      yield { name: 'lock', until: () => !this.isLocked, run: lock };
      const result = yield* steps(transaction.tables);
      if (result !== undefined)
        yield { name: 'commit', run: () => this.#commit(transaction), isCommit: true };
      return result;
    } finally {
      if (this.#holder === transaction) this.#holder = undefined;
    }
  }

  get isLocked(): boolean {
    return this.#holder !== undefined;
  }

  #commit(transaction: Transaction): void {
    if (this.#holder !== transaction) throw new Error('a transaction without its lock');
    this.#holder = undefined;
    this.tables = transaction.tables;
    for (const { gone, item, edited } of this.tables.decided) {
      for (const put of gone) this.due.delete(put);
      if (edited) this.due.set(edited, item);
    }
    this.tables.decided = [];
    this.onCommit();
  }

  /** Redis goes back to its replica, whose clock is behind by less than that took. */
  loseTail(): void {
    const { clock } = this.redis;
    this.redis = this.replica.copy();
    this.redis.clock = clock + (this.hasBadClocks ? -this.random.below(3000) : 1);
    this.#calls.clear();
    for (const [producer, number] of this.redis.callers) this.#calls.set(producer, number);
    const rows = this.tables.quarantine.map(({ kept }) => kept);
    const waiting = this.redis.waiting.map(([, put]) => put);
    const there = new Set([...this.tables.values.values(), ...rows, ...waiting].flatMap(({ puts }) => puts));
    for (const put of this.due.keys()) if (!there.has(put)) this.due.delete(put);
  }
}
