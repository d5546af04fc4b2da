// Counters from end to end with little to sum up: the engine writes nearly one row per update.

import { measureEngine, microBatches, uniformCounters } from '../engine.ts';
import type { Scenario } from '../scenario.ts';

export const uniform: Scenario = {
  name: 'uniform',
  title: 'counters, 1,000,000 keys alike, in micro-batches, until in MySQL',
  unit: 'updates/s',
  comparable: true,
  run: (rig, load) => measureEngine(rig, load, { ...microBatches, traffic: uniformCounters }),
};
