/** The client that API services use: counters, points, many updates at once. */

import type { Definitions, DefinitionsInput } from '../shared/definitions.ts';
import { DURABILITIES, type Durability, parseDurability } from '../shared/durability.ts';
import { InvalidUpdateError, ProducerClosedError } from '../shared/errors.ts';
import { LIMITS } from '../shared/limits.ts';
import {
  type CheckedUpdate,
  checkAmount,
  checkCounter,
  checkName,
  checkPoints,
  checkText,
  checkUpdate,
  type Update,
} from '../shared/update.ts';
import type { Applier } from './apply.ts';
import type { CallTraces } from './call-traces.ts';
import { type ApplyResult, ManyCaller, SingleCaller } from './callers.ts';
import type { Health } from './health.ts';
import type { ProducerMetrics } from './metrics.ts';
import type { HistoryEntry, HistoryOptions, Reads } from './reads.ts';
import type { Progress, Receipt } from './receipt.ts';

export interface CallOptions {
  /**
   * What the answer stands for: that Redis' primary has the update in `memory`, that a `replica` has it too, or that it is
   * on disk (`fsync`). By default what the producer was created with.
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
   * A JSON object, up to 8 KiB, that MySQL holds as text. A bigint is kept as a number, and so is what `JSON.rawJSON` makes;
   * an object with a `toJSON`, such as a Date, becomes what that returns. Other values that JSON would change or leave out
   * are refused: undefined, NaN, functions, symbols, class instances.
   */
  metadata?: Record<string, unknown>;
}

type CounterName<D extends DefinitionsInput> = Extract<keyof NonNullable<D['counters']>, string>;
type ProgramName<D extends DefinitionsInput> = Extract<keyof NonNullable<D['points']>, string>;

