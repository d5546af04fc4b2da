/** What operators do with holds: list them, and void one, with an audit record. A service voids its own holds itself. */
import type { Sluice } from '../producer/client.ts';
import type { Receipt } from '../producer/receipt.ts';
import { ConfigurationError } from '../shared/errors.ts';
import { LIMITS } from '../shared/limits.ts';
import type { Database } from '../shared/mysql/database.ts';
import { recordHold } from '../shared/updates/failed-update.ts';
import { checkText } from '../shared/updates/key.ts';
import { checkHoldId } from '../shared/updates/update.ts';
import { type HoldFilter, type HoldPage, listHolds } from './holds.ts';
import { type Author, checkAuthor, type NamedHold, type Operations } from './operations.ts';
import { refusal } from './run.ts';

export interface HoldReport {
  readonly operation: number;
  readonly action: 'void';
  readonly hold: NamedHold;
  /** `already`: it was voided before. A refused one is as it was, except that it may have expired now. */
  readonly outcome: 'voided' | 'already' | `refused:${string}`;
  /** Why it was refused. */
  readonly problem?: string;
  /** Points that the hold had; null if the account has no such hold. */
  readonly amount: number | null;
}

export class HoldOperations {
  readonly #database: Database;
  readonly #operations: Operations;

  constructor(database: Database, operations: Operations) {
    this.#database = database;
    this.#operations = operations;
  }

  /**
   * Holds as MySQL has them, in the order of program, account and id.
   * @throws ConfigurationError for an invalid filter; errors of the database
   */
  async list(
    filter: HoldFilter = {},
    { limit = 100, after }: { readonly limit?: number; readonly after?: string | undefined } = {},
  ): Promise<HoldPage> {
    return listHolds(this.#database, filter, limit, after);
  }

  /**
   * Voids a hold through a producer, like any other update. If a server fails meanwhile, the operation stays without an
   * outcome; call again, since a hold ends once.
   * @throws ConfigurationError without a reason; InvalidUpdateError, UnknownNameError; errors of the servers
   */
  async void(
    hold: NamedHold,
    author: Author & { readonly reason: string },
    sluice: Pick<Sluice, 'points'>,
  ): Promise<HoldReport> {
    if (!author.reason) throw new ConfigurationError('A void by an operator needs a reason; give one.');
    checkAuthor(author);
    const { program, account, id } = hold;
    const points = sluice.points(program);
    checkText(account, 'INVALID_ACCOUNT', 'account', LIMITS.account);
    checkHoldId(id);
    const before = await points.findHold(account, id);
    const { operation } = await this.#operations.start('void', author, { hold });
    const { outcome, problem } = await this.#send(() => points.void(account, id));
    const original = JSON.stringify({ ...hold, ...before });
    await this.#database.session(connection => recordHold(connection, operation, outcome, original));
    await this.#operations.finish(operation);
    const report = { operation, action: 'void', hold, outcome, amount: before?.amount ?? null } as const;
    return problem === undefined ? report : { ...report, problem };
  }

  async #send(send: () => Promise<Receipt>): Promise<Pick<HoldReport, 'outcome' | 'problem'>> {
    try {
      const { duplicate } = await send();
      return { outcome: duplicate ? 'already' : 'voided' };
    } catch (error) {
      return { outcome: refusal(error), problem: (error as Error).message };
    }
  }
}
