/**
 * Seeds of schedules that show the planted bugs, kept in a file, which saves the search. If the model changes,
 * another one may show a bug: `npm test -- -u --project simulation` searches and writes the new seeds.
 */
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';

export class KnownSeeds<Bug extends string> {
  readonly #file: string;
  readonly #known: Partial<Record<Bug, number>>;
  readonly #caught: Partial<Record<Bug, number>> = {};

  constructor(file: string) {
    this.#file = file;
    this.#known = JSON.parse(readFileSync(file, 'utf8'));
  }

  /**
   * Finds a schedule that shows the bug: the known one if it still does, otherwise the first.
   * @param limit number of schedules within which the bug must show
   */
  catch(bug: Bug, limit: number, shows: (seed: number) => boolean): void {
    const seed = this.#known[bug];
    this.#caught[bug] = seed !== undefined && seed <= limit && shows(seed) ? seed : first(bug, limit, shows);
  }

  /** Compares the file with what was caught. */
  async check(): Promise<void> {
    await expect(`${JSON.stringify(this.#caught, null, 2)}\n`).toMatchFileSnapshot(this.#file);
  }
}

function first(bug: string, limit: number, shows: (seed: number) => boolean): number {
  for (let seed = 1; seed <= limit; seed++) if (shows(seed)) return seed;
  throw new Error(`${bug} is not caught in ${limit} schedules`);
}
