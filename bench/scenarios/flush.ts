// Only the worker: a backlog builds up while none runs, then one worker drains it.

import { measureBacklog } from '../backlog.ts';
import type { Scenario } from '../scenario.ts';

/** Updates per second of the load, enough to keep the worker busy for about as long. */
const updatesPerSecond = 120_000;

export const flush: Scenario = {
  name: 'flush',
  title: 'one worker on a prepared backlog, nobody else at work',
  unit: 'rows/s',
  comparable: true,
  run: async (rig, load) => {
    const measurement = await measureBacklog(rig, Math.min(load.updates, load.seconds * updatesPerSecond));
    return { ...measurement, value: measurement.details.rowsPerSecond! };
  },
};
