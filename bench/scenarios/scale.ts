// More processes on one machine: where throughput stops growing, and why, by the cores that each part takes.

import { measureEngine, microBatches, zipfCounters } from '../engine.ts';
import type { Scenario } from '../scenario.ts';

const numbers = [1, 2, 4];
const plural = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`;

export const scale: readonly Scenario[] = numbers.flatMap(workers =>
  numbers.map(producers => ({
    name: `workers-${workers}-producers-${producers}`,
    title: `counters, ${plural(workers, 'worker')}, ${plural(producers, 'producer')}`,
    unit: 'updates/s',
    run: (rig, load) =>
      measureEngine(rig, load, { ...microBatches, traffic: zipfCounters }, { workers, producers }),
  })),
);
