// Counters from end to end, in micro-batches, with realistically skewed keys.

import { measureEngine, microBatches, zipfCounters } from '../engine.ts';
import type { Scenario } from '../scenario.ts';

export const counters: Scenario = {
  name: 'counters',
  title: 'counters, Zipf over 100,000 keys, in micro-batches, until in MySQL',
  unit: 'updates/s',
  comparable: true,
  run: (rig, load) => measureEngine(rig, load, { ...microBatches, traffic: zipfCounters }),
};
