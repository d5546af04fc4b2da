/** One partition in Redis and MySQL, what a schedule does with both, and what must become of each answer. */
import type { Random } from '../random.ts';
import { OUTAGE, type Steps, Wrong } from '../steps.ts';
import type { HoldBug } from './bugs.ts';
import type { Answer } from './decide.ts';
import { type Mood, type Scene, Tables, writeBatch } from './mysql.ts';
import { agrees, type Entry, HOLDS, type HoldRecord, isSame, NONE, show } from './record.ts';
import { type Account, type Batch, type Call, type Due, Redis } from './redis.ts';

/** Its copy of the tables replaces them with the commit. */
export interface Transaction {
  tables: Tables;
}

/** What both sides come to once everything is written. */
export interface Truth {
  readonly account: Account;
  readonly holds: ReadonlyMap<string, HoldRecord>;
  /** Sum of pending entries that will not count: live until their flush. */
  readonly late: number;
}

export class World implements Scene {
  readonly random: Random;
  readonly bug: HoldBug | undefined;
  redis: Redis;
  replica: Redis;
  tables = new Tables();
  backup: Tables | undefined;
  mood: Mood = 'takes';
  /** Claims are on the replica before a batch is written. */
  readonly hasBarrier: boolean;
  /** Faults and new actions have ended. */
  isCalm = false;
  /** Operations that may still begin before the calm. */
  operations = 0;
  /** How often Redis or MySQL went back in time. */
  losses = 0;
  /** The balance may be below its floor. */
  mayFall = false;
  /** The latest time of any primary. */
  latest = 0;
  /** Called after each commit. */
  onCommit = () => {};
  /** Amounts of accepted entries by their ids, and what is said of holds; both must be so at the end. */
  readonly entries = new Map<string, number>();
  holds: (readonly [string, HoldRecord])[] = [];
  /** Ids of debits that an operator has dropped. */
  readonly dropped = new Set<string>();
  /** Entries from before Redis or MySQL was found to have lost something: MySQL may leave them out. */
  readonly suspect = new Set<Entry>();
  #holder: Transaction | undefined;
  #numbers = 0;
  #leftOut: (readonly [Entry, boolean])[] = [];

  constructor(random: Random, bug: HoldBug | undefined) {
    this.random = random;
    this.bug = bug;
    this.hasBarrier = random.chance(0.3);
    this.redis = new Redis(bug);
    if (random.chance(0.7)) this.redis.load(this.tables.read(['account', ...HOLDS]));
    this.replica = this.redis.copy();
  }

  newNumber = () => ++this.#numbers;

  get isStale(): boolean {
    return !this.redis.fits(this.tables.watermark);
  }

  /** Accepts a call, and notes what its answer promises. */
  apply(call: Call): Answer {
    const { redis } = this;
    const { next } = redis;
    // A copy of a call gets the answer that the call got.
    if (redis.isRepeated(call)) return redis.apply(call);
    const before = this.isStale ? undefined : this.truth();
    const answer = redis.apply(call);
    if (redis.next > next) this.#accepted(redis.entries.at(-1)!);
    if (answer.answer === 'accepted' && before) this.#checkFloor(call);
    this.#promise(call, answer, before);
    return answer;
  }

