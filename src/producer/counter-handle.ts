/** What services ask of a counter. */
import { NotRankedError } from '../shared/errors.ts';
import { type CounterKey, checkKey } from '../shared/updates/key.ts';
import { checkCounter } from '../shared/updates/update.ts';
import { BoardHandle } from './board.ts';
import { type CallOptions, type HandleParts, type Submit, shownKey } from './handle.ts';
import type { Receipt } from './receipt.ts';

export interface IncrementOptions extends CallOptions {
  /** Idempotency key, 1 to 255 bytes; remembered for the idempotency window. */
  id?: string;
}

/** A named counter. */
export class CounterHandle<Key extends CounterKey = CounterKey> {
  readonly name: string;
  readonly #parts: HandleParts;
  readonly #submit: Submit;
  #board: BoardHandle<Key> | undefined;

  constructor(name: string, parts: HandleParts, submit: Submit) {
    this.name = name;
    this.#parts = parts;
    this.#submit = submit;
  }

  /**
   * Adds `by` (1 by default; may be negative, not zero).
   * @throws InvalidUpdateError, OutOfRangeError, IdempotencyKeyReusedError, UnknownOutcomeError,
   * RedisUnavailableError, RedisOutOfMemoryError, BackpressureError, NotDurableError, TooFewReplicasError,
   * RedisUnsuitableError (this Redis cannot give the durability), ProducerOverloadedError, ProducerClosedError
   */
  async increment(key: Key, by?: number, options: IncrementOptions = {}): Promise<Receipt> {
    const update = checkCounter(this.name, key, by, options.id, this.#parts.definitions);
    return this.#submit(update, options.durability);
  }

  /**
   * The value, with every acknowledged increment; 0 for a key that was never counted.
   * @throws InvalidUpdateError, RedisUnavailableError, and if the key is cold DatabaseUnavailableError,
   * TableUnusableError
   */
  async get(key: Key): Promise<number> {
    return (await this.getMany([key]))[0]!;
  }

  /** The ranks of its keys. @throws NotRankedError if its definition lacks `"ranked": true` */
  get board(): BoardHandle<Key> {
    const { definitions, ranks } = this.#parts;
    const { ranked, target } = definitions.counters[this.name]!;
    if (!ranked) throw new NotRankedError(this.name);
    this.#board ??= new BoardHandle({ kind: 'c', name: this.name }, ranks, {
      check: key => checkKey(key, this.name, definitions),
      shown: shownKey<Key>(target),
    });
    return this.#board;
  }

  /** Values in the order of the keys. Throws as `get` does. */
  async getMany(keys: readonly Key[]): Promise<number[]> {
    const { definitions, reads } = this.#parts;
    const texts = keys.map(key => checkKey(key, this.name, definitions));
    return (await reads.values(texts.map(key => ({ kind: 'c', name: this.name, key })))) as number[];
  }
}
