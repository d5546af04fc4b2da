/** What services ask of a points program. */
import { NotRankedError } from '../shared/errors.ts';
import { LIMITS } from '../shared/limits.ts';
import { checkText } from '../shared/updates/key.ts';
import { type CheckedUpdate, checkPoints, checkPositive, checkTransfer } from '../shared/updates/update.ts';
import { BoardHandle } from './board.ts';
import type { CallOptions, HandleParts, Submit } from './handle.ts';
import type { HistoryEntry, HistoryOptions } from './reads.ts';
import type { Receipt, TransferReceipt } from './receipt.ts';

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
