// After an outage: 5,000,000 updates while no worker runs, then one process that catches up.

import { measureBacklog } from '../backlog.ts';
import type { Scenario } from '../scenario.ts';

export const backlog: Scenario = {
  name: 'backlog',
  title: '5,000,000 updates over 1,000,000 keys, drained by one worker process',
  unit: 's',
  comparable: true,
  run: async (rig, load) => {
    const measurement = await measureBacklog(rig, Math.min(load.updates, 5_000_000));
    return { ...measurement, value: measurement.details.drainSeconds! };
  },
};
