/** `persisted()`: waits until the batches up to an update's mark are in MySQL. All waiters share one poll. */
import { pause } from '../shared/clock.ts';
import {
  HoldEndedError,
  IdempotencyKeyReusedError,
  PersistenceUnknownError,
  PersistTimeoutError,
  ProducerClosedError,
  QuarantinedError,
} from '../shared/errors.ts';
import { ROW_KINDS } from '../shared/item.ts';
import { type Database, readSql } from '../shared/mysql/database.ts';
import { Question } from '../shared/question.ts';
import type { RedisConnection } from '../shared/redis/connections.ts';
import type { Keys } from '../shared/redis/keys.ts';
import type { State } from '../shared/redis/layout.ts';
import { parseEnded, readState } from '../shared/redis/state.ts';
import { type HoldStatus, holdOf } from '../shared/updates/hold.ts';
import type { CheckedUpdate } from '../shared/updates/update.ts';
import type { CreditWatch } from './credit-watch.ts';
import { type ReceiptUpdate, readReceipt, writeReceipt } from './receipt-text.ts';
import type { Mark } from './waiting.ts';

export interface PersistedOptions {
  /** Longest wait, ms; 30,000 by default. */
  timeoutMs?: number;
}

/** A producer's answer for an accepted update. */
export class Receipt {
  /** The live value right after the update; null if the counter is cold (has no live value). */
  readonly value: number | null;
  /** Whether the update was accepted before under its id: nothing changed, `value` is the first answer. */
  readonly duplicate: boolean;
  readonly #mark: Mark;
  readonly #update: CheckedUpdate;
  readonly #progress: Progress;

  constructor(
    value: number | null,
    duplicate: boolean,
    mark: Mark,
    update: CheckedUpdate,
    progress: Progress,
  ) {
    this.value = value;
    this.duplicate = duplicate;
    this.#mark = mark;
    this.#update = update;
    this.#progress = progress;
  }

