// Hours in short: a steady rate for many minutes, with the memory of every process from start to end. It is
// flat if the last quarter uses no more than the first. MySQL does not count, since it fills its buffer pool.

import type { Scenario } from '../scenario.ts';
import { measureSoak } from '../soak.ts';
import { steadyCalls } from './steady.ts';

export const soak: Scenario = {
  name: 'soak',
  title: 'single increment() calls, 30,000 a second, for long: most growth of memory',
  unit: 'times',
  comparable: true,
  run: (rig, load) => measureSoak(rig, load, steadyCalls(30_000)),
};
