/**
 * One run of an operation: first the jobs, then each update in the order of their numbers, recorded one by
 * one. If a run is interrupted at any point and repeated, the result for each update is that of one complete
 * run.
 */

import { type Amend, type AmenderParts, openAmender } from '../producer/amend.ts';
import { pause } from '../shared/clock.ts';
import type { Definitions } from '../shared/config/definitions.ts';
import { SluiceError } from '../shared/errors.ts';
import type { Database } from '../shared/mysql/database.ts';
import type { FailedUpdate } from '../shared/updates/failed-update.ts';
import { dropOf, editOf } from './amendment.ts';
import { endJob, readJobs } from './jobs.ts';
import { DONE, type Operation, type Operations } from './operations.ts';
import { paced, type RunOptions } from './pace.ts';
import type { ReplayOne, ReplaySeam } from './replay-one.ts';
import { letGo, take } from './take.ts';
import { countUpdates, eachUpdate, readUpdates } from './updates.ts';

/** Open connections to both servers, and the definitions for the checks of edits. */
export interface RunParts extends AmenderParts {
  readonly database: Database;
  readonly definitions: Definitions;
}

/** Result of an operation over all its runs. */
export interface OperationReport {
  readonly operation: number;
  readonly action: Operation['action'];
  /** False if it was stopped or has updates that are `waiting`. Then it can be resumed. */
  readonly finished: boolean;
  /**
   * Number of updates by outcome:
   * - `replayed`, `edited`, `dropped`
   * - `already`: no longer in quarantine, or taken by another operation
   * - `refused:CODE`: stays in quarantine
   * - `waiting`: the replay needs the partition's next flush first
   * - `accepted`: the next flush carries out the edit or drop
   * - `unknown`: the number was never in quarantine
   */
  readonly updates: Readonly<Record<string, number>>;
  /** Number of flush jobs of this run by outcome: `replayed` or `dropped`; `already` if they were gone. */
  readonly jobs: Readonly<Record<string, number>>;
  /** Operations that have taken updates which this run therefore skipped, by number. */
  readonly takenBy: readonly TakenBy[];
}

/** An operation that has taken updates. If it was interrupted, any operator can resume it. */
export interface TakenBy {
  readonly operation: number;
  readonly action: Operation['action'];
  readonly operator: string;
  /** How many updates this run skipped because of it. */
  readonly updates: number;
}

/** Intermediate results of a run. */
interface Met {
  /** Updates with accepted amendments. */
  readonly open: FailedUpdate[];
  /** Number of updates that each other operation has taken. */
  readonly taken: Map<number, number>;
}

/** How long an edit or a drop waits for the flush that carries it out. */
const FLUSH_WAIT_MS = 10_000;
const FLUSH_POLL_MS = 50;

export class OperationRun {
  readonly #parts: RunParts;
  readonly #operations: Operations;
  readonly #one: ReplayOne;
  readonly #seam: ReplaySeam;
  /** Opened by the first amendment. */
  #amend: Amend | undefined;

  constructor(parts: RunParts, operations: Operations, one: ReplayOne, seam: ReplaySeam) {
    this.#parts = parts;
    this.#operations = operations;
    this.#one = one;
    this.#seam = seam;
  }

