// Puts from end to end, with the same keys as `counters`: of each key the greatest or the last is kept.

import { measureEngine, microBatches, zipfCounters } from '../engine.ts';
import type { Scenario } from '../scenario.ts';

function values(keep: 'max' | 'last', what: string): Scenario {
  return {
    name: `values-${keep}`,
    title: `puts of values, the ${what} of each of 100,000 keys, Zipf, in micro-batches, until in MySQL`,
    unit: 'updates/s',
    run: (rig, load) =>
      measureEngine(rig, load, { ...microBatches, traffic: { ...zipfCounters, values: keep } }),
  };
}

export const greatest = values('max', 'greatest');
export const last = values('last', 'last');