  #accepted(entry: Entry): void {
    if (this.isStale) this.suspect.add(entry);
    else if (this.redis.entries.some(other => other !== entry && other.id === entry.id))
      throw new Wrong(`${entry.id} is pending twice`);
  }

  #checkFloor({ kind, id, amount }: Call): void {
    if (kind !== 'hold' && (kind !== 'entry' || amount > 0)) return;
    const { account, late } = this.truth();
    const { balance, held } = account;
    // A late earning counts until its flush, as it does without holds.
    if (late > 0) this.mayFall = true;
    if (balance + late < held)
      throw new Wrong(`${kind} ${id} of ${amount} leaves ${balance}, and ${held} is held`);
  }

  #promise({ kind, id, amount }: Call, { answer, record }: Answer, before: Truth | undefined): void {
    if (kind === 'entry') {
      if (answer === 'accepted') this.entries.set(id, amount);
      return;
    }
    if (!record) return;
    const isRepeated = answer === 'duplicate' || answer === 'ended';
    if (before && (isRepeated || answer === 'reused' || answer === 'no such hold')) {
      const truth = before.holds.get(id) ?? NONE;
      const isExpiring = record.state === 'e' && truth.state === 'o' && truth.more > 0;
      if (!isSame(truth, record) && !isExpiring)
        throw new Wrong(`${kind} ${id} is answered by ${show(record)}, not ${show(truth)}`);
    }
    if (answer === 'accepted') this.holds.push([id, record]);
    if (answer === 'ended' && before) this.holds.push([id, record]);
    // What Redis or MySQL has lost may be taken for a duplicate until somebody notices.
    if (answer !== 'duplicate' || !before) return;
    if (kind === 'hold') this.holds.push([id, { state: 'o', amount, more: 0 }]);
    else
      this.holds.push([
        id,
        { state: kind === 'post' ? 'p' : 'v', amount: 0, more: kind === 'post' ? amount : 0 },
      ]);
  }

  expire(rows: readonly Due[], watermark: Tables['watermark']): void {
    const accepted = this.redis.expire(rows, watermark);
    if (accepted === 'again') return;
    for (const entry of accepted) {
      this.#accepted(entry);
      const row = rows.find(({ hold }) => hold === entry.hold)!;
      if (row.expires > this.latest) throw new Wrong(`${row.hold} expires before its time`);
    }
  }

  /** What both sides come to. */
  truth(): Truth {
    const { redis } = this;
    const tables = this.tables.copy();
    const isWritten = redis.token !== '' && tables.journal.has(redis.token);
    const entries = isWritten ? redis.pending : redis.entries;
    const scene: Scene = { mood: 'takes', bug: undefined, newNumber: () => 0, leftOut: () => {} };
    let late = 0;
    for (const entry of entries) {
      const { kind, id, row, balance } = entry;
      if (kind === 'entry' && tables.has(id)) late += balance;
      // A restore may undo a drop, and leave the watermark.
      if (kind === 'amendment' && !tables.row(row!)?.isTaken) late += balance;
      writeBatch(tables, scene, { ...tables.watermark, entries: [entry] });
    }
    return { account: tables.account, holds: tables.holds, late };
  }

  /** Runs steps under the lock of the watermark. They change a copy; the result undefined rolls it back. */
  *transaction<Result>(
    steps: (transaction: Transaction) => Steps<Result | undefined>,
  ): Steps<Result | undefined> {
    const transaction = { tables: this.tables };
    const lock = () => {
      this.#holder = transaction;
      this.#leftOut = [];
      transaction.tables = this.tables.copy();
    };
    try {
      yield { name: 'lock', until: () => !this.isLocked, run: lock };
      const result = yield* steps(transaction);
      if (result !== undefined)
        yield { name: 'commit', run: () => this.#commit(transaction), isCommit: true };
      return result;
    } finally {
      if (this.#holder === transaction) this.#holder = undefined;
    }
  }

  /** A statement of a transaction, which may have ended with its connection. */
  *statement<Result>(transaction: Transaction, name: string, run: (tables: Tables) => Result): Steps<Result> {
    return yield {
      name,
      run: () => {
        if (this.#holder !== transaction) throw OUTAGE;
        return run(transaction.tables);
      },
    };
  }

  get isLocked(): boolean {
    return this.#holder !== undefined;
  }

  leftOut(entry: Entry, isThere: boolean): void {
    this.#leftOut.push([entry, isThere]);
  }

  #commit(transaction: Transaction): void {
    if (this.#holder !== transaction) throw OUTAGE;
    this.#holder = undefined;
    this.tables = transaction.tables;
    for (const [entry, isThere] of this.#leftOut) this.#fail(entry, isThere);
    this.#leftOut = [];
    this.onCommit();
  }

  /** The receipts of what is left out fail, unless MySQL has the same. */
  #fail(entry: Entry, isThere: boolean): void {
    const { hold, record } = entry;
    if (!this.suspect.has(entry))
      throw new Wrong(`${hold} ${show(record!)} is left out, and nothing was lost`);
    if (isThere) return;
    if (agrees(record!, this.tables.holds.get(hold!)))
      throw new Wrong(`the receipt of ${hold} ${show(record!)} fails, and MySQL has it`);
    this.holds = this.holds.filter(([other, said]) => other !== hold || !isAnswer(said, record!));
  }

  /** Redis goes back to its replica. */
  loseTail(replica = this.replica): void {
    const { clock } = this.redis;
    this.redis = replica.copy();
    this.replica = replica.copy();
    this.redis.clock = clock + (this.random.chance(0.5) ? 1 : this.random.below(120) - 60);
    this.mayFall = true;
    this.losses++;
    this.#forgive(this.redis.entries);
  }

  /** MySQL goes back to its backup; connections end. */
  restore(): void {
    this.#holder = undefined;
    this.#leftOut = [];
    const { journal } = this.tables;
    const { token, pending, entries } = this.redis;
    this.tables = this.backup!.copy();
    this.mayFall = true;
    this.losses++;
    for (const entry of entries) this.suspect.add(entry);
    // What was committed may be acknowledged still.
    this.#forgive(journal.has(token) ? pending : entries);
    this.onCommit();
  }

  /** What neither side has any more is lost, and declared. What is pending still may fail. */
  #forgive(entries: readonly Entry[]): void {
    const { tables } = this;
    for (const id of this.entries.keys())
      if (!tables.has(id) && !this.dropped.has(id) && !entries.some(entry => entry.id === id))
        this.entries.delete(id);
    this.holds = this.holds.filter(([hold, said]) => {
      const isPending = entries.some(entry => entry.hold === hold && isAnswer(said, entry.record!));
      return isPending || agrees(said, tables.holds.get(hold));
    });
  }

  /** Both sides of `sluice recover --yes` at once: the first model has the steps of it. */
  recover(): void {
    const epoch = `e${this.newNumber()}`;
    const { token, sequence } = this.redis;
    this.redis.recover(epoch);
    this.tables.watermark = { sequence: token ? sequence - 1 : sequence, token: '', epoch };
    this.#forgive(this.redis.entries);
  }

  claim(): Batch | undefined {
    const batch = this.redis.claim(`t${this.newNumber()}`);
    if (this.hasBarrier) this.replica = this.redis.copy();
    return batch;
  }
}

function isAnswer(said: HoldRecord, record: HoldRecord): boolean {
  return (
    said.state === record.state &&
    (said.state === 'o' ? said.amount === record.amount : said.more === record.more)
  );
}
