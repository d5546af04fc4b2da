// Points from end to end: one ledger row per entry, with floors and ids checked.

import { entries, measureEngine, microBatches } from '../engine.ts';
import type { Scenario } from '../scenario.ts';

export const points: Scenario = {
  name: 'points',
  title: 'points entries, until in the ledger',
  unit: 'entries/s',
  comparable: true,
  run: (rig, load) => measureEngine(rig, load, { ...microBatches, traffic: entries }),
};
