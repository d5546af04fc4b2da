/** Limits the rate of a run over failed updates, reports its progress, and stops it. */
import { pause } from '../shared/clock.ts';
import { ConfigurationError } from '../shared/errors.ts';
import type { Operation } from './operations.ts';

/**
 * A dry run that somebody waits for ends after so many ms, and tries at most so many updates a second: each is a
 * transaction that the flushes of its partition wait for.
 */
export const TRIAL_MS = 3000;
export const TRIALS_PER_SECOND = 1000;

export interface RunOptions {
  /** Most updates per second; no limit by default. */
  readonly rate?: number | undefined;
  /** Stops the run before the next update. The operation can be resumed later. */
  readonly signal?: AbortSignal | undefined;
  /** Called after the operation is recorded and before the first change, with its number and its record. */
  readonly onStart?: ((operation: number, recorded: Operation) => void) | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

export interface StartOptions extends RunOptions {
  /** Number of the newest quarantined update that the operation may change; the newest of all by default. */
  readonly lastId?: number | undefined;
  /** Ids of the only failed flush jobs that it may end; all that match by default. */
  readonly jobs?: readonly string[] | undefined;
}

export interface Progress {
  /** Updates and jobs handled in this run. */
  readonly done: number;
  readonly total: number;
  /** Outcome of the last one. */
  readonly outcome: string;
}

/** @throws ConfigurationError */
export function checkRate(rate: number | undefined): void {
  if (rate !== undefined && !(rate > 0 && rate <= 1_000_000))
    throw new ConfigurationError('The rate must be a number of updates a second, above 0.');
}

/** Delay of the next update, ms, so that at most `rate` updates start per second. */
export function paceDelay(startedAt: number, done: number, rate: number, now: number): number {
  return Math.max(0, startedAt + (done * 1000) / rate - now);
}

/** Yields items at most at the rate, until they end or the signal aborts. */
export async function* paced<Item>(
  items: AsyncIterable<Item> | Iterable<Item>,
  { rate, signal }: RunOptions,
): AsyncGenerator<Item> {
  const startedAt = performance.now();
  let done = 0;
  for await (const item of items) {
    if (rate !== undefined) await pause(paceDelay(startedAt, done, rate, performance.now()), signal);
    if (signal?.aborted) return;
    yield item;
    done++;
  }
}
