// Points from end to end: a ledger row for each entry, floors and ids checked.

import { entries, measureEngine, microBatches } from '../engine.ts';
import type { Scenario } from '../scenario.ts';

export const points: Scenario = {
  name: 'points',
  title: 'points entries, until in the ledger',
  unit: 'entries/s',
  run: (rig, load) => measureEngine(rig, load, { ...microBatches, traffic: entries }),
};
