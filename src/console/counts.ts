/** Counts that end at a limit. */
import type { Count } from './answers.ts';

/** @param found rows that were found, one more than `most` if there are more */
export function countUpTo(most: number, found: number): Count {
  return { count: Math.min(found, most), atLeast: found > most };
}
