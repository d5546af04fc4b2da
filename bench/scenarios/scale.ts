// More processes and partitions on one machine: where throughput stops growing, and why, by the cores and the
// CPU of an update that each part takes.

import { measureEngine, microBatches, zipfCounters } from '../engine.ts';
import type { Scenario } from '../scenario.ts';

const numbers = [1, 2, 4];
const partitionNumbers = [2, 4, 8, 16, 64];
const plural = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`;

function point(workers: number, producers: number, partitions: number): Scenario {
  return {
    name: `workers-${workers}-producers-${producers}-partitions-${partitions}`,
    title: `counters, ${plural(workers, 'worker')}, ${plural(producers, 'producer')}, ${partitions} partitions`,
    unit: 'updates/s',
    comparable: true,
    run: (rig, load) => {
      const staff = { workers, producers, settings: { partitions } };
      return measureEngine(rig, load, { ...microBatches, traffic: zipfCounters }, staff);
    },
  };
}

export const scale: readonly Scenario[] = numbers.flatMap(workers =>
  numbers.flatMap(producers => partitionNumbers.map(partitions => point(workers, producers, partitions))),
);
