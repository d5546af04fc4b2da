/**
 * Operations on failed updates that this process runs after their requests were answered. What an operation has
 * done is in MySQL, so any process can show it; only this one can cancel it.
 */
import type { Logger } from 'pino';
import type { OperationReport, Progress, RunOptions } from '../replay/index.ts';
import { RequestError } from './request-error.ts';

interface Running {
  readonly stop: AbortController;
  progress: Progress | undefined;
}

export class RunningOperations {
  readonly #log: Logger;
  readonly #running = new Map<number, Running>();
  readonly #ends = new Set<Promise<unknown>>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /**
   * Starts an operation, and goes on with it.
   * @returns its number, once it is recorded
   * @throws what the start throws, before it is recorded
   */
  start(run: (options: RunOptions) => Promise<OperationReport>, rate: number | undefined): Promise<number> {
    return new Promise((resolve, reject) => {
      const running: Running = { stop: new AbortController(), progress: undefined };
      let operation: number | undefined;
      const options: RunOptions = {
        rate,
        signal: running.stop.signal,
        onStart: number => {
          operation = number;
          this.#running.set(number, running);
          resolve(number);
        },
        onProgress: progress => {
          running.progress = progress;
        },
      };
      const end = run(options)
        .catch(error => {
          if (operation === undefined) reject(error);
          else this.#log.error({ err: error, operation }, 'an operation was interrupted; it can be resumed');
        })
        .finally(() => {
          // Another run of it may have begun meanwhile.
          if (operation !== undefined && this.#running.get(operation) === running)
            this.#running.delete(operation);
          this.#ends.delete(end);
        });
      this.#ends.add(end);
    });
  }

  /** Undefined if this process does not run it. */
  progressOf(operation: number): { readonly done: number; readonly total: number | null } | undefined {
    const running = this.#running.get(operation);
    return running && { done: running.progress?.done ?? 0, total: running.progress?.total ?? null };
  }

  /** Stops it before its next update. @throws RequestError if this process does not run it */
  cancel(operation: number): void {
    const running = this.#running.get(operation);
    if (!running)
      throw new RequestError(
        'NOT_RUNNING_HERE',
        `This process does not run operation ${operation}: it has ended, was interrupted, or another process runs it.`,
      );
    running.stop.abort();
  }

  /** Stops all, and waits for the update that each is at. They can be resumed. */
  async close(): Promise<void> {
    for (const { stop } of this.#running.values()) stop.abort();
    await Promise.all(this.#ends);
  }
}
