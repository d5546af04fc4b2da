/** How fast a run goes over failed updates, and how it is told about and stopped. */
import { pause } from '../shared/clock.ts';
import { ConfigurationError } from '../shared/errors.ts';

export interface RunOptions {
  /** Most updates in a second; no limit by default. */
  readonly rate?: number | undefined;
  /** Ends the run before the next update; the operation can be resumed then. */
  readonly signal?: AbortSignal | undefined;
  /** Called once the operation is recorded, before anything is changed. */
  readonly onStart?: ((operation: number) => void) | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

export interface Progress {
  /** Updates and jobs looked at in this run. */
  readonly done: number;
  readonly total: number;
  /** What became of the last one. */
  readonly outcome: string;
}

/** @throws ConfigurationError */
export function checkRate(rate: number | undefined): void {
  if (rate !== undefined && !(rate > 0 && rate <= 1_000_000))
    throw new ConfigurationError('The rate must be a number of updates a second, above 0.');
}

/** How long the next update has to wait, ms, so that no more than `rate` start in a second. */
function paceDelay(startedAt: number, done: number, rate: number, now: number): number {
  return Math.max(0, startedAt + (done * 1000) / rate - now);
}

/** Hands items out, no faster than the rate, until they end or the signal aborts. */
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
