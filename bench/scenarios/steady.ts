// Single calls at a rate that leaves the machine idle time: their latency, and how far MySQL is behind.

import { measureDetail, type Shape, zipfCounters } from '../engine.ts';
import type { Scenario } from '../scenario.ts';

export function steadyCalls(perSecond: number): Shape {
  return { traffic: zipfCounters, mode: 'steady', callSize: 1, inFlight: 0, perSecond };
}

export const steady: Scenario = {
  name: 'steady',
  title: 'single increment() calls, 30,000 a second: p99 of a call',
  unit: 'ms',
  comparable: true,
  run: (rig, load) => measureDetail(rig, load, steadyCalls(30_000), 'callP99Ms'),
};
