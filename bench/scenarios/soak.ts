// Hours in little: a steady rate for many minutes, and the memory of every process from beginning to end.
// Flat means that the last quarter holds no more than the first; MySQL fills its buffer pool, which is its own affair.

import type { Scenario } from '../scenario.ts';
import { measureSoak } from '../soak.ts';
import { steadyCalls } from './steady.ts';

export const soak: Scenario = {
  name: 'soak',
  title: 'single increment() calls, 30,000 a second, for long: most growth of memory',
  unit: 'times',
  run: (rig, load) => measureSoak(rig, load, steadyCalls(30_000)),
};
