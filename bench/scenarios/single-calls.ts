// As many single calls as one process gets answered. The rate counts answers, which is what callers wait for.

import { measureDetail, zipfCounters } from '../engine.ts';
import type { Scenario } from '../scenario.ts';

export const singleCalls: Scenario = {
  name: 'single-calls',
  title: 'single increment() calls, 500 under way, until acknowledged',
  unit: 'calls/s',
  comparable: true,
  run: (rig, load) =>
    measureDetail(
      rig,
      load,
      { traffic: zipfCounters, mode: 'increment', callSize: 1, inFlight: 500 },
      'acknowledgedPerSecond',
    ),
};
