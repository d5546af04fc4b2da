/** An update on its way to Redis, and who is told what became of it. */
import type { Durability } from '../shared/durability.ts';
import type { CheckedUpdate } from '../shared/update.ts';

/** Where the partition stood right after an update was accepted; `persisted()` waits for it to be passed. */
export interface Mark {
  readonly partition: number;
  readonly epoch: string;
  readonly pushed: number;
  readonly entries: number;
  readonly quarantined: number;
  /** Of the batch claimed last. */
  readonly sequence: number;
  /** Where the segment ended that batches were taken of: the update is behind it. */
  readonly segmentEnd: number;
  /** Ms of Redis' clock. */
  readonly time: number;
  readonly incarnation: string;
  /** The partition's count of updates. */
  readonly updates: number;
}

/** Of each update of a call it is told one of the two, once. Neither may throw. */
export interface Caller {
  /** @param at the update's place in the call @param value the live value right after it, null where that is not live */
  accepted(at: number, update: CheckedUpdate, value: number | null, duplicate: boolean, mark: Mark): void;
  refused(at: number, error: Error): void;
}

/** Counts the updates that it was given and that are not settled. */
export interface Unsettled {
  unsettled: number;
  onSettled(): void;
}

/** One for each update, so it holds what there is to know instead of functions that remember it. */
export class Waiting {
  readonly update: CheckedUpdate;
  readonly durability: Durability;
  /** When it stops waiting to be sent, on the producer's clock, ms. */
  until: number;
  /** Sent by itself, after a sum that it was part of was refused. */
  alone = false;
  /** How often its account was found cold. */
  loads = 0;
  /** When it stops waiting for room, set at the first refusal. */
  patience: number | undefined = undefined;
  readonly #caller: Caller;
  readonly #at: number;
  readonly #buffer: Unsettled;

  constructor(
    update: CheckedUpdate,
    durability: Durability,
    until: number,
    caller: Caller,
    at: number,
    buffer: Unsettled,
  ) {
    this.update = update;
    this.durability = durability;
    this.until = until;
    this.#caller = caller;
    this.#at = at;
    this.#buffer = buffer;
  }

  accept(value: number | null, duplicate: boolean, mark: Mark): void {
    this.#caller.accepted(this.#at, this.update, value, duplicate, mark);
    this.#settled();
  }

  refuse(error: Error): void {
    this.#caller.refused(this.#at, error);
    this.#settled();
  }

  #settled(): void {
    this.#buffer.unsettled--;
    this.#buffer.onSettled();
  }
}
