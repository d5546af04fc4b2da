/**
 * The wait of a process that starts while a server is away: it tries again, spread so that a fleet does not return at
 * once, until the servers answer or its time is over. What waiting cannot cure ends the start at once.
 */
import type { Logger } from 'pino';
import { pause } from './clock.ts';
import { SluiceError } from './errors.ts';

export interface StartWait {
  /** Longest wait, ms; 0 tries once. */
  readonly waitMs: number;
  readonly log: Logger;
  readonly random?: () => number;
  /** Told each time why the servers cannot be used yet. */
  readonly onWait?: (error: SluiceError) => void;
}

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 4000;
/** How often the log repeats what is waited for. */
const SAY_EVERY_MS = 15_000;

/** Whether the same attempt may succeed later without other changes. */
export function isPassing(error: unknown): error is SluiceError {
  return error instanceof SluiceError && error.retryable;
}

/** @param attempt connects, and closes again what it opened if it fails. @throws its last error */
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
