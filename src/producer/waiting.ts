/** An update on its way to Redis, and the caller that gets its result. */
import { DatabaseUnavailableError, type SluiceError } from '../shared/errors.ts';
import type { Durability } from '../shared/redis/durability.ts';
import type { CheckedUpdate } from '../shared/updates/update.ts';

/** How far the partition was right after it accepted an update; `persisted()` waits for flushes to pass. */
export interface Mark {
  readonly partition: number;
  readonly epoch: string;
  /** In total: counter keys made pending, entries accepted, updates quarantined. */
  readonly pushed: number;
  readonly entries: number;
  readonly quarantined: number;
  /** Sequence number of the last claimed batch. */
  readonly sequence: number;
  /** End of the segment when the update was accepted; the update comes after it. */
  readonly segmentEnd: number;
  /** Ms of Redis' clock. */
  readonly time: number;
  readonly incarnation: string;
  /** The partition's count of updates. */
  readonly updates: number;
}

/** Gets exactly one of the two calls for each update. Neither may throw. */
export interface Caller {
  /**
   * @param index of the update in the call
   * @param value the live value right after the update; null if it is cold
   * @param held points of the account that are held then
   */
  accepted(
    index: number,
    update: CheckedUpdate,
    value: number | null,
    duplicate: boolean,
    mark: Mark,
    held: number,
  ): void;
  refused(index: number, error: Error): void;
}

/** Counts updates that are not settled yet. */
export interface Unsettled {
  unsettled: number;
  onSettled(): void;
}

/**
 * What was cold at the last call: the account, or only the record of the update's hold. Or nothing of its own: it keeps
 * its place behind an update of its account that lacks its hold.
 */
export type Lack = 'account' | 'hold' | 'nothing';

/** One for each buffered update. It has fields instead of closures, which take more memory. */
export class Waiting {
  readonly update: CheckedUpdate;
  readonly durability: Durability;
  /** Deadline for being sent, ms of the producer's clock. */
  until: number;
  /** Whether it is sent by itself, after Redis refused a sum with it. */
  alone = false;
  /** How often its account, or the record of its hold, was found cold. */
  loads = 0;
  lacks: Lack = 'nothing';
  /** Deadline for waiting for room, ms of the producer's clock; set at the first refusal. */
  roomUntil: number | undefined = undefined;
  readonly #caller: Caller;
  readonly #index: number;
  readonly #buffer: Unsettled;

  constructor(
    update: CheckedUpdate,
    durability: Durability,
    until: number,
    caller: Caller,
    index: number,
    buffer: Unsettled,
  ) {
    this.update = update;
    this.durability = durability;
    this.until = until;
    this.#caller = caller;
    this.#index = index;
    this.#buffer = buffer;
  }

  accept(value: number | null, duplicate: boolean, mark: Mark, held = 0): void {
    this.#caller.accepted(this.#index, this.update, value, duplicate, mark, held);
    this.#settled();
  }

  refuse(error: Error): void {
    this.#caller.refused(this.#index, error);
    this.#settled();
  }

  #settled(): void {
    this.#buffer.unsettled--;
    this.#buffer.onSettled();
  }
}

/** Why accounts, by their items, and the records of holds of single updates could not be made live. */
export interface LoadFailures {
  readonly accounts: ReadonlyMap<string, SluiceError>;
  readonly holds: ReadonlyMap<CheckedUpdate, SluiceError>;
}

/** The failures if nothing was loaded in time. */
export function allLate(lacking: readonly Pick<Waiting, 'update' | 'lacks'>[]): LoadFailures {
  const account = new DatabaseUnavailableError('an account that is not live');
  const hold = new DatabaseUnavailableError('a hold that is not live');
  return {
    accounts: new Map(
      lacking.filter(({ lacks }) => lacks === 'account').map(({ update }) => [update.item, account]),
    ),
    holds: new Map(lacking.filter(({ lacks }) => lacks === 'hold').map(({ update }) => [update, hold])),
  };
}
