// Proof that the checker notices a broken protocol. In a file of its own, to run beside the schedules.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { BUGS, type Bug, RECOVERY_BUGS } from './bugs.ts';
import { KnownSeeds } from './known-seeds.ts';
import { runSchedule } from './schedule.ts';

const LIMIT_MS = 300_000;
const seeds = new KnownSeeds<Bug>(join(import.meta.dirname, 'caught.json'));
const page = readFileSync(join(import.meta.dirname, '../../docs/simulation.md'), 'utf8');

/** The number of schedules within which docs/simulation.md promises to catch the bug. */
function promised(name: Bug): number {
  const number = Number(new RegExp(`^\\| \`${name}\` \\| (\\d+) \\|`, 'm').exec(page)?.[1]);
  expect(number, `docs/simulation.md has ${name}`).toBeGreaterThan(0);
  return number;
}

it.each(Object.keys(BUGS) as Bug[])('the checker catches the bug %s', { timeout: LIMIT_MS }, bug => {
  const options = { bugs: { [bug]: true }, restoresOnly: RECOVERY_BUGS.has(bug) };
  seeds.catch(bug, promised(bug), seed => runSchedule(seed, options) !== undefined);
});

it('caught.json has a schedule for each bug', () => seeds.check());
