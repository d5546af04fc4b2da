// All scenarios by suite, in the order of a round, and the figures computed from them.

import {
  backlogFigures,
  holdFigures,
  httpFigures,
  mainFigures,
  soakFigures,
  transferFigures,
  valueFigures,
} from '../figures.ts';
import type { Suite } from '../scenario.ts';
import { apiLoop } from './api-loop.ts';
import { backlog } from './backlog.ts';
import { bulkUpsert, flushUpsert, ledgerInsert, uniformUpsert } from './bare-upserts.ts';
import { bullmqBulk } from './bullmq-bulk.ts';
import { bullmqJobs } from './bullmq-jobs.ts';
import { counters } from './counters.ts';
import { flush } from './flush.ts';
import { holds } from './holds.ts';
import { http } from './http.ts';
import { live } from './live.ts';
import { pendingMemory } from './pending-memory.ts';
import { points } from './points.ts';
import { processBuffer, readableBuffer } from './process-buffer.ts';
import { ranks } from './ranks.ts';
import { evalsha, hincrby } from './redis-limits.ts';
import { redisList } from './redis-list.ts';
import { scale } from './scale.ts';
import { scripts } from './scripts.ts';
import { singleCalls } from './single-calls.ts';
import { soak } from './soak.ts';
import { steady } from './steady.ts';
import { steadyHincrby } from './steady-hincrby.ts';
import { transfers } from './transfers.ts';
import { uniform } from './uniform.ts';
import { upsertPerUpdate } from './upsert-per-update.ts';
import { greatest, last } from './values.ts';

export const suites = {
  // Scenarios that are compared run close together, since a machine that slows down slows both.
  main: {
    scenarios: [
      ...[upsertPerUpdate, bullmqJobs, counters, live, bulkUpsert, bullmqBulk, redisList],
      ...[processBuffer, readableBuffer],
      ...[uniform, uniformUpsert, flush, flushUpsert, hincrby, evalsha],
      ...[singleCalls, steady, steadyHincrby, apiLoop, points, ledgerInsert, scripts, ranks, pendingMemory],
    ],
    figures: mainFigures,
    rounds: 5,
    seconds: 3,
  },
  scale: { scenarios: scale, figures: [], rounds: 3, seconds: 3 },
  backlog: { scenarios: [backlog], figures: backlogFigures, rounds: 3, seconds: 3 },
  transfers: { scenarios: [points, transfers], figures: transferFigures, rounds: 3, seconds: 3 },
  holds: { scenarios: [points, holds], figures: holdFigures, rounds: 3, seconds: 3 },
  values: {
    scenarios: [upsertPerUpdate, counters, greatest, last],
    figures: valueFigures,
    rounds: 3,
    seconds: 3,
  },
  // V8 needs some seconds of requests until the code of a route is fast.
  http: { scenarios: http, figures: httpFigures, rounds: 3, seconds: 10 },
  soak: { scenarios: [soak], figures: soakFigures, rounds: 1, seconds: 20 * 60 },
} satisfies Record<string, Suite>;

export type SuiteName = keyof typeof suites;
