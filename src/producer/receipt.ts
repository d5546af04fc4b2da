/** `persisted()`: waits until the batches up to an update's mark are in MySQL. One poll per partition serves all waiters. */
import { pause } from '../shared/clock.ts';
import {
  PersistenceUnknownError,
  PersistTimeoutError,
  ProducerClosedError,
  QuarantinedError,
} from '../shared/errors.ts';
import { type Keys, ROW_KINDS } from '../shared/keys.ts';
import { type Database, readSql } from '../shared/mysql.ts';
import { databaseError } from '../shared/mysql-errors.ts';
import { Question } from '../shared/question.ts';
import type { State } from '../shared/redis/layout.ts';
import { parseEnded, readState } from '../shared/redis/state.ts';
import type { RedisConnection } from '../shared/redis.ts';
import type { CheckedUpdate } from '../shared/update.ts';
import type { Mark } from './waiting.ts';

export interface PersistedOptions {
  /** Longest wait, ms; 30,000 by default. */
  timeoutMs?: number;
}

/** What a producer answers for an accepted update. */
export class Receipt {
  /** The live value right after the update; null for a counter that is not live (cold). */
  readonly value: number | null;
  /** The id had been used for the same update: nothing was changed, `value` is the first answer. */
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

  /**
   * Resolves once the update is in MySQL (it may resolve a batch later than it could). An update that is held, since its mapped
   * table cannot be written, is waited for like any other.
   * @throws PersistTimeoutError, QuarantinedError, PersistenceUnknownError, ProducerClosedError
   */
  persisted(options: PersistedOptions = {}): Promise<void> {
    return this.#progress.reached(this.#mark, this.#update, this.duplicate, options.timeoutMs ?? 30_000);
  }
}

interface Waiter {
  readonly mark: Mark;
  readonly kind: CheckedUpdate['kind'];
  readonly settle: (outcome: Reached | Error) => void;
}

interface Reached {
  /** Whether anything of the partition went into quarantine meanwhile. */
  readonly quarantine: boolean;
  /** The partition's sequence when it was seen. */
  readonly sequence: number;
}

const POLL_MS = 25;
const HELD_POLL_MS = 500;
const OLDEST_HELD =
  "SELECT MIN(id) AS oldest FROM sluice_quarantine WHERE cause = 'held' AND partition_id = ? AND kind = ? AND name = ?";
const QUARANTINED = readSql(new URL('./sql/quarantined.sql', import.meta.url));

export class Progress {
  readonly #redis: RedisConnection;
  readonly #database: Database;
  readonly #keys: Keys;
  readonly #waiters = new Map<number, Set<Waiter>>();
  /** Whether updates of a counter or program are held, by partition and name. */
  readonly #held = new Map<string, Question<number>>();
  readonly #closed = new AbortController();

  constructor(redis: RedisConnection, database: Database, keys: Keys) {
    this.#redis = redis;
    this.#database = database;
    this.#keys = keys;
  }

  async reached(mark: Mark, update: CheckedUpdate, duplicate: boolean, timeoutMs: number): Promise<void> {
    const end = performance.now() + timeoutMs;
    const outcome = await this.#wait(mark, update.kind, timeoutMs);
    if (outcome instanceof Error) throw outcome;
    // What a duplicate repeats may have gone into quarantine before this mark was made.
    if (!outcome.quarantine && !duplicate) return;
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

  /** Waits until a worker has taken a held row away. One look for each counter or program of a partition serves all waiters. */
  async #released(
    partition: number,
    { kind, name }: CheckedUpdate,
    id: number,
    end: number,
    onTimeout: () => never,
  ): Promise<void> {
    const about = `${partition} ${kind} ${name}`;
    const held =
      this.#held.get(about) ?? new Question(() => this.#oldestHeld(partition, kind, name), HELD_POLL_MS);
    this.#held.set(about, held);
    for (;;) {
      const left = end - performance.now();
      if (left <= 0) onTimeout();
      await pause(Math.min(left, HELD_POLL_MS), this.#closed.signal);
      if (this.#closed.signal.aborted) throw new ProducerClosedError();
      const oldest = await held.answer(Math.max(1, end - performance.now()));
      // Rows are written in the order of their numbers; none is left as infinity.
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
      for (const waiter of waiters) waiter.settle(new ProducerClosedError());
  }

  #wait(mark: Mark, kind: CheckedUpdate['kind'], timeoutMs: number): Promise<Reached | Error> {
    if (this.#closed.signal.aborted) return Promise.resolve(new ProducerClosedError());
    return new Promise(resolve => {
      const known = this.#waiters.get(mark.partition);
      const waiters = known ?? new Set<Waiter>();
      if (!known) this.#waiters.set(mark.partition, waiters);
      // Node's timers end at 2^31 ms and fire at once beyond.
      const timer = setTimeout(
        () => waiter.settle(new PersistTimeoutError(timeoutMs)),
        Math.min(timeoutMs, 2 ** 31 - 1),
      );
      const waiter: Waiter = {
        mark,
        kind,
        settle: outcome => {
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
      if (state?.epoch) for (const waiter of waiters) look(waiter, state);
      if (waiters.size > 0) await pause(POLL_MS, this.#closed.signal);
    }
    this.#waiters.delete(partition);
  }

  /** Something of the partition is in quarantine; is it this update? A counter's sum is, if its batch came later. */
  async #inQuarantine(
    { partition, sequence: after, pushed, segmentEnd }: Mark,
    update: CheckedUpdate,
    upTo: number,
  ) {
    const name = Buffer.from(update.name);
    const key = Buffer.from(update.key);
    const [row] = await this.#database
      .query(QUARANTINED, [
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
      ])
      .catch(error => {
        throw databaseError(error, this.#database.place);
      });
    return row;
  }
}

function look(waiter: Waiter, state: Standing): void {
  const standing = standingOf(waiter.mark, waiter.kind, state);
  if (standing === 'lost') waiter.settle(new PersistenceUnknownError());
  else if (standing !== 'waiting')
    waiter.settle({ quarantine: standing === 'quarantine', sequence: state.sequence });
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

/** What a partition's state says about an update with this mark. */
export function standingOf(
  mark: Mark,
  kind: CheckedUpdate['kind'],
  state: Omit<Standing, 'sequence'>,
): 'waiting' | 'reached' | 'quarantine' | 'lost' {
  if (state.epoch !== mark.epoch) return 'lost';
  // Where no update has come since Redis lost its tail, the incarnation is still the old one, and its count too low.
  const kept = state.incarnation === mark.incarnation ? state.updates : keptOf(mark.incarnation, state.ended);
  if (mark.updates > kept) return 'lost';
  const reached = kind === 'c' ? state.poppedAcked >= mark.pushed : state.entryAcked >= mark.entries;
  if (!reached) return 'waiting';
  // An entry is looked up by its id, so that it is asked for whenever anything is in quarantine: its id may be there from before.
  return state.quarantined > (kind === 'p' ? 0 : mark.quarantined) ? 'quarantine' : 'reached';
}

/** How many of an ended incarnation's updates are still there; -1 where it is not known any more. */
function keptOf(incarnation: string, ended: string): number {
  return parseEnded(ended).find(one => one.incarnation === incarnation)?.kept ?? -1;
}
