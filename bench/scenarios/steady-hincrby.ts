// The limit of `steady`: calls that only add to a hash in Redis, at the same rate, while another process
// writes to MySQL the rows that the engine wrote in this round, at the engine's pace.

import { measureBeside, zipfKeys } from '../peer.ts';
import type { Scenario } from '../scenario.ts';
import { alone, updatesPerBatch } from './bare-upserts.ts';

const perSecond = 30_000;

export const steadyHincrby: Scenario = {
  name: 'steady-hincrby',
  title:
    'limit: pipelined HINCRBY, 30,000 a second, beside bare upserts of the rows of `steady`: p99 of a call',
  unit: 'ms',
  run: async (rig, load, round) => {
    const details = round.get('steady')?.details ?? { ...alone(load), seconds: load.seconds };
    const { updates = 0, batches = 1, seconds = 1 } = details;
    const batchesPerSecond = batches / seconds;
    const measurement = await measureBeside(rig, load, {
      ...{ program: 'steady-hincrby', programOptions: { ...zipfKeys, perSecond } },
      beside: 'bulk-upsert',
      besideOptions: {
        ...zipfKeys,
        ...{ connections: 4, updatesPerBatch: updatesPerBatch(details), warmUpUpdates: 0 },
        ...{ updates, batchesPerSecond },
      },
    });
    return { ...measurement, value: measurement.details.callP99Ms! };
  },
};