  /** For `Sluice.receipt`, in any process: it asks about the update later. */
  get text(): string {
    return writeReceipt({ update: asked(this.#update), mark: this.#mark, duplicate: this.duplicate });
  }

  /**
   * Resolves once the update is in MySQL, perhaps one batch later than possible. It waits for a held update,
   * whose mapped table cannot be written, like for any other.
   * @throws PersistTimeoutError, QuarantinedError, PersistenceUnknownError, ProducerClosedError; and
   * HoldEndedError for a post or void, if MySQL knew another end of its hold that Redis had lost
   */
  persisted(options: PersistedOptions = {}): Promise<void> {
    const { timeoutMs = WAIT_MS } = options;
    return this.#progress.reached(this.#mark, asked(this.#update), this.duplicate, timeoutMs);
  }
}

function asked({ kind, name, key, id, hold, amount }: CheckedUpdate): ReceiptUpdate {
  if (!hold) return { kind, name, key, id };
  return { kind, name, key, id, hold: { action: hold.action, amount } };
}

/** A producer's answer for an accepted hold, post or void; `value` is the balance, what is held included. */
export class HoldReceipt extends Receipt {
  /** Points of the account that are held. */
  readonly held: number;

  constructor(
    value: number | null,
    held: number,
    duplicate: boolean,
    mark: Mark,
    update: CheckedUpdate,
    progress: Progress,
  ) {
    super(value, duplicate, mark, update, progress);
    this.held = held;
  }
}

/** A producer's answer for an accepted transfer; `value` is the balance of the source. */
export class TransferReceipt extends Receipt {
  readonly #waitForCredit: (timeoutMs: number) => Promise<void>;

  constructor(
    value: number | null,
    duplicate: boolean,
    mark: Mark,
    update: CheckedUpdate,
    progress: Progress,
    credits: CreditWatch,
  ) {
    super(value, duplicate, mark, update, progress);
    this.#waitForCredit = timeoutMs => credits.credited(update, timeoutMs);
  }

  /**
   * Resolves once the points are in the destination's account in MySQL. `persisted()` only waits for the debit.
   * @throws TransferReturnedError, CreditTimeoutError, and what `persisted` throws
   */
  async credited(options: PersistedOptions = {}): Promise<void> {
    const { timeoutMs = WAIT_MS } = options;
    const end = performance.now() + timeoutMs;
    await this.persisted({ timeoutMs });
    await this.#waitForCredit(end - performance.now());
  }
}

/** A receipt that was a text meanwhile. It does not know the value. */
export interface KeptReceipt extends Pick<Receipt, 'persisted'> {
  /** `c` for a counter, `p` for a points program. */
  readonly kind: CheckedUpdate['kind'];
  readonly name: string;
}

/** Undefined if the text is no receipt of this number of partitions. */
export function keptReceipt(text: string, progress: Progress, partitions: number): KeptReceipt | undefined {
  const read = readReceipt(text);
  if (!read || read.mark.partition >= partitions) return undefined;
  const { update, mark, duplicate } = read;
  return {
    kind: update.kind,
    name: update.name,
    persisted: ({ timeoutMs = WAIT_MS } = {}) => progress.reached(mark, update, duplicate, timeoutMs),
  };
}

interface Waiter {
  readonly mark: Mark;
  readonly kind: CheckedUpdate['kind'];
  readonly finish: (outcome: Reached | Error) => void;
}

interface Reached {
  /** Whether an update of the partition went into quarantine meanwhile. */
  readonly quarantine: boolean;
  /** The partition's sequence number at that poll. */
  readonly sequence: number;
}

const WAIT_MS = 30_000;
const POLL_MS = 25;
const HELD_POLL_MS = 500;
const OLDEST_HELD =
  "SELECT MIN(id) AS oldest FROM sluice_quarantine WHERE cause = 'held' AND partition_id = ? AND kind = ? AND name = ?";
const HOLD =
  'SELECT status, amount, posted FROM sluice_holds WHERE program = ? AND account = ? AND hold_id = ?';
const QUARANTINED = readSql(new URL('./sql/quarantined.sql', import.meta.url));

export class Progress {
  readonly #redis: RedisConnection;
  readonly #database: Database;
  readonly #keys: Keys;
  readonly #waiters = new Map<number, Set<Waiter>>();
  /** By partition, kind and name: the lowest id of a held row. */
  readonly #held = new Map<string, Question<number>>();
  readonly #closed = new AbortController();

  constructor(redis: RedisConnection, database: Database, keys: Keys) {
    this.#redis = redis;
    this.#database = database;
    this.#keys = keys;
  }

  async reached(mark: Mark, update: ReceiptUpdate, duplicate: boolean, timeoutMs: number): Promise<void> {
    const end = performance.now() + timeoutMs;
    const outcome = await this.#wait(mark, update.kind, timeoutMs);
    if (outcome instanceof Error) throw outcome;
    await this.#checkHold(update);
    // The original of a duplicate may have gone into quarantine before this mark, and a post of which Redis had
    // forgotten the claim too.
    if (!outcome.quarantine && !duplicate && update.hold?.action !== 'p') return;
    const from = duplicate ? { ...mark, sequence: 0, segmentEnd: 0 } : mark;
    for (;;) {
      const row = await this.#inQuarantine(from, update, outcome.sequence);
      if (!row) return;
      const code = String(row.error_code);
      if (row.cause !== 'held') throw new QuarantinedError(update.name, code);
      await this.#released(mark.partition, update, Number(row.id), end, () => {
        throw new PersistTimeoutError(timeoutMs, code);
      });
    }
  }

  /** A flush leaves a hold or its end out if MySQL has one: if it is another one, this one does not count. */
  async #checkHold({ name, key, id, hold }: ReceiptUpdate): Promise<void> {
    if (!hold) return;
    const of = holdOf(id)!;
    const [row] = await this.#database.explained(database =>
      database.query(HOLD, [Buffer.from(name), Buffer.from(key), Buffer.from(of)]),
    );
    const status = row?.status as HoldStatus | undefined;
    if (!status) throw new PersistenceUnknownError();
    if (hold.action === 'h') {
      if (hold.amount !== Number(row!.amount)) throw new IdempotencyKeyReusedError(name);
      return;
    }
    if (status === 'open') throw new PersistenceUnknownError();
    const isThis = status === (hold.action === 'p' ? 'posted' : 'voided');
    const posted = Number(row!.posted);
    if (!isThis || (hold.amount > 0 && hold.amount !== posted))
      throw new HoldEndedError(name, of, status, posted);
  }

  /** Waits until a worker has written a held row. Waiters for the same counter or program share one poll. */
  async #released(
    partition: number,
    { kind, name }: ReceiptUpdate,
    id: number,
    end: number,
    onTimeout: () => never,
  ): Promise<void> {
    const group = `${partition} ${kind} ${name}`;
    const held =
      this.#held.get(group) ?? new Question(() => this.#oldestHeld(partition, kind, name), HELD_POLL_MS);
    this.#held.set(group, held);
    for (;;) {
      const left = end - performance.now();
      if (left <= 0) onTimeout();
      await pause(Math.min(left, HELD_POLL_MS), this.#closed.signal);
      if (this.#closed.signal.aborted) throw new ProducerClosedError();
      const oldest = await held.answer(Math.max(1, end - performance.now()));
      // Rows are written in the order of their ids; infinity means that none is left.
      if (oldest !== undefined && oldest > id) return;
    }
  }

  async #oldestHeld(partition: number, kind: CheckedUpdate['kind'], name: string): Promise<number> {
    const [row] = await this.#database.query(OLDEST_HELD, [partition, ROW_KINDS[kind], Buffer.from(name)]);
    return row?.oldest ? Number(row.oldest) : Number.POSITIVE_INFINITY;
  }

  close(): void {
    this.#closed.abort();
    for (const waiters of this.#waiters.values())
      for (const waiter of waiters) waiter.finish(new ProducerClosedError());
  }

  #wait(mark: Mark, kind: CheckedUpdate['kind'], timeoutMs: number): Promise<Reached | Error> {
    if (this.#closed.signal.aborted) return Promise.resolve(new ProducerClosedError());
    return new Promise(resolve => {
      const known = this.#waiters.get(mark.partition);
      const waiters = known ?? new Set<Waiter>();
      if (!known) this.#waiters.set(mark.partition, waiters);
      // Node fires a timer at once if its delay does not fit 31 bits.
      const timer = setTimeout(
        () => waiter.finish(new PersistTimeoutError(timeoutMs)),
        Math.min(timeoutMs, 2 ** 31 - 1),
      );
      const waiter: Waiter = {
        mark,
        kind,
        finish: outcome => {
          clearTimeout(timer);
          this.#waiters.get(mark.partition)?.delete(waiter);
          resolve(outcome);
        },
      };
      waiters.add(waiter);
      if (!known) void this.#poll(mark.partition, waiters);
    });
  }

  async #poll(partition: number, waiters: Set<Waiter>): Promise<void> {
    while (waiters.size > 0 && !this.#closed.signal.aborted) {
      const state = await readState(this.#redis, this.#keys, partition, FIELDS).catch(() => undefined);
      if (state?.epoch) for (const waiter of waiters) check(waiter, state);
      if (waiters.size > 0) await pause(POLL_MS, this.#closed.signal);
    }
    this.#waiters.delete(partition);
  }

  /** The update's row in quarantine, if any; for a counter, a sum of a batch after the mark. */
  async #inQuarantine(
    { partition, sequence: after, pushed, segmentEnd }: Mark,
    update: ReceiptUpdate,
    upTo: number,
  ) {
    const name = Buffer.from(update.name);
    const key = Buffer.from(update.key);
    const [row] = await this.#database.explained(database =>
      database.query(QUARANTINED, [
        ROW_KINDS[update.kind],
        name,
        key,
        Buffer.from(update.id),
        after,
        partition,
        after,
        pushed,
        upTo,
        partition,
        segmentEnd,
      ]),
    );
    return row;
  }
}

