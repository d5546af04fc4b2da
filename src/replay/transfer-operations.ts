/**
 * Operations on transfers that wait for their credit: list, retry, return, with an audit record. The command
 * line and programs use the same functions.
 */
import { ConfigurationError } from '../shared/errors.ts';
import { LIMITS } from '../shared/limits.ts';
import type { Database } from '../shared/mysql/database.ts';
import type { Keys } from '../shared/redis/keys.ts';
import { checkText } from '../shared/updates/key.ts';
import { type Author, checkAuthor, type Operations, type TransferAction } from './operations.ts';
import { refusal } from './run.ts';
import {
  changeTransfers,
  inPages,
  RETRY,
  type RecordChanges,
  returning,
  type TransferChange,
  type TransferOutcome,
} from './transfer-changes.ts';
import { checkTransferFilter, type TransferFilter } from './transfer-filter.ts';
import { eachTransfer, listTransfers, type TransitTransfer } from './transfers.ts';

export interface TransferPage {
  /** The oldest first. */
  readonly transfers: readonly TransitTransfer[];
  /** Number of matching transfers, listed or not. */
  readonly total: number;
}

/** What an operation would do to transfers that are alike. */
export interface PlannedTransfers {
  readonly program: string;
  /** The error code with which MySQL refused the credits; null if they are open. */
  readonly code: string | null;
  readonly outcome: TransferOutcome;
  readonly transfers: number;
  /** Points of all of them. */
  readonly amount: number;
}

export interface TransferPlan {
  readonly action: TransferAction;
  readonly groups: readonly PlannedTransfers[];
}

export interface TransferReport {
  readonly operation: number;
  readonly action: TransferAction;
  /** False if it was stopped. Start another for the rest; what is done stays done. */
  readonly finished: boolean;
  /**
   * Number of transfers by outcome: those of `TransferOutcome`, and `refused:CODE` for a return to an account
   * that is the destination already.
   */
  readonly transfers: Readonly<Record<string, number>>;
}

export interface TransferRunOptions {
  /** Stops the run before the next page: a few hundred transfers of one partition. */
  readonly signal?: AbortSignal | undefined;
}

export interface TransferParts {
  readonly database: Database;
  readonly keys: Pick<Keys, 'partitionOf'>;
}

export class TransferOperations {
  readonly #parts: TransferParts;
  readonly #operations: Operations;

  constructor(parts: TransferParts, operations: Operations) {
    this.#parts = parts;
    this.#operations = operations;
  }

  /**
   * At most `limit` transfers that wait for their credit, the oldest first.
   * @throws ConfigurationError for an invalid filter; like every method here, errors of the database
   */
  async list(filter: TransferFilter = {}, { limit = 100 } = {}): Promise<TransferPage> {
    return listTransfers(this.#parts.database, checkTransferFilter(filter), limit);
  }

  /** What an operation would do that started now. It changes nothing. @throws ConfigurationError */
  async plan(action: TransferAction, filter: TransferFilter, to?: string): Promise<TransferPlan> {
    const checked = checkTransferFilter(filter);
    checkAccount(to);
    const groups = new Map<string, PlannedTransfers>();
    for await (const { program, code, state, amount } of eachTransfer(this.#parts.database, checked)) {
      const outcome = state === 'open' ? 'open' : DONE[action];
      const group = JSON.stringify([program, code, outcome]);
      const before = groups.get(group);
      const sums = { transfers: (before?.transfers ?? 0) + 1, amount: (before?.amount ?? 0) + amount };
      groups.set(group, { program, code, outcome, ...sums });
    }
    return { action, groups: [...groups.values()] };
  }

  /**
   * Opens the matching transfers that are aside: workers send their credits once more.
   * @throws ConfigurationError
   */
  async retry(
    filter: TransferFilter,
    author: Author,
    options: TransferRunOptions = {},
  ): Promise<TransferReport> {
    return this.#run('retry', filter, author, undefined, options);
  }

  /**
   * Gives the points of the matching transfers that are aside back to their sources.
   * @param to another account of their program that gets the points instead
   * @throws ConfigurationError without a reason; InvalidUpdateError if `to` can be no account
   */
  async return(
    filter: TransferFilter,
    author: Author & { readonly reason: string },
    { to, ...options }: TransferRunOptions & { readonly to?: string | undefined } = {},
  ): Promise<TransferReport> {
    if (!author.reason) throw new ConfigurationError('A return needs a reason; give one.');
    return this.#run('return', filter, author, to, options);
  }

  async #run(
    action: TransferAction,
    filter: TransferFilter,
    author: Author,
    to: string | undefined,
    { signal }: TransferRunOptions,
  ): Promise<TransferReport> {
    const checked = checkTransferFilter(filter);
    checkAccount(to);
    checkAuthor(author);
    const { operation } = await this.#operations.start(action, author, {
      transfers: { filter: checked, to },
    });
    const change = action === 'retry' ? RETRY : returning(this.#parts.keys, to);
    const missing = new Set(checked.transfers);
    for await (const page of inPages(eachTransfer(this.#parts.database, checked))) {
      if (signal?.aborted) break;
      for (const { transfer } of page) missing.delete(transfer);
      await this.#change(operation, page, change);
    }
    if (!signal?.aborted) await this.#operations.finish(operation);
    const { outcomes, finishedAt } = await this.#operations.get(operation);
    const gone = (outcomes.gone ?? 0) + (signal?.aborted ? 0 : missing.size);
    const transfers = gone > 0 ? { ...outcomes, gone } : outcomes;
    return { operation, action, finished: finishedAt !== null, transfers };
  }

  async #change(operation: number, page: readonly TransitTransfer[], change: TransferChange): Promise<void> {
    const record: RecordChanges = (connection, changed) =>
      this.#operations.recordTransfers(connection, operation, changed);
    const { database } = this.#parts;
    try {
      await changeTransfers(database, page, change, record);
    } catch (error) {
      const outcome = refusal(error);
      // One row that cannot be changed must not keep the others of its page aside.
      if (page.length > 1) for (const row of page) await this.#change(operation, [row], change);
      else await database.session(connection => record(connection, [{ row: page[0]!, outcome }]));
    }
  }
}

const DONE = { retry: 'retried', return: 'returned' } as const satisfies Record<
  TransferAction,
  TransferOutcome
>;

/** @throws InvalidUpdateError */
function checkAccount(account: string | undefined): void {
  if (account !== undefined) checkText(account, 'INVALID_ACCOUNT', 'account', LIMITS.account);
}
