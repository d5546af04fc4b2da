// The cost of counting for an API process that does other work too: the delay of its event loop.

import { measureDetail } from '../engine.ts';
import type { Scenario } from '../scenario.ts';
import { steadyCalls } from './steady.ts';

export const apiLoop: Scenario = {
  name: 'api-loop',
  title: 'single increment() calls, 10,000 a second: p99 of the event-loop delay',
  unit: 'ms',
  comparable: true,
  run: (rig, load) => measureDetail(rig, load, steadyCalls(10_000), 'loopDelayP99Ms'),
};
