/**
 * Operations on failed updates and flush jobs: list, replay, edit and drop them, and read the audit record.
 * The command line and programs use the same functions.
 */

import { ConfigurationError, OperationError } from '../shared/errors.ts';
import type { FailedUpdate } from '../shared/updates/failed-update.ts';
import type { ValueTables } from '../shared/values/tables.ts';
import { type Change, checkChange, editOf } from './amendment.ts';
import { type CheckedFilter, checkFilter, type FailedFilter, matchesJob } from './filter.ts';
import { HoldOperations } from './hold-operations.ts';
import { type FailedJob, readJobs } from './jobs.ts';
import {
  type Action,
  type Author,
  checkAuthor,
  type Operation,
  type OperationItem,
  Operations,
  type TransferItem,
} from './operations.ts';
import { checkRate, paced, type RunOptions, type StartOptions } from './pace.ts';
import { ReplayOne, type ReplaySeam } from './replay-one.ts';
import { type OperationReport, OperationRun, type RunParts, refusal } from './run.ts';
import { hasTaken } from './take.ts';
import { TransferOperations } from './transfer-operations.ts';
import { countUpdates, eachUpdate, readUpdates } from './updates.ts';

/** Open connections to both servers, and the tables. */
export interface FailedParts extends RunParts {
  readonly tables: ValueTables;
  readonly seam?: ReplaySeam | undefined;
}

/** A page of failed updates, and the failed jobs. */
export interface FailedPage {
  readonly jobs: readonly FailedJob[];
  /** In the order of their numbers. */
  readonly updates: readonly FailedUpdate[];
  /** Number of matching updates on all pages. */
  readonly total: number;
}

/** An update that is or was in quarantine. */
export interface ShownUpdate {
  readonly id: number;
  /** Null if it is no longer in quarantine, or never was. */
  readonly update: FailedUpdate | null;
  /** Results of the operations on it, the oldest operation first. */
  readonly items: readonly OperationItem[];
}

/** Updates with the same expected outcome. */
export interface PlannedGroup {
  readonly kind: FailedUpdate['kind'];
  readonly name: string;
  /** The error code that put them into quarantine. */
  readonly code: string;
  /** The expected outcome. */
  readonly outcome: string;
  readonly updates: number;
}

/** Expected results of an operation that would start now. */
export interface Plan {
  readonly action: Action;
  readonly groups: readonly PlannedGroup[];
  readonly jobs: readonly FailedJob[];
}

export class FailedUpdates {
  /** Operations on transfers that wait for their credit. */
  readonly transfers: TransferOperations;
  /** Operations on holds. */
  readonly holds: HoldOperations;
  readonly #parts: FailedParts;
  readonly #operations: Operations;
  readonly #one: ReplayOne;
  readonly #run: OperationRun;

