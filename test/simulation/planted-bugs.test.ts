// Proof that the checker sees when the protocol is broken. A file of its own, to run beside the schedules.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { BUGS, type Bug, RECOVERY_BUGS } from './bugs.ts';
import { runSchedule } from './schedule.ts';

const LIMIT_MS = 300_000;
const page = readFileSync(join(import.meta.dirname, '../../docs/simulation.md'), 'utf8');

/** The number that the page gives for a bug. */
function onPage(name: Bug): number {
  const number = Number(new RegExp(`^\\| \`${name}\` \\| (\\d+) \\|`, 'm').exec(page)?.[1]);
  expect(number, `docs/simulation.md has ${name}`).toBeGreaterThan(0);
  return number;
}

it.each(Object.keys(BUGS) as Bug[])('catches the bug %s', { timeout: LIMIT_MS }, bug => {
  const promised = onPage(bug);
  const options = { bugs: { [bug]: true }, restoresOnly: RECOVERY_BUGS.has(bug) };
  let seed = 1;
  let what = runSchedule(seed, options);
  while (what === undefined && seed < promised) what = runSchedule(++seed, options);
  expect(what, `${bug} in ${promised} schedules`).toBeDefined();
  console.log(`${bug}: caught after ${seed} of ${promised} schedules: ${what}`);
});
