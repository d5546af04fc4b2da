// The program of a producer process: creates a producer, waits for the word, pushes what its plan says, and sends
// back what was acknowledged. Run by ProducerProcess (processes.ts); ends when its parent does.

import { createProducer } from '../../src/producer/producer.ts';
import type { Settings } from '../../src/shared/settings.ts';
import { pushCalls, pushIncrements } from './push.ts';
import { emptyTally, type Tally } from './tally.ts';
import { definitions, Traffic, type TrafficPlan } from './traffic.ts';

export interface ProducerPlan {
  redisUrl: string;
  mysqlUrl: string;
  namespace: string;
  traffic: TrafficPlan;
  /** `apply` sends many updates in a call, `increment` one. */
  mode: 'apply' | 'increment';
  /** Updates in a call of `apply`. */
  callSize: number;
  /** Calls under way at a time. */
  inFlight: number;
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
  };
  const push = plan.mode === 'apply' ? pushCalls : pushIncrements;
  if (plan.warmUp) await push(sluice, traffic, { ...plan, limit: plan.warmUp }, result);
  result.warmUp = result.acknowledged;
  const told = new Promise(resolve => process.once('message', resolve));
  tell({ type: 'ready' });
  await told;
  const timer = setInterval(
    () => tell({ type: 'progress', acknowledged: result.acknowledged }),
    progressEvery,
  );
  const started = performance.now();
  const latencies = await push(sluice, traffic, plan, result);
  result.elapsedMs = performance.now() - started;
  latencies.sort();
  const percentile = (share: number) => latencies[Math.floor((latencies.length - 1) * share)] ?? 0;
  result.callMs = { p50: percentile(0.5), p99: percentile(0.99) };
  clearInterval(timer);
  await sluice.close();
  tell({ type: 'done', result });
}

process.once('disconnect', () => process.exit());
process.once('message', (plan: ProducerPlan) => {
  produce(plan).catch(error => tell({ type: 'failed', message: (error as Error).message }));
});