export interface ClientParts {
  readonly definitions: Definitions;
  readonly applier: Applier;
  readonly reads: Reads;
  readonly progress: Progress;
  readonly metrics: ProducerMetrics;
  readonly durability: Durability;
  /** Only where tracing is on. */
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
  counter(name: CounterName<D>): CounterHandle {
    checkName('counter', name, this.#parts.definitions);
    return new CounterHandle(name, this.#parts, (update, durability) => this.#submit(update, durability));
  }

  /** @throws UnknownNameError */
  points(program: ProgramName<D>): PointsHandle {
    checkName('program', program, this.#parts.definitions);
    return new PointsHandle(program, this.#parts, (update, durability) => this.#submit(update, durability));
  }

  /**
   * Sends many updates, in order, and gives one result each, in order. A bad one does not touch its neighbours.
   * @throws ProducerClosedError, ConfigurationError where the durability is none
   */
  async apply(updates: readonly Update[], options: CallOptions = {}): Promise<ApplyResult[]> {
    if (this.#closing) throw new ProducerClosedError();
    const durability = this.#durability(options.durability);
    if (updates.length === 0) return [];
    const { applier, definitions } = this.#parts;
    return new Promise(resolve => {
      const caller = new ManyCaller(updates.length, resolve, this.#parts);
      for (let at = 0; at < updates.length; at++) {
        let update: CheckedUpdate;
        try {
          update = checkUpdate(updates[at]!, definitions);
        } catch (error) {
          caller.refused(at, error as Error);
          continue;
        }
        applier.add(update, durability, caller, at);
      }
    });
  }

  /** Whether both servers answer now, for a health check; two seconds at most. Never rejects. */
  health(): Promise<Health> {
    return this.#parts.health();
  }

  /** Sends what is buffered, then closes the connections. Calling it again waits for the first. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#parts.applier.drained();
    await this.#parts.traces?.settled();
    this.#parts.progress.close();
    await this.#parts.closeConnections();
  }

  #durability(asked: Durability | undefined): Durability {
    if (asked === undefined) return this.#parts.durability;
    return parseDurability(asked, 'durability', DURABILITIES);
  }

  #submit(update: CheckedUpdate, asked: Durability | undefined): Promise<Receipt> {
    return new Promise((resolve, reject) => {
      if (this.#closing) return reject(new ProducerClosedError());
      // What it throws rejects the promise.
      const durability = this.#durability(asked);
      this.#parts.applier.add(update, durability, new SingleCaller(resolve, reject, this.#parts), 0);
    });
  }
}

type Submit = (update: CheckedUpdate, durability: Durability | undefined) => Promise<Receipt>;

/** A named counter. */
export class CounterHandle {
  readonly name: string;
  readonly #parts: ClientParts;
  readonly #submit: Submit;

  constructor(name: string, parts: ClientParts, submit: Submit) {
    this.name = name;
    this.#parts = parts;
    this.#submit = submit;
  }

  /**
   * Adds `by` (1 by default; may be negative, not zero).
   * @throws InvalidUpdateError, OutOfRangeError, IdempotencyKeyReusedError, UnknownOutcomeError,
   * RedisUnavailableError, RedisOutOfMemoryError, BackpressureError, NotDurableError, RedisUnsuitableError (a durability
   * that this Redis cannot give), ProducerOverloadedError, ProducerClosedError
   */
  async increment(key: string, by?: number, options: IncrementOptions = {}): Promise<Receipt> {
    const update = checkCounter(this.name, key, by, options.id, this.#parts.definitions);
    return this.#submit(update, options.durability);
  }

  /**
   * The value, with every acknowledged increment in it; 0 for a key never counted.
   * @throws InvalidUpdateError, RedisUnavailableError, DatabaseUnavailableError or
   * TableUnusableError (both only if the key is cold)
   */
  async get(key: string): Promise<number> {
    return (await this.getMany([key]))[0]!;
  }

  /** Values in the order of the keys. Throws as `get` does. */
  async getMany(keys: readonly string[]): Promise<number[]> {
    for (const key of keys) checkText(key, 'INVALID_KEY', 'counter key', LIMITS.key);
    return this.#parts.reads.values(keys.map(key => ({ kind: 'c', name: this.name, key })));
  }
}

/** A points program. */
export class PointsHandle {
  readonly program: string;
  readonly #parts: ClientParts;
  readonly #submit: Submit;

  constructor(program: string, parts: ClientParts, submit: Submit) {
    this.program = program;
    this.#parts = parts;
    this.#submit = submit;
  }

  /**
   * Adds points to an account. `amount` is a positive whole number.
   * @throws InvalidUpdateError, OutOfRangeError, IdempotencyKeyReusedError, UnknownOutcomeError,
   * RedisUnavailableError, RedisOutOfMemoryError, DatabaseUnavailableError or TableUnusableError (both only if
   * the account is cold),
   * BackpressureError, NotDurableError, RedisUnsuitableError (a durability that this Redis cannot give),
   * ProducerOverloadedError, ProducerClosedError
   */
  async credit(account: string, amount: number, options: PointsOptions): Promise<Receipt> {
    return this.#submit(this.#entry(account, amount, options, 1), options?.durability);
  }

  /**
   * Takes points from an account, never below the program's floor. `amount` is a positive whole number.
   * @throws InsufficientPointsError, and what `credit` throws
   */
  async debit(account: string, amount: number, options: PointsOptions): Promise<Receipt> {
    return this.#submit(this.#entry(account, amount, options, -1), options?.durability);
  }

  /** The balance, with every acknowledged entry in it; 0 for an account without entries. Throws as `CounterHandle.get`. */
  async balance(account: string): Promise<number> {
    checkText(account, 'INVALID_ACCOUNT', 'account', LIMITS.account);
    const [value] = await this.#parts.reads.values([{ kind: 'p', name: this.program, key: account }]);
    return value!;
  }

  /** The account's entries, newest first, those still pending with `persisted: false`. */
  async history(account: string, options: HistoryOptions = {}): Promise<HistoryEntry[]> {
    checkText(account, 'INVALID_ACCOUNT', 'account', LIMITS.account);
    return this.#parts.reads.history(this.program, account, options);
  }

  #entry(account: string, amount: number, options: PointsOptions | undefined, sign: 1 | -1): CheckedUpdate {
    const positive = checkAmount(amount);
    if (positive < 0)
      throw new InvalidUpdateError(
        'INVALID_AMOUNT',
        `The amount of a credit or a debit must be above 0; it is ${amount}.`,
      );
    const { id, reason, metadata } = options ?? ({} as PointsOptions);
    return checkPoints(
      { points: this.program, account, amount: sign * positive, id, reason, metadata },
      this.#parts.definitions,
    );
  }
}
