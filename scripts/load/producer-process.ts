// The program of a producer process: creates a producer, waits for the word, pushes what its plan says, and sends
// back what was acknowledged. Run by ProducerProcess (processes.ts); ends when its parent does.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createProducer } from '../../src/producer/producer.ts';
import type { Settings } from '../../src/shared/settings.ts';
import { pushCalls, pushIncrements, pushSteadily } from './push.ts';
import { emptyTally, type Tally } from './tally.ts';
import { definitions, Traffic, type TrafficPlan } from './traffic.ts';

export interface ProducerPlan {
  redisUrl: string;
  mysqlUrl: string;
  namespace: string;
  traffic: TrafficPlan;
  /** `apply` sends many updates in a call, `increment` one; `steady` sends single ones at a rate, whatever is under way. */
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

export interface Limit {
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

const progressEvery = 50;
const tell = (message: FromProducer) => process.send?.(message);

async function produce(plan: ProducerPlan): Promise<void> {
  const { redisUrl, mysqlUrl, namespace, settings = {} } = plan;
  const traffic = new Traffic(plan.traffic);
  const sluice = await createProducer({ redis: redisUrl, mysql: mysqlUrl, namespace, definitions, settings });
  const result: PushResult = {
    acknowledged: 0,
    warmUp: 0,
    refused: {},
    tally: emptyTally(plan.traffic.counterKeys, plan.traffic.accounts),
    elapsedMs: 0,
    callMs: { p50: 0, p99: 0 },
    loopDelayP99Ms: 0,
  };
  const push = { apply: pushCalls, increment: pushIncrements, steady: pushSteadily }[plan.mode];
  if (plan.warmUp) await push(sluice, traffic, { ...plan, limit: plan.warmUp }, result);
  result.warmUp = result.acknowledged;
  const told = new Promise(resolve => process.once('message', resolve));
  tell({ type: 'ready' });
  await told;
  const timer = setInterval(
    () => tell({ type: 'progress', acknowledged: result.acknowledged }),
    progressEvery,
  );
  const loop = monitorEventLoopDelay({ resolution: 1 });
  loop.enable();
  const started = performance.now();
  const latencies = await push(sluice, traffic, plan, result);
  result.elapsedMs = performance.now() - started;
  loop.disable();
  result.callMs = { p50: latencies.percentile(0.5), p99: latencies.percentile(0.99) };
  // The histogram holds whole intervals between two runs of its timer, the millisecond that it waits for included.
  result.loopDelayP99Ms = Math.max(0, loop.percentile(99) / 1e6 - 1);
  clearInterval(timer);
  await sluice.close();
  tell({ type: 'done', result });
}

process.once('disconnect', () => process.exit());
process.once('message', (plan: ProducerPlan) => {
  produce(plan).catch(error => tell({ type: 'failed', message: (error as Error).message }));
});
