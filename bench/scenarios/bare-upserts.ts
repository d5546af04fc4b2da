// The upper limit of MySQL: as many updates of the same keys as the engine wrote in this round, after as many
// as in its warm-up, in batches of the same size, as bare JSON_TABLE upserts without transaction, watermark
// or journal. For points, the entries and the sums of their accounts. This is MySQL's cost if everything before
// it is free.

import { accountKeys, measureProgram, uniformKeys, zipfKeys } from '../peer.ts';
import type { KeyPlan } from '../programs/updates.ts';
import type { Rig } from '../rig.ts';
import type { Load, Measurement, Round, Scenario } from '../scenario.ts';

const connections = 4;

/** Used if the engine did not run in this round. */
export function alone({ seconds, updates }: Load): Record<string, number> {
  const count = Math.min(updates, seconds * 100_000);
  return { updates: count, warmUpUpdates: count / 3, batches: count / 1000 };
}

/** Updates of the engine that became one batch. */
export function updatesPerBatch({ updates = 0, batches = 1 }: Record<string, number>): number {
  return Math.max(1, Math.round(updates / Math.max(1, batches)));
}

/** Writes as many updates as the scenario `of` did, with a program that was given the same batches. */
async function measureBare(
  rig: Rig,
  load: Load,
  round: Round,
  { program, of, keys }: { program: string; of: string; keys: KeyPlan },
): Promise<Measurement> {
  const details = round.get(of)?.details ?? alone(load);
  const { updates = 0, warmUpUpdates = 0, measuredUpdates = updates } = details;
  const size = updatesPerBatch(details);
  const options = { ...keys, connections, updatesPerBatch: size, warmUpUpdates, updates: measuredUpdates };
  const measurement = await measureProgram(rig, load, program, options);
  return { ...measurement, details: { ...measurement.details, updatesPerBatch: size } };
}

function bareUpsert(name: string, of: string, keys: KeyPlan, title: string): Scenario {
  return {
    name,
    title: `limit: ${title}`,
    unit: 'rows/s',
    run: async (rig, load, round) => {
      const measurement = await measureBare(rig, load, round, { program: 'bulk-upsert', of, keys });
      const { rows = 0, seconds = 0 } = measurement.details;
      const details = { ...measurement.details, updatesPerSecond: measurement.value };
      return { ...measurement, value: rows / seconds, details };
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

export const ledgerInsert: Scenario = {
  name: 'ledger-insert',
  title:
    'limit: bare JSON_TABLE inserts of the entries of `points`, with upserts of their accounts, 4 connections',
  unit: 'entries/s',
  run: (rig, load, round) =>
    measureBare(rig, load, round, { program: 'ledger-insert', of: 'points', keys: accountKeys }),
};
