/** The client that API services use: counters, points, values, many updates at once. */

import { type KeyPart, splitKey } from '../shared/composite-key.ts';
import { type Definitions, type DefinitionsInput, kindOfValue } from '../shared/config/definitions.ts';
import { hasListKeys, type Target } from '../shared/config/target.ts';
import { NotRankedError, ProducerClosedError } from '../shared/errors.ts';
import type { ValueKind } from '../shared/item.ts';
import { LIMITS } from '../shared/limits.ts';
import type { RankReader } from '../shared/ranks/reader.ts';
import { DURABILITIES, type Durability, parseDurability } from '../shared/redis/durability.ts';
import { type CounterKey, checkKey, checkText } from '../shared/updates/key.ts';
import {
  type CheckedUpdate,
  checkCounter,
  checkName,
  checkPoints,
  checkPositive,
  checkTransfer,
  checkUpdate,
  checkValue,
  type Update,
} from '../shared/updates/update.ts';
import type { Applier } from './apply.ts';
import { BoardHandle } from './board.ts';
import type { CallTraces } from './call-traces.ts';
import { type ApplyResult, ManyCaller, SingleCaller } from './callers.ts';
import type { CreditWatch } from './credit-watch.ts';
import type { Health } from './health.ts';
import type { ProducerMetrics } from './metrics.ts';
import type { HistoryEntry, HistoryOptions, Reads } from './reads.ts';
import {
  type KeptReceipt,
  keptReceipt,
  type Progress,
  type Receipt,
  type TransferReceipt,
} from './receipt.ts';

export interface CallOptions {
  /**
   * Redis must have an update there before it counts as accepted: in the `memory` of its primary, on a
   * `replica` too, or on disk (`fsync`). The producer's durability by default.
   */
  durability?: Durability;
}

export type { ApplyResult };

export interface IncrementOptions extends CallOptions {
  /** Idempotency key, 1 to 255 bytes; remembered for the idempotency window. */
  id?: string;
}

export interface PointsOptions extends CallOptions {
  /** Idempotency key, 1 to 255 bytes, unique in its account for ever. */
  id: string;
  reason?: string;
  /**
   * A JSON object, up to 8 KiB, stored as text. A bigint and a `JSON.rawJSON` number are stored as numbers;
   * an object with `toJSON`, such as a Date, as the result of that. Sluice refuses other values that JSON
   * would change or leave out: undefined, NaN, functions, symbols, class instances.
   */
  metadata?: Record<string, unknown>;
}

type CounterName<D extends DefinitionsInput> = Extract<keyof NonNullable<D['counters']>, string>;
/**
 * Keys of a counter: lists with a part for each key column of its target, otherwise texts. Either, if the
 * definitions are not known when the code is compiled.
 */
export type KeysOf<D extends DefinitionsInput> = {
  readonly [Name in CounterName<D>]: string extends Name
    ? CounterKey
    : NonNullable<D['counters']>[Name] extends { readonly target: { readonly key: infer Key } }
      ? PartsOf<Key>
      : string;
};
type PartsOf<Key> = Key extends readonly unknown[] ? { readonly [At in keyof Key]: KeyPart } : string;
type ValueName<D extends DefinitionsInput> = Extract<keyof NonNullable<D['values']>, string>;
/** Keys of a value, as those of a counter. */
export type ValueKeysOf<D extends DefinitionsInput> = {
  readonly [Name in ValueName<D>]: string extends Name
    ? CounterKey
    : NonNullable<D['values']>[Name] extends { readonly target: { readonly key: infer Key } }
      ? PartsOf<Key>
      : string;
};
type ProgramName<D extends DefinitionsInput> = Extract<keyof NonNullable<D['points']>, string>;

export interface ClientParts {
  readonly definitions: Definitions;
  readonly applier: Applier;
  readonly reads: Reads;
  readonly ranks: RankReader;
  readonly progress: Progress;
  readonly credits: CreditWatch;
  readonly metrics: ProducerMetrics;
  readonly durability: Durability;
  readonly partitions: number;
  /** Only if tracing is on. */
  readonly traces?: CallTraces | undefined;
  readonly health: () => Promise<Health>;
  readonly closeConnections: () => Promise<void>;
}

