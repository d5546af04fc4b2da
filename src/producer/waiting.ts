/** An update on its way to Redis, and the caller that gets its result. */
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
  /** Whether only the record was, the last time. */
  lacksHold = false;
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