function check(waiter: Waiter, state: Standing): void {
  const standing = standingOf(waiter.mark, waiter.kind, state);
  if (standing === 'lost') waiter.finish(new PersistenceUnknownError());
  else if (standing !== 'waiting')
    waiter.finish({ quarantine: standing === 'quarantine', sequence: state.sequence });
}

const FIELDS = [
  'epoch',
  'sequence',
  'poppedAcked',
  'entryAcked',
  'quarantined',
  'incarnation',
  'updates',
  'ended',
] as const;
type Standing = Pick<State, (typeof FIELDS)[number]>;

/** Tells from a partition's state what became of an update with this mark. */
export function standingOf(
  mark: Mark,
  kind: CheckedUpdate['kind'],
  state: Omit<Standing, 'sequence'>,
): 'waiting' | 'reached' | 'quarantine' | 'lost' {
  if (state.epoch !== mark.epoch) return 'lost';
  // If Redis lost its last writes and no update came since, the incarnation is the old one with a low count.
  const kept = state.incarnation === mark.incarnation ? state.updates : keptOf(mark.incarnation, state.ended);
  if (mark.updates > kept) return 'lost';
  const reached = kind === 'p' ? state.entryAcked >= mark.entries : state.poppedAcked >= mark.pushed;
  if (!reached) return 'waiting';
  // If anything is in quarantine, an entry is looked up by its id, which may be there from before the mark.
  return state.quarantined > (kind === 'p' ? 0 : mark.quarantined) ? 'quarantine' : 'reached';
}

/** How many updates of an ended incarnation Redis kept; -1 if Redis no longer knows it. */
function keptOf(incarnation: string, ended: string): number {
  return parseEnded(ended).find(one => one.incarnation === incarnation)?.kept ?? -1;
}
