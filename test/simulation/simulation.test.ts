// The protocol under every fault that a seed can think of, and proof that the checker sees when it is broken.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { BUGS, type Bug, RECOVERY_BUGS } from './bugs.ts';
import { runSchedule } from './schedule.ts';

const SCHEDULES = Number(process.env.TEST_SCHEDULES ?? 100_000);
const FIRST_SEED = Number(process.env.TEST_SEED ?? 1);
const LIMIT_MS = 300_000;

it(`finds nothing wrong in ${SCHEDULES} schedules`, { timeout: LIMIT_MS }, () => {
  const started = performance.now();
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SCHEDULES; seed++) {
    const wrong = runSchedule(seed);
    expect(wrong, `npm run simulate -- --seed ${seed} shows how`).toBeUndefined();
  }
  const ms = performance.now() - started;
  console.log(`${SCHEDULES} schedules in ${(ms / 1000).toFixed(0)} s`);
});

it('replays a seed to the last step', () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + 50; seed++) {
    const traces = [0, 1].map(() => {
      const lines: string[] = [];
      runSchedule(seed, { bugs: { noWatermark: true }, trace: line => lines.push(line) });
      return lines;
    });
    expect(traces[0]!.length).toBeGreaterThan(20);
    expect(traces[1]).toEqual(traces[0]);
  }
});

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
