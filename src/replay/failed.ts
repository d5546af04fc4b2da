/**
 * What operators do with failed updates and flush jobs: look at them, replay, edit and drop them, and see who did what.
 * The command line and programs use the same functions.
 */

import { ConfigurationError, OperationError } from '../shared/errors.ts';
import { LIMITS } from '../shared/limits.ts';
import type { FailedUpdate } from '../shared/updates/failed-update.ts';
import type { ValueTables } from '../shared/values/tables.ts';
import { type Change, checkChange, editOf } from './amendment.ts';
import { checkFilter, type FailedFilter, matchesJob } from './filter.ts';
import { type FailedJob, readJobs } from './jobs.ts';
import { type Action, type Author, type Operation, type OperationItem, Operations } from './operations.ts';
import { checkRate, paced, type RunOptions } from './pace.ts';
import { ReplayOne, type ReplaySeam } from './replay-one.ts';
import { type OperationReport, OperationRun, type RunParts, refusal } from './run.ts';
import { hasTaken } from './take.ts';
import { countUpdates, eachUpdate, readUpdates } from './updates.ts';

/** Opened connections to both servers, and what is known of them. */
export interface FailedParts extends RunParts {
  readonly tables: ValueTables;
  readonly seam?: ReplaySeam | undefined;
}

/** A page of what has failed. */
export interface FailedPage {
  readonly jobs: readonly FailedJob[];
  /** By number. */
  readonly updates: readonly FailedUpdate[];
  /** Updates that match, on all pages. */
  readonly total: number;
}

/** One update, wherever it is now. */
export interface ShownUpdate {
  readonly id: number;
  /** Null where it is in quarantine no more, or never was. */
  readonly update: FailedUpdate | null;
  /** What operations did to it, the oldest first. */
  readonly items: readonly OperationItem[];
}

/** Updates to which the same would happen. */
export interface PlannedGroup {
  readonly kind: FailedUpdate['kind'];
  readonly name: string;
  /** Why they are in quarantine. */
  readonly code: string;
  /** What would become of them. */
  readonly outcome: string;
  readonly updates: number;
}

/** What an operation would do, had it started now. */
export interface Plan {
  readonly action: Action;
  readonly groups: readonly PlannedGroup[];
  readonly jobs: readonly FailedJob[];
}

export class FailedUpdates {
  readonly #parts: FailedParts;
  readonly #operations: Operations;
  readonly #one: ReplayOne;
  readonly #run: OperationRun;

  constructor(parts: FailedParts) {
    this.#parts = parts;
    const seam = parts.seam ?? (() => {});
    this.#operations = new Operations(parts.database);
    this.#one = new ReplayOne(parts.database, parts.tables, seam);
    this.#run = new OperationRun(parts, this.#operations, this.#one, seam);
  }

  /**
   * Failed jobs, and at most `limit` updates with numbers above `after`.
   * @throws ConfigurationError for a filter that is none; what the servers' clients throw, as every method here
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

  /** Every job and update that matches, in bounded memory. @throws ConfigurationError */
  async *export(filter: FailedFilter = {}): AsyncGenerator<FailedJob | FailedUpdate> {
    const checked = checkFilter(filter);
    yield* await this.#matchingJobs(checked);
    yield* eachUpdate(this.#parts.database, checked, {});
  }

  /** Updates by number, those that were replayed, edited or dropped before included. */
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
   * What the operation would do. Every replay is tried, in a transaction of its own that is rolled back, so it needs the
   * time and the locks of the replay; it sees each update alone, so two that only together exceed a limit both pass.
   * @throws ConfigurationError
   */
  async plan(
    action: Action,
    filter: FailedFilter,
    options: RunOptions & { readonly change?: Change } = {},
  ): Promise<Plan> {
    const checked = checkFilter(filter);
    checkRate(options.rate);
    const change = action === 'edit' ? checkChange(options.change ?? {}) : undefined;
    const groups = new Map<string, PlannedGroup>();
    for await (const update of paced(eachUpdate(this.#parts.database, checked, {}), options)) {
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
   * Writes the updates that match now to their values and ledgers, each in one transaction, and wakes the partitions of the
   * jobs. Updates that come later are not touched. @throws ConfigurationError
   */
  async replay(filter: FailedFilter, author: Author, options: RunOptions = {}): Promise<OperationReport> {
    return this.#start('replay', filter, author, null, options);
  }

  /** Replays the updates that match with this change; what they were stays in the audit record. @throws ConfigurationError */
  async edit(
    filter: FailedFilter,
    change: Change,
    author: Author,
    options: RunOptions = {},
  ): Promise<OperationReport> {
    return this.#start('edit', filter, author, checkChange(change), options);
  }

  /** Takes the updates back, out of the live values too, and removes the jobs. The reason is needed. @throws ConfigurationError */
  async drop(
    filter: FailedFilter,
    author: Author & { readonly reason: string },
    options: RunOptions = {},
  ): Promise<OperationReport> {
    if (!author.reason) throw new ConfigurationError('A drop needs a reason; give one.');
    return this.#start('drop', filter, author, null, options);
  }

  /**
   * Goes on with an operation that was cut off, with its filter and no newer updates than it began with.
   * @throws OperationError if there is none, or it has finished and no update waits for its flush
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
    // One that waits for a flush may wait for what Redis has lost: its updates are nobody else's.
    if (found.finishedAt !== null && !(await hasTaken(this.#parts.database, operation)))
      throw new OperationError('OPERATION_FINISHED', operation);
    return this.#run.run(found, options);
  }

  /** The audit record, the newest first. */
  async operations(limit = 20): Promise<Operation[]> {
    return this.#operations.list(limit);
  }

  /** One operation. @throws OperationError */
  async operation(operation: number): Promise<Operation> {
    return this.#operations.get(operation);
  }

  /** What an operation did to each update, by number: at most `limit` with numbers above `after`. */
  async items(operation: number, { after = 0, limit = 100 } = {}): Promise<OperationItem[]> {
    return this.#operations.itemsOf(operation, after, limit);
  }

  async #matchingJobs(filter: FailedFilter): Promise<FailedJob[]> {
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
    options: RunOptions,
  ): Promise<OperationReport> {
    const checked = checkFilter(filter);
    checkRate(options.rate);
    for (const [what, value] of Object.entries(author))
      if (
        typeof value === 'string' &&
        (value === '' || value.length > LIMITS.operator || !value.isWellFormed())
      )
        throw new ConfigurationError(
          `The ${what} must have 1 to ${LIMITS.operator} characters, without a lone surrogate.`,
        );
    const jobs = action === 'edit' ? [] : (await this.#matchingJobs(checked)).map(({ job }) => job);
    return this.#run.run(
      await this.#operations.start(action, author, { filter: checked, jobs, change }),
      options,
    );
  }
}
