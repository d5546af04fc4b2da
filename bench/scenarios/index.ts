// All scenarios, in the order in which a round runs them.

import type { Scenario } from '../scenario.ts';
import { bulkUpsert, upsertPerUpdate } from './baselines.ts';
import { countersEndToEnd, pointsEndToEnd, singleCalls } from './engine.ts';

export const scenarios: readonly Scenario[] = [
  countersEndToEnd,
  singleCalls,
  pointsEndToEnd,
  upsertPerUpdate,
  bulkUpsert,
];

/** Pairs whose quotient says something that does not depend on the machine as much as its parts. */
export const ratios: readonly [name: string, of: string, to: string][] = [
  ['engine against one upsert per update', 'counters', 'upsert-per-update'],
  ['engine against bare bulk upserts', 'counters', 'bulk-upsert'],
];
