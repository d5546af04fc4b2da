// Holds from end to end: each is looked up in MySQL once, and posted by the update after it.

import { measureEngine, microBatches } from '../engine.ts';
import type { Scenario } from '../scenario.ts';

const onAccounts = { counterKeys: 1, accounts: 10_000, pointsShare: 1, holds: true, seed: 1 };

export const holds: Scenario = {
  name: 'holds',
  title: 'holds of points, and as many posts of them, until all are in MySQL',
  unit: 'updates/s',
  run: (rig, load) => measureEngine(rig, load, { ...microBatches, traffic: onAccounts }),
};