/** Made by `createProducer`. */
export class Sluice<D extends DefinitionsInput = DefinitionsInput> {
  readonly #parts: ClientParts;
  #closing: Promise<void> | undefined;

  constructor(parts: ClientParts) {
    this.#parts = parts;
  }

  /** @throws UnknownNameError */
  counter<Name extends CounterName<D>>(name: Name): CounterHandle<KeysOf<D>[Name]> {
    checkName('counter', name, this.#parts.definitions);
    return new CounterHandle(name, this.#parts, (update, durability) => this.#submit(update, durability));
  }

  /** @throws UnknownNameError */
  points(program: ProgramName<D>): PointsHandle {
    checkName('program', program, this.#parts.definitions);
    return new PointsHandle(program, this.#parts, (update, durability) => this.#submit(update, durability));
  }

  /** @throws UnknownNameError */
  value<Name extends ValueName<D>>(name: Name): ValueHandle<ValueKeysOf<D>[Name]> {
    checkName('value', name, this.#parts.definitions);
    return new ValueHandle(name, this.#parts, (update, durability) => this.#submit(update, durability));
  }

  /**
   * Sends many updates in order and gives their results in that order. A refused update affects no other.
   * @throws ProducerClosedError, ConfigurationError if the durability is unknown
   */
  async apply(updates: readonly Update[], options: CallOptions = {}): Promise<ApplyResult[]> {
    if (this.#closing) throw new ProducerClosedError();
    const durability = this.#durability(options.durability);
    if (updates.length === 0) return [];
    const { applier, definitions } = this.#parts;
    return new Promise(resolve => {
      const caller = new ManyCaller(updates.length, resolve, this.#parts);
      for (let index = 0; index < updates.length; index++) {
        let update: CheckedUpdate;
        try {
          update = checkUpdate(updates[index]!, definitions);
        } catch (error) {
          caller.refused(index, error as Error);
          continue;
        }
        applier.add(update, durability, caller, index);
      }
    });
  }

  /**
   * The receipt whose `text` this is, of any process of the deployment. Undefined if it is none.
   */
  receipt(text: string): KeptReceipt | undefined {
    return keptReceipt(text, this.#parts.progress, this.#parts.partitions);
  }

  /** Asks whether both servers answer now, for a health check; within two seconds. Never rejects. */
  health(): Promise<Health> {
    return this.#parts.health();
  }

  /** Sends buffered updates, then closes the connections. A second call waits for the first. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#parts.applier.drained();
    await this.#parts.traces?.drained();
    this.#parts.progress.close();
    this.#parts.credits.close();
    await this.#parts.closeConnections();
  }

  #durability(asked: Durability | undefined): Durability {
    if (asked === undefined) return this.#parts.durability;
    return parseDurability(asked, 'durability', DURABILITIES);
  }

  #submit(update: CheckedUpdate, asked: Durability | undefined): Promise<Receipt> {
    return new Promise((resolve, reject) => {
      if (this.#closing) return reject(new ProducerClosedError());
      // An error thrown here rejects the promise.
      const durability = this.#durability(asked);
      this.#parts.applier.add(update, durability, new SingleCaller(resolve, reject, this.#parts), 0);
    });
  }
}

type Submit = (update: CheckedUpdate, durability: Durability | undefined) => Promise<Receipt>;

/** A named counter. */
export class CounterHandle<Key extends CounterKey = CounterKey> {
  readonly name: string;
  readonly #parts: ClientParts;
  readonly #submit: Submit;
  #board: BoardHandle<Key> | undefined;

  constructor(name: string, parts: ClientParts, submit: Submit) {
    this.name = name;
    this.#parts = parts;
    this.#submit = submit;
  }

  /**
   * Adds `by` (1 by default; may be negative, not zero).
   * @throws InvalidUpdateError, OutOfRangeError, IdempotencyKeyReusedError, UnknownOutcomeError,
   * RedisUnavailableError, RedisOutOfMemoryError, BackpressureError, NotDurableError, RedisUnsuitableError
   * (this Redis cannot give the durability), ProducerOverloadedError, ProducerClosedError
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

/** A named value: of its puts one is kept, the greatest, the least or the last, as its definition says. */
export class ValueHandle<Key extends CounterKey = CounterKey> {
  readonly name: string;
  readonly #parts: ClientParts;
  readonly #kind: ValueKind;
  readonly #submit: Submit;
  #board: BoardHandle<Key> | undefined;

  constructor(name: string, parts: ClientParts, submit: Submit) {
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

/** Shows a key's text as callers write the key. */
function shownKey<Key extends CounterKey>(target: Target | undefined): (text: string) => Key {
  const isList = target !== undefined && hasListKeys(target);
  return text => ((isList && splitKey(text)) || text) as Key;
}

/** A points program. */
export class PointsHandle {
  readonly program: string;
  readonly #parts: ClientParts;
  readonly #submit: Submit;
  #board: BoardHandle<string> | undefined;

  constructor(program: string, parts: ClientParts, submit: Submit) {
    this.program = program;
    this.#parts = parts;
    this.#submit = submit;
  }

  /**
   * Adds points to an account. `amount` is a positive whole number.
   * @throws InvalidUpdateError, OutOfRangeError, IdempotencyKeyReusedError, UnknownOutcomeError,
   * RedisUnavailableError, RedisOutOfMemoryError, BackpressureError, NotDurableError, RedisUnsuitableError
   * (this Redis cannot give the durability), ProducerOverloadedError, ProducerClosedError, and if the account
   * is cold DatabaseUnavailableError, TableUnusableError
   */
  async credit(account: string, amount: number, options: PointsOptions): Promise<Receipt> {
    return this.#submit(this.#entry(account, amount, options, 1), options?.durability);
  }

  /**
   * Takes points from an account, never below the program's floor. `amount` is a positive whole number.
   * @throws InsufficientPointsError and all errors of `credit`
   */
  async debit(account: string, amount: number, options: PointsOptions): Promise<Receipt> {
    return this.#submit(this.#entry(account, amount, options, -1), options?.durability);
  }

  /**
   * Takes points from one account and gives them to another one, exactly once. Resolves when the debit is
   * accepted, with the balance of `from`; the credit follows in the background. `amount` is a positive whole
   * number. The id is one of the account `from`.
   * @throws InsufficientPointsError and all errors of `credit`
   */
  async transfer(from: string, to: string, amount: number, options: PointsOptions): Promise<TransferReceipt> {
    const { id, reason, metadata } = options ?? ({} as PointsOptions);
    const update = checkTransfer(
      { points: this.program, from, to, amount, id, reason, metadata },
      this.#parts.definitions,
    );
    return this.#submit(update, options?.durability) as Promise<TransferReceipt>;
  }

  /** The balance, with every acknowledged entry; 0 without entries. Throws as `CounterHandle.get`. */
  async balance(account: string): Promise<number> {
    const key = checkedAccount(account);
    const [value] = await this.#parts.reads.values([{ kind: 'p', name: this.program, key }]);
    return value as number;
  }

  /** The ranks of its accounts. @throws NotRankedError if its definition lacks `"ranked": true` */
  get board(): BoardHandle<string> {
    const { definitions, ranks } = this.#parts;
    if (!definitions.points[this.program]!.ranked) throw new NotRankedError(this.program);
    this.#board ??= new BoardHandle({ kind: 'p', name: this.program }, ranks, {
      check: account => checkedAccount(account),
      shown: text => text,
    });
    return this.#board;
  }

  /** The account's entries, newest first; pending ones have `persisted: false`. */
  async history(account: string, options: HistoryOptions = {}): Promise<HistoryEntry[]> {
    return this.#parts.reads.history(this.program, checkedAccount(account), options);
  }

  #entry(account: string, amount: number, options: PointsOptions | undefined, sign: 1 | -1): CheckedUpdate {
    const positive = checkPositive(amount, 'credit or a debit');
    const { id, reason, metadata } = options ?? ({} as PointsOptions);
    return checkPoints(
      { points: this.program, account, amount: sign * positive, id, reason, metadata },
      this.#parts.definitions,
    );
  }
}

/** @throws InvalidUpdateError */
function checkedAccount(account: string): string {
  checkText(account, 'INVALID_ACCOUNT', 'account', LIMITS.account);
  return account;
}
