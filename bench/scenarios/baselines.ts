// What the same MySQL does without the engine, on the same keys: the floor and the ceiling for its figures.
// The floor is a statement for each update; the ceiling the rows that the engine writes, and nothing else.

import { runBaseline } from '../baseline.ts';
import type { Scenario } from '../scenario.ts';

const keys = 100_000;

export const upsertPerUpdate: Scenario = {
  name: 'upsert-per-update',
  title: 'baseline: one upsert for each update, 32 connections',
  unit: 'updates/s',
  run: (rig, load) =>
    rig.withSite(site =>
      runBaseline(site, { mode: 'single', keys, connections: 32, updatesPerBatch: 1, ...load }),
    ),
};

export const bulkUpsert: Scenario = {
  name: 'bulk-upsert',
  title: 'baseline: JSON_TABLE upserts of the same summed rows, 4 connections',
  unit: 'updates/s',
  run: (rig, load, previous) => {
    // Batches as large as the engine made them in this round.
    const { updates = 16_000, batches = 16 } = previous.get('counters')?.details ?? {};
    const updatesPerBatch = Math.max(1, Math.round(updates / Math.max(1, batches)));
    return rig.withSite(site =>
      runBaseline(site, { mode: 'bulk', keys, connections: 4, updatesPerBatch, ...load }),
    );
  },
};
