// A board of ranks under random faults, in many seeded schedules, and bugs that the checker must catch.

import { join } from 'node:path';
import { expect, it } from 'vitest';
import { KnownSeeds } from '../known-seeds.ts';
import { runSchedule } from '../schedule.ts';
import { RANK_BUGS, type RankBug } from './bugs.ts';

const SCHEDULES = Number(process.env.TEST_SCHEDULES ?? 4_000);
const FIRST_SEED = Number(process.env.TEST_SEED ?? 1);
const LIMIT_MS = 300_000;
const PART = 2_000;
/** Within so many schedules each bug is caught. */
const PROMISED = 5_000;
const seeds = new KnownSeeds<RankBug>(join(import.meta.dirname, 'caught.json'));
const starts = Array.from({ length: Math.ceil(SCHEDULES / PART) }, (_, part) => FIRST_SEED + part * PART);

it.each(starts)('the checker finds nothing wrong from seed %d on', { timeout: LIMIT_MS }, first => {
  const last = Math.min(first + PART, FIRST_SEED + SCHEDULES) - 1;
  for (let seed = first; seed <= last; seed++) {
    const wrong = runSchedule(seed, { ranked: {} });
    expect(wrong, `npm run simulate -- --ranks --seed ${seed} shows how`).toBeUndefined();
  }
});

it.each(Object.keys(RANK_BUGS) as RankBug[])('the checker catches the bug %s', { timeout: LIMIT_MS }, bug =>
  seeds.catch(bug, PROMISED, seed => runSchedule(seed, { ranked: { [bug]: true } }) !== undefined),
);

it('caught.json has a schedule for each bug', () => seeds.check());