  async run(operation: Operation, options: RunOptions): Promise<OperationReport> {
    await this.#seam('started');
    options.onStart?.(operation.operation, operation);
    const { database } = this.#parts;
    const span = { last: operation.lastId, notDoneBy: operation.operation };
    const total = operation.jobs.length + (await countUpdates(database, operation.filter, span));
    const seen = new Set<number>();
    const met: Met = { open: [], taken: new Map() };
    const passing: Record<string, number> = {};
    let done = 0;
    const jobs = await this.#endJobs(operation, outcome =>
      options.onProgress?.({ done: ++done, total, outcome }),
    );
    for await (const update of paced(eachUpdate(database, operation.filter, span), options)) {
      const outcome = await this.#act(operation, update, met);
      seen.add(update.id);
      if (outcome === 'waiting') passing.waiting = (passing.waiting ?? 0) + 1;
      options.onProgress?.({ done: ++done, total, outcome });
    }
    const accepted =
      met.open.length > 0 ? await this.#afterFlush(operation.operation, met.open, options.signal) : 0;
    if (accepted > 0) passing.accepted = accepted;
    const isCutOff = options.signal?.aborted === true || passing.waiting !== undefined;
    if (!isCutOff) {
      const unknown = await this.#noteGone(operation, seen);
      if (unknown > 0) passing.unknown = unknown;
      await this.#operations.finish(operation.operation);
      await this.#seam('finished');
    }
    const { action, finishedAt, outcomes } = await this.#operations.get(operation.operation);
    return {
      operation: operation.operation,
      action,
      finished: finishedAt !== null,
      updates: { ...outcomes, ...passing },
      jobs,
      takenBy: await this.#takers(met.taken),
    };
  }

  async #endJobs(operation: Operation, tell: (outcome: string) => void): Promise<Record<string, number>> {
    const outcomes: Record<string, number> = {};
    if (operation.jobs.length === 0) return outcomes;
    const { queue } = this.#parts;
    const there = new Map((await readJobs(queue)).map(job => [job.job, job]));
    for (const id of operation.jobs) {
      const job = there.get(id);
      const isReplay = operation.action === 'replay';
      const ended = job !== undefined && (await endJob(queue, job, isReplay));
      const outcome = ended ? (isReplay ? 'replayed' : 'dropped') : 'already';
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      tell(outcome);
    }
    return outcomes;
  }

  async #act(operation: Operation, update: FailedUpdate, met: Met): Promise<string> {
    const isReplay = operation.action === 'replay';
    const outcome = isReplay
      ? await this.#one.run(update, operation.operation)
      : await this.#change(operation, update, met);
    if (isReplay && outcome === 'already') {
      const [now] = await readUpdates(this.#parts.database, { ids: [update.id] }, {}, 1);
      if (now) countUp(met.taken, now.takenBy);
    }
    if (outcome === 'accepted') met.open.push(update);
    if (outcome === 'already' || outcome.startsWith('refused:'))
      await this.#operations.note(operation.operation, update, outcome);
    return outcome;
  }

  /** Takes the update, then sends its amendment. */
  async #change({ operation, action, change }: Operation, { id }: FailedUpdate, met: Met): Promise<string> {
    const { database, definitions } = this.#parts;
    const taken = await take(database, id, operation);
    if (taken?.takenBy !== operation) {
      if (taken) countUp(met.taken, taken.takenBy);
      return 'already';
    }
    await this.#seam('taken');
    try {
      this.#amend ??= await openAmender(this.#parts);
      await this.#amend(
        action === 'drop' ? dropOf(taken, operation) : editOf(taken, change ?? {}, operation, definitions),
      );
    } catch (error) {
      const outcome = refusal(error);
      await letGo(database, id, operation);
      return outcome;
    }
    await this.#seam('sent');
    return 'accepted';
  }

  async #takers(taken: ReadonlyMap<number, number>): Promise<TakenBy[]> {
    const takers: TakenBy[] = [];
    for (const [of, updates] of [...taken].sort(([a], [b]) => a - b)) {
      const { operation, action, operator } = await this.#operations.get(of);
      takers.push({ operation, action, operator, updates });
    }
    return takers;
  }

  /**
   * Waits for the flush that carries the amendments out, unless the run is stopped. Returns how many are still
   * pending.
   */
  async #afterFlush(
    operation: number,
    updates: readonly FailedUpdate[],
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const end = performance.now() + FLUSH_WAIT_MS;
    let open = updates;
    for (;;) {
      const there = new Set<number>();
      const ids = open.map(({ id }) => id);
      for (let from = 0; from < ids.length; from += 1000) {
        const part = ids.slice(from, from + 1000);
        const span = { notDoneBy: operation };
        for (const { id } of await readUpdates(this.#parts.database, { ids: part }, span, 1000))
          there.add(id);
      }
      // A flush recorded the amendments that it carried out. Other updates were gone before.
      for (const update of open)
        if (!there.has(update.id)) await this.#operations.note(operation, update, 'already');
      open = open.filter(({ id }) => there.has(id));
      if (open.length === 0 || signal?.aborted || performance.now() >= end) return open.length;
      await pause(FLUSH_POLL_MS, signal);
    }
  }

  /** Notes requested numbers that are no longer in quarantine. Returns how many never were. */
  async #noteGone({ operation, filter }: Operation, seen: ReadonlySet<number>): Promise<number> {
    const gone = (filter.ids ?? []).filter(id => !seen.has(id));
    if (gone.length === 0) return 0;
    const items = await this.#operations.items(gone);
    let unknown = 0;
    for (const id of gone) {
      const done = items.findLast(item => item.id === id && DONE.has(item.outcome));
      if (done) await this.#operations.note(operation, done.original, 'already');
      else unknown++;
    }
    return unknown;
  }
}

function countUp(counts: Map<number, number>, of: number | null): void {
  if (of !== null) counts.set(of, (counts.get(of) ?? 0) + 1);
}

/** @throws the error itself if it is not about the update */
export function refusal(error: unknown): `refused:${string}` {
  if (error instanceof SluiceError && !error.retryable && !FATAL.has(error.code))
    return `refused:${error.code}`;
  throw error;
}

/** Errors that are not about the update: the next one would fail too. */
const FATAL = new Set([
  'DATABASE_UNSUITABLE',
  'DATABASE_ANSWER_MISSING',
  'ACCESS_DENIED',
  'PRODUCER_CLOSED',
  'NOT_MIGRATED',
  'NEWER_FORMAT',
]);
