// Peer 1: what most services do, a statement with its own commit per update.

import { measureProgram, Tuned, zipfKeys } from '../peer.ts';
import type { Rig } from '../rig.ts';
import type { Load, Scenario } from '../scenario.ts';

const connections = new Tuned(16, 32, 64);

function measure(rig: Rig, load: Load, count: number) {
  return measureProgram(rig, load, 'upsert-each', { ...zipfKeys, connections: count });
}

export const upsertPerUpdate: Scenario = {
  name: 'upsert-per-update',
  title: 'peer: one upsert for each update, at the best of 16, 32 and 64 connections',
  unit: 'updates/s',
  run: async (rig, load) => {
    const best = await connections.best(load, (count, short) => measure(rig, short, count));
    return measure(rig, load, best);
  },
};
