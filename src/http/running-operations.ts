/**
 * Operations on failed updates that this process runs after their requests were answered. What an operation has
 * done is in MySQL, so any process can show it; only this one can cancel it.
 */
import type { Logger } from 'pino';
import type { Operation, OperationReport, Progress, RunOptions } from '../replay/index.ts';
import { RequestError } from './request-error.ts';

/** Carries an operation out, from its start or from where it was stopped. */
type CarryOut = (options: RunOptions) => Promise<OperationReport>;

interface Run {
  /** Undefined until it is recorded. */
  operation: number | undefined;
  readonly stop: AbortController;
  progress: Progress | undefined;
  /** As it is recorded, before its first change. Rejects with what the start throws. */
  readonly started: Promise<Operation>;
  /** Never rejects. */
  readonly end: Promise<void>;
}

export class RunningOperations {
  readonly #log: Logger;
  /** Also those that are not recorded yet, so that all of them can be stopped. */
  readonly #runs = new Set<Run>();
  #isClosing = false;

  constructor(log: Logger) {
    this.#log = log;
  }

  /**
   * Starts an operation, and goes on with it.
   * @returns the operation as it is recorded, so that nothing need be read to answer it
   * @throws what the start throws, before it is recorded
   */
  start(carryOut: CarryOut, rate: number | undefined): Promise<Operation> {
    return this.#begin(carryOut, rate, undefined).started;
  }

  /**
   * Continues an operation, unless it goes on here: a second run beside it would try the same updates. After a
   * cancel, it waits for the update that the run is at.
   * @returns the operation as it is recorded; undefined if it goes on
   * @throws what the start throws
   */
  async resume(operation: number, carryOut: CarryOut): Promise<Operation | undefined> {
    for (;;) {
      const run = this.#runOf(operation);
      // Nothing is awaited in between, so of two requests at once the second one finds the run of the first.
      if (!run) return this.#begin(carryOut, undefined, operation).started;
      if (!run.stop.signal.aborted) {
        await run.started;
        return undefined;
      }
      await run.end;
    }
  }

  /** Undefined if this process does not run it. */
  progressOf(operation: number): { readonly done: number; readonly total: number | null } | undefined {
    const run = this.#runOf(operation);
    return run && { done: run.progress?.done ?? 0, total: run.progress?.total ?? null };
  }

  /** Stops it before its next update. @throws RequestError if this process does not run it */
  cancel(operation: number): void {
    const run = this.#runOf(operation);
    if (!run)
      throw new RequestError(
        'NOT_RUNNING_HERE',
        `This process does not run operation ${operation}: it has ended, was interrupted, or another process runs it.`,
      );
    run.stop.abort();
  }

  /** Stops all, and waits for the update that each is at. They can be resumed. */
  async close(): Promise<void> {
    this.#isClosing = true;
    for (const { stop } of this.#runs) stop.abort();
    while (this.#runs.size > 0) await Promise.all([...this.#runs].map(({ end }) => end));
  }

  #runOf(operation: number): Run | undefined {
    return [...this.#runs].find(run => run.operation === operation);
  }

  /** @param known the number of the operation if it is continued */
  #begin(carryOut: CarryOut, rate: number | undefined, known: number | undefined): Run {
    const { promise: started, resolve, reject } = Promise.withResolvers<Operation>();
    const { promise: end, resolve: ended } = Promise.withResolvers<void>();
    const run: Run = { operation: known, stop: new AbortController(), progress: undefined, started, end };
    let isRecorded = false;
    // A request that was open at the end may come here late.
    if (this.#isClosing) run.stop.abort();
    this.#runs.add(run);
    const options: RunOptions = {
      rate,
      signal: run.stop.signal,
      onStart: (operation, recorded) => {
        isRecorded = true;
        run.operation = operation;
        resolve(recorded);
      },
      onProgress: progress => {
        run.progress = progress;
      },
    };
    carryOut(options)
      .catch(error => {
        if (!isRecorded) reject(error);
        else
          this.#log.error(
            { err: error, operation: run.operation },
            'an operation was interrupted; it can be resumed',
          );
      })
      .finally(() => {
        this.#runs.delete(run);
        ended();
      });
    return run;
  }
}
