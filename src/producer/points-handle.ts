/** What services ask of a points program. */
import type { Balance } from '../shared/balance.ts';
import { NotRankedError } from '../shared/errors.ts';
import { LIMITS } from '../shared/limits.ts';
import type { Hold } from '../shared/updates/hold.ts';
import { checkText } from '../shared/updates/key.ts';
import {
  type CheckedUpdate,
  checkHold,
  checkHoldId,
  checkPoints,
  checkPositive,
  checkPost,
  checkTransfer,
  checkVoid,
} from '../shared/updates/update.ts';
import { BoardHandle } from './board.ts';
import type { CallOptions, HandleParts, Submit } from './handle.ts';
import type { HistoryEntry, HistoryOptions } from './reads.ts';
import type { HoldReceipt, Receipt, TransferReceipt } from './receipt.ts';

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

export interface HoldOptions extends CallOptions {
  /** Unique among the holds of its account for ever, 1 to 253 bytes. */
  id: string;
  /** After this many ms the hold ends by itself and its points are free again; it never does by default. */
  expiresInMs?: number;
}

export interface PostOptions extends CallOptions {
  reason?: string;
  /** As in `PointsOptions`. */
  metadata?: Record<string, unknown>;
}

/** What an account has, points. */
export interface AccountState extends Balance {
  /** What a debit or a hold may take: all that is not held, above the floor. */
  readonly available: number;
}

/** A points program. */
export class PointsHandle {
  readonly program: string;
  readonly #parts: HandleParts;
  readonly #submit: Submit;
  #board: BoardHandle<string> | undefined;

  constructor(program: string, parts: HandleParts, submit: Submit) {
    this.program = program;
    this.#parts = parts;
    this.#submit = submit;
  }

  /**
   * Adds points to an account. `amount` is a positive whole number.
   * @throws InvalidUpdateError, OutOfRangeError, IdempotencyKeyReusedError, UnknownOutcomeError,
   * RedisUnavailableError, RedisOutOfMemoryError, BackpressureError, NotDurableError, TooFewReplicasError,
   * RedisUnsuitableError (this Redis cannot give the durability), ProducerOverloadedError,
   * ProducerClosedError, and if the account is cold DatabaseUnavailableError, TableUnusableError
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

  /**
   * Keeps points of an account for one use, exactly once: until `post` takes them, `void` frees them, or their time is
   * over. Nobody else can spend them. `amount` is a positive whole number. The same id and amount again is a duplicate.
   * @throws InsufficientPointsError, IdempotencyKeyReusedError if the id had another amount, and all errors of
   * `credit`; DatabaseUnavailableError also if the account is live, since MySQL knows which ids were used
   */
  async hold(account: string, amount: number, options: HoldOptions): Promise<HoldReceipt> {
    const { id, expiresInMs } = options ?? ({} as HoldOptions);
    const update = { points: this.program, account, hold: amount, id, expiresInMs };
    const checked = checkHold(update, this.#parts.definitions);
    return this.#submit(checked, options?.durability) as Promise<HoldReceipt>;
  }

  /**
   * Takes the points of a hold, or a part of them, which ends it; what is left is free again. The same amount again is
   * a duplicate.
   * @param amount whole number above 0, at most what is held; all of it by default
   * @throws HoldEndedError, HoldExceededError, UnknownHoldError, and all errors of `credit`
   */
  async post(
    account: string,
    hold: string,
    amount?: number,
    options: PostOptions = {},
  ): Promise<HoldReceipt> {
    const { reason, metadata } = options;
    const update = { points: this.program, account, post: hold, amount, reason, metadata };
    const checked = checkPost(update, this.#parts.definitions);
    return this.#submit(checked, options.durability) as Promise<HoldReceipt>;
  }

  /**
   * Ends a hold and frees its points. A second call is a duplicate.
   * @throws HoldEndedError, UnknownHoldError, and all errors of `credit`
   */
  async void(account: string, hold: string, options: CallOptions = {}): Promise<HoldReceipt> {
    const checked = checkVoid({ points: this.program, account, void: hold }, this.#parts.definitions);
    return this.#submit(checked, options.durability) as Promise<HoldReceipt>;
  }

  /** Balance, held and available points, with every acknowledged update. Throws as `CounterHandle.get`. */
  async account(account: string): Promise<AccountState> {
    const { balance, held } = await this.#parts.reads.balance(this.program, checkedAccount(account));
    const { floor } = this.#parts.definitions.points[this.program]!;
    return { balance, held, available: Math.max(0, balance - held - floor) };
  }

  /** How a hold stands; undefined if the account has no such hold. Throws as `CounterHandle.get`. */
  async findHold(account: string, hold: string): Promise<Hold | undefined> {
    checkHoldId(hold);
    return this.#parts.reads.hold({ program: this.program, account: checkedAccount(account), hold });
  }

  /** The balance, with every acknowledged entry and what is held; 0 without entries. Throws as `CounterHandle.get`. */
  async balance(account: string): Promise<number> {
    const { balance } = await this.#parts.reads.balance(this.program, checkedAccount(account));
    return balance;
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
