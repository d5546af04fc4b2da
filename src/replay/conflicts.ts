/** Retries statements that conflict with a flush or another operation. Most conflicts are short. */
import { pause } from '../shared/clock.ts';
import { classifyDatabaseError } from '../shared/mysql/errors.ts';

const RETRIES = 5;
const PAUSE_MS = 50;

/**
 * @param attempt its argument says whether this is the last attempt
 * @throws the error of the last attempt, or the first one that is no conflict
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
