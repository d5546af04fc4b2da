// Proof that the checker notices a broken protocol. In a file of its own, to run beside the schedules.
//
// caught.json has the seed of a schedule for each bug, which saves the search. If the model changes, another
// one may show it: `npm test -- -u --project simulation planted-bugs` searches and writes the new seeds.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { BUGS, type Bug, RECOVERY_BUGS } from './bugs.ts';
import { runSchedule } from './schedule.ts';

const LIMIT_MS = 300_000;
const CAUGHT = join(import.meta.dirname, 'caught.json');
const page = readFileSync(join(import.meta.dirname, '../../docs/simulation.md'), 'utf8');
const known: Partial<Record<Bug, number>> = JSON.parse(readFileSync(CAUGHT, 'utf8'));

/** The number of schedules within which docs/simulation.md promises to catch the bug. */
function promised(name: Bug): number {
  const number = Number(new RegExp(`^\\| \`${name}\` \\| (\\d+) \\|`, 'm').exec(page)?.[1]);
  expect(number, `docs/simulation.md has ${name}`).toBeGreaterThan(0);
  return number;
}

/** Seed of a schedule that shows the bug: the known one if it still does, otherwise the first. */
function caughtBy(bug: Bug): number {
  const options = { bugs: { [bug]: true }, restoresOnly: RECOVERY_BUGS.has(bug) };
  const shows = (seed: number) => runSchedule(seed, options) !== undefined;
  const limit = promised(bug);
  const seed = known[bug];
  if (seed !== undefined && seed <= limit && shows(seed)) return seed;
  for (let first = 1; first <= limit; first++) if (shows(first)) return first;
  throw new Error(`${bug} is not caught in ${limit} schedules`);
}

const caught: Partial<Record<Bug, number>> = {};
it.each(Object.keys(BUGS) as Bug[])('the checker catches the bug %s', { timeout: LIMIT_MS }, bug => {
  caught[bug] = caughtBy(bug);
});

it('caught.json has a schedule for each bug', async () => {
  await expect(`${JSON.stringify(caught, null, 2)}\n`).toMatchFileSnapshot(CAUGHT);
});
