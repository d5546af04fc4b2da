/** What services ask of a value of which one put is kept. */
import { kindOfValue } from '../shared/config/definitions.ts';
import { NotRankedError } from '../shared/errors.ts';
import type { ValueKind } from '../shared/item.ts';
import { type CounterKey, checkKey } from '../shared/updates/key.ts';
import { checkValue } from '../shared/updates/update.ts';
import { BoardHandle } from './board.ts';
import { type CallOptions, type HandleParts, type Submit, shownKey } from './handle.ts';
import type { Receipt } from './receipt.ts';

/** A named value: of its puts one is kept, the greatest, the least or the last, as its definition says. */
export class ValueHandle<Key extends CounterKey = CounterKey> {
  readonly name: string;
  readonly #parts: HandleParts;
  readonly #kind: ValueKind;
  readonly #submit: Submit;
  #board: BoardHandle<Key> | undefined;

  constructor(name: string, parts: HandleParts, submit: Submit) {
    this.name = name;
    this.#parts = parts;
    this.#kind = kindOfValue(name, parts.definitions);
    this.#submit = submit;
  }

  /**
   * Puts a whole number. Which one is kept does not depend on the order of puts for `max` and `min`, so they may be
   * repeated; a repeated put of a `last` value is a new one. The receipt's value is the one that is kept right after
   * the put, or null if the key is cold.
   * @throws as `CounterHandle.increment`, except IdempotencyKeyReusedError
   */
  async put(key: Key, is: number, options: CallOptions = {}): Promise<Receipt> {
    const update = checkValue(this.name, key, is, this.#parts.definitions);
    return this.#submit(update, options.durability);
  }

  /** The value, with every acknowledged put; null for a key that has none. Throws as `CounterHandle.get`. */
  async get(key: Key): Promise<number | null> {
    return (await this.getMany([key]))[0]!;
  }

  /** Values in the order of the keys. Throws as `get` does. */
  async getMany(keys: readonly Key[]): Promise<(number | null)[]> {
    const { definitions, reads } = this.#parts;
    const texts = keys.map(key => checkKey(key, this.name, definitions, 'value'));
    return reads.values(texts.map(key => ({ kind: this.#kind, name: this.name, key })));
  }

  /** The ranks of its keys. @throws NotRankedError if its definition lacks `"ranked": true` */
  get board(): BoardHandle<Key> {
    const { definitions, ranks } = this.#parts;
    const { ranked, target } = definitions.values[this.name]!;
    if (!ranked) throw new NotRankedError(this.name);
    this.#board ??= new BoardHandle({ kind: this.#kind, name: this.name }, ranks, {
      check: key => checkKey(key, this.name, definitions, 'value'),
      shown: shownKey<Key>(target),
    });
    return this.#board;
  }
}
