// The protocol under random faults, in many seeded schedules.

import { expect, it } from 'vitest';
import { runSchedule } from './schedule.ts';

const SCHEDULES = Number(process.env.TEST_SCHEDULES ?? 6_000);
const FIRST_SEED = Number(process.env.TEST_SEED ?? 1);
const LAST_SEED = FIRST_SEED + SCHEDULES - 1;
/** Nothing waits here: only a loop without end takes so long for a part, however slow the machine is. */
const LIMIT_MS = 300_000;
const PART = 2_000;
const starts = Array.from({ length: Math.ceil(SCHEDULES / PART) }, (_, part) => FIRST_SEED + part * PART);

it.each(starts)('the checker finds nothing wrong from seed %d on', { timeout: LIMIT_MS }, first => {
  const last = Math.min(first + PART - 1, LAST_SEED);
  for (let seed = first; seed <= last; seed++) {
    const wrong = runSchedule(seed);
    expect(wrong, `npm run simulate -- --seed ${seed} shows how`).toBeUndefined();
  }
});

it('a seed replays to the last step', () => {
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
