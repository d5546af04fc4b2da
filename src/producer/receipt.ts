/** `persisted()`: waits until the batches up to an update's mark are in MySQL. One poll per partition serves all waiters. */
import { pause } from '../shared/clock.ts';
import {
  PersistenceUnknownError,
  PersistTimeoutError,
  ProducerClosedError,
  QuarantinedError,
} from '../shared/errors.ts';
import type { Keys } from '../shared/keys.ts';
import { type Database, readSql } from '../shared/mysql.ts';
import { databaseError } from '../shared/mysql-errors.ts';
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
   * Resolves once the update is in MySQL (it may resolve a batch later than it could).
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
const QUARANTINED = readSql(new URL('./sql/quarantined.sql', import.meta.url));

export class Progress {
  readonly #redis: RedisConnection;
  readonly #database: Database;
  readonly #keys: Keys;
  readonly #waiters = new Map<number, Set<Waiter>>();
  readonly #closed = new AbortController();

  constructor(redis: RedisConnection, database: Database, keys: Keys) {
    this.#redis = redis;
    this.#database = database;
    this.#keys = keys;
  }

  async reached(mark: Mark, update: CheckedUpdate, duplicate: boolean, timeoutMs: number): Promise<void> {
    const outcome = await this.#wait(mark, update.kind, timeoutMs);
    if (outcome instanceof Error) throw outcome;
    // What a duplicate repeats may have gone into quarantine before this mark was made.
    if (outcome.quarantine || duplicate)
      await this.#checkQuarantine(
        duplicate ? { ...mark, sequence: 0, segmentEnd: 0 } : mark,
        update,
        outcome.sequence,
      );
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
      const reply = await this.#redis
        .hmget(this.#keys.state(partition), ...STATE_FIELDS, 'sequence')
        .catch(() => undefined);
      if (reply?.[0]) for (const waiter of waiters) look(waiter, reply);
      if (waiters.size > 0) await pause(POLL_MS, this.#closed.signal);
    }
    this.#waiters.delete(partition);
  }

  /** Something of the partition is in quarantine; is it this update? A counter's sum is, if its batch came later. */
  async #checkQuarantine(
    { partition, sequence: after, pushed, segmentEnd }: Mark,
    update: CheckedUpdate,
    upTo: number,
  ): Promise<void> {
    const name = Buffer.from(update.name);
    const key = Buffer.from(update.key);
    const [row] = await this.#database
      .query(QUARANTINED, [
        update.kind === 'c' ? 'counter' : 'entry',
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
    if (row) throw new QuarantinedError(update.name, String(row.error_code));
  }
}

function look(waiter: Waiter, reply: (string | null)[]): void {
  const standing = standingOf(waiter.mark, waiter.kind, reply);
  if (standing === 'lost') waiter.settle(new PersistenceUnknownError());
  else if (standing !== 'waiting')
    waiter.settle({ quarantine: standing === 'quarantine', sequence: Number(reply[STATE_FIELDS.length]) });
}

/** What of a partition's state `standingOf` has to know. */
export const STATE_FIELDS = [
  'epoch',
  'poppedAcked',
  'entryAcked',
  'quarantined',
  'incarnation',
  'updates',
  'ended',
] as const;

/** What a partition's state says about an update with this mark. */
export function standingOf(
  mark: Mark,
  kind: CheckedUpdate['kind'],
  [epoch, popped, acked, quarantined, incarnation, updates, ended]: readonly (string | number | null)[],
): 'waiting' | 'reached' | 'quarantine' | 'lost' {
  if (epoch !== mark.epoch) return 'lost';
  // Where no update has come since Redis lost its tail, the incarnation is still the old one, and its count too low.
  const kept = incarnation === mark.incarnation ? Number(updates) : keptOf(mark.incarnation, ended);
  if (mark.updates > kept) return 'lost';
  const reached = kind === 'c' ? Number(popped) >= mark.pushed : Number(acked) >= mark.entries;
  if (!reached) return 'waiting';
  // An entry is looked up by its id, so that it is asked for whenever anything is in quarantine: its id may be there from before.
  return Number(quarantined) > (kind === 'p' ? 0 : mark.quarantined) ? 'quarantine' : 'reached';
}

/** How many of an ended incarnation's updates are still there; -1 where it is not known any more. */
function keptOf(incarnation: string, ended: string | number | null | undefined): number {
  const fields = String(ended ?? '').split(' ');
  const at = fields.indexOf(incarnation);
  return at < 0 ? -1 : Number(fields[at + 1]);
}
