/** Statements that meet a flush or another operation: repeated a few times, since most of what they meet is over soon. */
import { pause } from '../shared/clock.ts';
import { classifyDatabaseError } from '../shared/mysql/errors.ts';

const RETRIES = 5;
const PAUSE_MS = 50;

/**
 * Attempts again after a conflict.
 * @param attempt told whether it is the last
 * @throws what the last attempt threw, or what is no conflict
 */
export async function repeatConflicts<Result>(
  attempt: (isLast: boolean) => Promise<Result>,
): Promise<Result> {
  for (let conflicts = 0; ; conflicts++) {
    try {
      return await attempt(conflicts === RETRIES);
    } catch (error) {
      if (classifyDatabaseError(error) !== 'conflict' || conflicts === RETRIES) throw error;
      await pause(PAUSE_MS * (1 + Math.random()));
    }
  }
}
