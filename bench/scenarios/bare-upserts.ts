// The ceiling on MySQL's side: the rows that the engine wrote in this round, as bare JSON_TABLE upserts without transaction,
// watermark or journal, in batches of the same size. What MySQL takes when everything in front of it costs nothing.

import { measureProgram, uniformKeys, zipfKeys } from '../peer.ts';
import type { KeyPlan } from '../programs/updates.ts';
import type { Scenario } from '../scenario.ts';

const connections = 4;

function bareUpsert(name: string, of: string, keys: KeyPlan, title: string): Scenario {
  return {
    name,
    title: `limit: ${title}`,
    unit: 'rows/s',
    run: async (rig, load, round) => {
      const { updates = 16_000, batches = 16 } = round.get(of)?.details ?? {};
      const updatesPerBatch = Math.max(1, Math.round(updates / Math.max(1, batches)));
      const options = { ...keys, connections, updatesPerBatch };
      const measurement = await measureProgram(rig, load, 'bulk-upsert', options);
      const { rows = 0, seconds = 0 } = measurement.details;
      return {
        ...measurement,
        value: rows / seconds,
        details: { ...measurement.details, updatesPerBatch, updatesPerSecond: measurement.value },
      };
    },
  };
}

export const bulkUpsert = bareUpsert(
  'bulk-upsert',
  'counters',
  zipfKeys,
  'bare JSON_TABLE upserts of the rows of `counters`, 4 connections',
);
export const uniformUpsert = bareUpsert(
  'uniform-upsert',
  'uniform',
  uniformKeys,
  'the same for the rows of `uniform`',
);
export const flushUpsert = bareUpsert(
  'flush-upsert',
  'flush',
  uniformKeys,
  'the same for the rows of `flush`',
);
