// The program of a producer process: it connects, waits for the start message, pushes as its plan says, and
// sends back what was acknowledged. ProducerProcess (processes.ts) runs it; it ends when its parent does.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createProducer } from '../../src/producer/producer.ts';
import type { FromProducer, ProducerPlan, PushResult } from './producer-plan.ts';
import { pushCalls, pushIncrements, pushSteadily } from './push.ts';
import { Reader } from './reader.ts';
import { emptyTally } from './tally.ts';
import { definitionsOf, Traffic } from './traffic.ts';

const progressEvery = 50;
const tell = (message: FromProducer) => process.send?.(message);

async function produce(plan: ProducerPlan): Promise<void> {
  const { redisUrl, mysqlUrl, namespace, settings = {} } = plan;
  const traffic = new Traffic(plan.traffic);
  const servers = { redis: redisUrl, mysql: mysqlUrl, namespace };
  const sluice = await createProducer({ ...servers, definitions: definitionsOf(plan.traffic), settings });
  const result: PushResult = {
    acknowledged: 0,
    warmUp: 0,
    refused: {},
    reads: 0,
    staleReads: 0,
    tally: emptyTally(plan.traffic.counterKeys, plan.traffic.accounts),
    elapsedMs: 0,
    callMs: { p50: 0, p99: 0 },
    loopDelayP99Ms: 0,
  };
  const push = { apply: pushCalls, increment: pushIncrements, steady: pushSteadily }[plan.mode];
  const reader = plan.reads && new Reader(sluice, plan.traffic, plan.reads, result);
  await reader?.readAll();
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
  reader?.start();
  const latencies = await push(sluice, traffic, plan, result);
  result.elapsedMs = performance.now() - started;
  await reader?.stop();
  loop.disable();
  result.callMs = { p50: latencies.percentile(0.5), p99: latencies.percentile(0.99) };
  // The histogram records whole intervals between two runs of its timer, including the 1 ms that it waits.
  result.loopDelayP99Ms = Math.max(0, loop.percentile(99) / 1e6 - 1);
  clearInterval(timer);
  await sluice.close();
  tell({ type: 'done', result });
}

process.once('disconnect', () => process.exit());
process.once('message', (plan: ProducerPlan) => {
  produce(plan).catch(error => tell({ type: 'failed', message: (error as Error).message }));
});
