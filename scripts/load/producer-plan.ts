// The plan of a producer process, and its report.

import type { Settings } from '../../src/shared/config/settings.ts';
import type { Tally } from './tally.ts';
import type { TrafficPlan } from './traffic.ts';

export interface ProducerPlan {
  redisUrl: string;
  mysqlUrl: string;
  namespace: string;
  traffic: TrafficPlan;
  /** `apply`: many updates per call; `increment`: one; `steady`: one per call, at a fixed rate. */
  mode: 'apply' | 'increment' | 'steady';
  /** Updates per call of `apply`. */
  callSize: number;
  /** Calls in flight at a time. */
  inFlight: number;
  /** Calls per second, for `steady`. */
  perSecond?: number;
  /** Reads the counters too, as pages do that show them. */
  reads?: ReadPlan;
  /** Ends at the first of these limits. */
  limit: Limit;
  /** Pushed before the producer is ready, so that the measurement starts at full pace. */
  warmUp?: Limit;
  settings?: Partial<Settings>;
}

/** All keys are read before the first update, so that all have live values; some are read during the run. */
export interface ReadPlan {
  everyMs: number;
  /** Keys read each time, drawn as those of updates are. */
  keys: number;
}

interface Limit {
  updates: number;
  ms: number;
}

export interface PushResult {
  /** Includes the warm-up, as the tally does. */
  acknowledged: number;
  warmUp: number;
  /** Refused updates by error code. */
  refused: Record<string, number>;
  /** Values read beside the updates, and those of them that lacked an acknowledged update. */
  reads: number;
  staleReads: number;
  tally: Tally;
  /** Time from the first call to the last answer, ms. */
  elapsedMs: number;
  /** Latency of calls, ms. */
  callMs: { p50: number; p99: number };
  /** Delay of a 1 ms timer on the event loop at the 99th percentile, ms. */
  loopDelayP99Ms: number;
}

export type FromProducer =
  | { type: 'ready' }
  | { type: 'progress'; acknowledged: number }
  | { type: 'done'; result: PushResult }
  | { type: 'failed'; message: string };