  constructor(parts: FailedParts) {
    this.#parts = parts;
    const seam = parts.seam ?? (() => {});
    this.#operations = new Operations(parts.database);
    this.transfers = new TransferOperations(parts, this.#operations);
    this.holds = new HoldOperations(parts.database, this.#operations);
    this.#one = new ReplayOne(parts.database, parts.tables, seam);
    this.#run = new OperationRun(parts, this.#operations, this.#one, seam);
  }

  /**
   * Failed jobs, and at most `limit` updates with numbers above `after`.
   * @throws ConfigurationError for an invalid filter; like every method here, errors of the servers' clients
   */
  async list(filter: FailedFilter = {}, { after = 0, limit = 100 } = {}): Promise<FailedPage> {
    const checked = checkFilter(filter);
    const { database } = this.#parts;
    return {
      jobs: await this.#matchingJobs(checked),
      updates: await readUpdates(database, checked, { after }, limit),
      total: await countUpdates(database, checked, {}),
    };
  }

  /** All matching jobs and updates, in bounded memory. @throws ConfigurationError */
  async *export(filter: FailedFilter = {}): AsyncGenerator<FailedJob | FailedUpdate> {
    const checked = checkFilter(filter);
    yield* await this.#matchingJobs(checked);
    yield* eachUpdate(this.#parts.database, checked, {});
  }

  /** Updates by number, including those that were replayed, edited or dropped. */
  async show(ids: readonly number[]): Promise<ShownUpdate[]> {
    const { ids: checked = [] } = checkFilter({ ids: [...ids] });
    const updates = await readUpdates(this.#parts.database, { ids: checked }, {}, checked.length);
    const items = await this.#operations.items(checked);
    return checked.map(id => ({
      id,
      update: updates.find(update => update.id === id) ?? null,
      items: items.filter(item => item.id === id),
    }));
  }

  /**
   * Predicts the results of the operation. Each replay is tried in a transaction that is rolled back, so a
   * plan needs the time and the locks of the replay. It tries each update alone, so two updates that exceed a
   * limit only together both pass.
   * @throws ConfigurationError
   */
  async plan(
    action: Action,
    filter: FailedFilter,
    { lastId, ...options }: RunOptions & Pick<StartOptions, 'lastId'> & { readonly change?: Change } = {},
  ): Promise<Plan> {
    const checked = checkFilter(filter);
    checkRate(options.rate);
    const change = action === 'edit' ? checkChange(options.change ?? {}) : undefined;
    const groups = new Map<string, PlannedGroup>();
    for await (const update of paced(eachUpdate(this.#parts.database, checked, { last: lastId }), options)) {
      const outcome = await this.#expected(action, update, change);
      const { kind, name, code } = update;
      const group = JSON.stringify([kind, name, code, outcome]);
      const updates = (groups.get(group)?.updates ?? 0) + 1;
      groups.set(group, { kind, name, code, outcome, updates });
    }
    return {
      action,
      groups: [...groups.values()],
      jobs: action === 'edit' ? [] : await this.#matchingJobs(checked),
    };
  }

  /**
   * Writes the matching updates to their values and ledgers, each in its own transaction, and wakes the
   * partitions of matching jobs. Updates that enter quarantine later are not changed.
   * @throws ConfigurationError
   */
  async replay(filter: FailedFilter, author: Author, options: StartOptions = {}): Promise<OperationReport> {
    return this.#start('replay', filter, author, null, options);
  }

  /**
   * Replays the matching updates with this change. The audit record keeps the originals.
   * @throws ConfigurationError
   */
  async edit(
    filter: FailedFilter,
    change: Change,
    author: Author,
    options: StartOptions = {},
  ): Promise<OperationReport> {
    return this.#start('edit', filter, author, checkChange(change), options);
  }

  /** Drops matching updates, also from live values, and jobs. @throws ConfigurationError without a reason */
  async drop(
    filter: FailedFilter,
    author: Author & { readonly reason: string },
    options: StartOptions = {},
  ): Promise<OperationReport> {
    if (!author.reason) throw new ConfigurationError('A drop needs a reason; give one.');
    return this.#start('drop', filter, author, null, options);
  }

  /**
   * Continues an interrupted operation, with its filter, at its rate unless another one is given, and without
   * updates that are newer than the operation.
   * @throws OperationError if there is none, or if it has finished and no update waits for its flush
   */
  async resume(
    actions: readonly Action[],
    operation: number,
    options: RunOptions = {},
  ): Promise<OperationReport> {
    checkRate(options.rate);
    const found = await this.#operations.get(operation);
    if (!actions.some(action => action === found.action))
      throw new OperationError('UNKNOWN_OPERATION', operation);
    // A finished operation may wait for an amendment that Redis has lost, and only it can send that again.
    if (found.finishedAt !== null && !(await hasTaken(this.#parts.database, operation)))
      throw new OperationError('OPERATION_FINISHED', operation);
    // The operator who chose it may have done so to spare the database.
    return this.#run.run(found, { ...options, rate: options.rate ?? found.rate ?? undefined });
  }

  /** The audit record, the newest operation first. */
  async operations(limit = 20): Promise<Operation[]> {
    return this.#operations.list(limit);
  }

  /** One operation. @throws OperationError */
  async operation(operation: number): Promise<Operation> {
    return this.#operations.get(operation);
  }

  /** Results of an operation, by number of the update: at most `limit`, with numbers above `after`. */
  async items(operation: number, { after = 0, limit = 100 } = {}): Promise<OperationItem[]> {
    return this.#operations.itemsOf(operation, after, limit);
  }

  /** Results of an operation on transfers, by name of the transfer: at most `limit`. */
  async transferItems(operation: number, { limit = 100 } = {}): Promise<TransferItem[]> {
    return this.#operations.transfersOf(operation, limit);
  }

  async #matchingJobs(filter: CheckedFilter): Promise<FailedJob[]> {
    return (await readJobs(this.#parts.queue)).filter(job => matchesJob(filter, job));
  }

  async #expected(action: Action, update: FailedUpdate, change: Change | undefined): Promise<string> {
    if (action === 'replay') return this.#one.run(update, undefined);
    if (update.takenBy !== null) return 'already';
    if (action === 'drop') return 'dropped';
    try {
      editOf(update, change ?? {}, 0, this.#parts.definitions);
      return 'edited';
    } catch (error) {
      return refusal(error);
    }
  }

  async #start(
    action: Action,
    filter: FailedFilter,
    author: Author,
    change: Change | null,
    { lastId, jobs: only, ...options }: StartOptions,
  ): Promise<OperationReport> {
    const checked = checkFilter(filter);
    const { rate = null } = options;
    checkRate(options.rate);
    checkAuthor(author);
    const matching = action === 'edit' ? [] : (await this.#matchingJobs(checked)).map(({ job }) => job);
    const jobs = only ? matching.filter(job => only.includes(job)) : matching;
    return this.#run.run(
      await this.#operations.start(action, author, { filter: checked, jobs, change, rate, lastId }),
      options,
    );
  }
}
