// Counters whose keys have been read, so that each has a live value in Redis, as those that pages show. All
// are read before the first update, and about a thousand values each second while updates arrive.

import { measureEngine, microBatches, zipfCounters } from '../engine.ts';
import type { Scenario } from '../scenario.ts';

export const reads = { everyMs: 100, keys: 100 };

export const live: Scenario = {
  name: 'live',
  title: 'counters with live values: all keys were read, some are read on',
  unit: 'updates/s',
  comparable: true,
  run: (rig, load) => measureEngine(rig, load, { ...microBatches, traffic: zipfCounters, reads }),
};
