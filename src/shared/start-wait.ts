/**
 * Retries the start of a process while a server is away, with backoff and jitter, until the servers answer or
 * the deadline passes. An error that waiting does not cure ends the start at once.
 */
import type { Logger } from 'pino';
import { pause } from './clock.ts';
import { SluiceError } from './errors.ts';

export interface StartWait {
  /** Longest wait, ms; 0 means one attempt. */
  readonly waitMs: number;
  readonly log: Logger;
  readonly random?: () => number;
  /** Called after each failed attempt that will be repeated. */
  readonly onWait?: (error: SluiceError) => void;
}

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 4000;
/** How often the log repeats what the start waits for, ms. */
const SAY_EVERY_MS = 15_000;

/** Whether a later attempt may succeed. */
export function isPassing(error: unknown): error is SluiceError {
  return error instanceof SluiceError && error.retryable;
}

/** @param attempt connects, and closes its connections again if it fails. @throws its last error */
export async function whenReachable<Result>(
  attempt: () => Promise<Result>,
  { waitMs, log, random = Math.random, onWait = () => {} }: StartWait,
): Promise<Result> {
  const started = performance.now();
  let said = { code: '', at: Number.NEGATIVE_INFINITY };
  for (let failures = 1; ; failures++) {
    try {
      return await attempt();
    } catch (error) {
      const now = performance.now();
      const left = started + waitMs - now;
      if (!isPassing(error) || left <= 0) throw error;
      onWait(error);
      if (error.code !== said.code || now - said.at >= SAY_EVERY_MS) {
        said = { code: error.code, at: now };
        log.warn(
          {
            code: error.code,
            reason: error.message,
            attempts: failures,
            leftSeconds: Math.ceil(left / 1000),
          },
          'a server cannot be used yet; the start waits for it',
        );
      }
      const wait = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(failures - 1, 10));
      await pause(Math.min(left, wait * (0.5 + random())));
    }
  }
}
