// The protocol under random faults, in many seeded schedules.

import { expect, it } from 'vitest';
import { runSchedule } from './schedule.ts';

const SCHEDULES = Number(process.env.TEST_SCHEDULES ?? 100_000);
const FIRST_SEED = Number(process.env.TEST_SEED ?? 1);
const LIMIT_MS = 300_000;

it(`the checker finds nothing wrong in ${SCHEDULES} schedules`, { timeout: LIMIT_MS }, () => {
  const started = performance.now();
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SCHEDULES; seed++) {
    const wrong = runSchedule(seed);
    expect(wrong, `npm run simulate -- --seed ${seed} shows how`).toBeUndefined();
  }
  const ms = performance.now() - started;
  console.log(`${SCHEDULES} schedules in ${(ms / 1000).toFixed(0)} s`);
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
