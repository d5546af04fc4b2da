// Holds of one account under random faults, in many seeded schedules, and bugs that the checker must catch.

import { join } from 'node:path';
import { expect, it } from 'vitest';
import { KnownSeeds } from '../known-seeds.ts';
import { HOLD_BUGS, type HoldBug } from './bugs.ts';
import { runHoldSchedule } from './schedule.ts';

const SCHEDULES = Number(process.env.TEST_SCHEDULES ?? 20_000);
const FIRST_SEED = Number(process.env.TEST_SEED ?? 1);
const LIMIT_MS = 300_000;
const PART = 4_000;
/** Within so many schedules each bug is caught. */
const PROMISED = 20_000;
const seeds = new KnownSeeds<HoldBug>(join(import.meta.dirname, 'caught.json'));
const starts = Array.from({ length: Math.ceil(SCHEDULES / PART) }, (_, part) => FIRST_SEED + part * PART);

it.each(starts)('the checker finds nothing wrong from seed %d on', { timeout: LIMIT_MS }, first => {
  const last = Math.min(first + PART, FIRST_SEED + SCHEDULES) - 1;
  for (let seed = first; seed <= last; seed++) {
    const wrong = runHoldSchedule(seed);
    if (wrong === undefined) continue;
    const trace: string[] = [];
    runHoldSchedule(seed, undefined, line => trace.push(line));
    expect(wrong, `seed ${seed}: ${trace.join('\n')}`).toBeUndefined();
  }
});

it.each(Object.keys(HOLD_BUGS) as HoldBug[])('the checker catches the bug %s', { timeout: LIMIT_MS }, bug =>
  seeds.catch(bug, PROMISED, seed => runHoldSchedule(seed, bug) !== undefined),
);

it('caught.json has a schedule for each bug', () => seeds.check());
