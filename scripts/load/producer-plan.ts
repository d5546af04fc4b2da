// What a producer process is to push, and what it reports.

import type { Settings } from '../../src/shared/config/settings.ts';
import type { Tally } from './tally.ts';
import type { TrafficPlan } from './traffic.ts';

export interface ProducerPlan {
  redisUrl: string;
  mysqlUrl: string;
  namespace: string;
  traffic: TrafficPlan;
  /**
   * `apply` sends many updates in a call, `increment` one; `steady` sends single ones at a rate, whatever is
   * under way.
   */
  mode: 'apply' | 'increment' | 'steady';
  /** Updates in a call of `apply`. */
  callSize: number;
  /** Calls under way at a time. */
  inFlight: number;
  /** Calls a second, of `steady`. */
  perSecond?: number;
  /** Ends after so many updates, or after so much time, whichever comes first. */
  limit: Limit;
  /** Pushed before the producer is ready, so that what is measured runs at its pace from the start. */
  warmUp?: Limit;
  settings?: Partial<Settings>;
}

interface Limit {
  updates: number;
  ms: number;
}

export interface PushResult {
  /** With those of the warm-up, as in the tally. */
  acknowledged: number;
  warmUp: number;
  /** Not acknowledged, by error code. */
  refused: Record<string, number>;
  tally: Tally;
  /** From the first call to the last answer, ms. */
  elapsedMs: number;
  /** Time from call to answer, ms. */
  callMs: { p50: number; p99: number };
  /** How late the event loop ran a timer of 1 ms, ms, at the 99th percentile. */
  loopDelayP99Ms: number;
}

export type FromProducer =
  | { type: 'ready' }
  | { type: 'progress'; acknowledged: number }
  | { type: 'done'; result: PushResult }
  | { type: 'failed'; message: string };
