// Keeps a fixed number of calls to a producer under way until its plan is fulfilled, and notes every answer.
// Two kinds of callers: those that send many updates in a call, and those that send one.

import type { CounterHandle, Sluice } from '../../src/producer/client.ts';
import type { ProducerPlan, PushResult } from './producer-process.ts';
import type { Tally } from './tally.ts';
import { type Call, counterKey, type definitions, type Traffic } from './traffic.ts';

type Producer = Sluice<typeof definitions>;
type Plan = Pick<ProducerPlan, 'callSize' | 'inFlight' | 'limit' | 'traffic'>;

/** Calls of `apply`. Resolves to how long each took, ms. */
export async function pushCalls(
  sluice: Producer,
  traffic: Traffic,
  plan: Plan,
  result: PushResult,
): Promise<Float64Array> {
  const until = performance.now() + plan.limit.ms;
  const latencies: number[] = [];
  let left = plan.limit.updates;
  const caller = async () => {
    while (left > 0) {
      const call = traffic.call(Math.min(left, plan.callSize));
      left -= call.updates.length;
      const started = performance.now();
      const answers = await sluice.apply(call.updates);
      const now = performance.now();
      latencies.push(now - started);
      if (now >= until) left = 0;
      for (let at = 0; at < answers.length; at++) {
        const answer = answers[at]!;
        if (answer.ok) note(result, call, at);
        else refuse(result, answer.error.code);
      }
    }
  };
  await Promise.all(Array.from({ length: plan.inFlight }, caller));
  return Float64Array.from(latencies);
}

/** Calls of `increment`, each by a caller that waits for its answer before it calls again. */
export async function pushIncrements(
  sluice: Producer,
  traffic: Traffic,
  plan: Plan,
  result: PushResult,
): Promise<Float64Array> {
  const counter: CounterHandle = sluice.counter('page_views');
  const keys = Array.from({ length: plan.traffic.counterKeys }, (_, rank) => counterKey(rank));
  const until = performance.now() + plan.limit.ms;
  const latencies: number[] = [];
  let left = plan.limit.updates;
  const caller = async () => {
    while (left > 0) {
      left--;
      const rank = traffic.rank();
      const started = performance.now();
      try {
        await counter.increment(keys[rank]!);
        result.tally.counters[rank]!++;
        result.acknowledged++;
      } catch (error) {
        refuse(result, (error as { code?: string }).code ?? 'UNKNOWN');
      }
      const now = performance.now();
      latencies.push(now - started);
      if (now >= until) left = 0;
    }
  };
  await Promise.all(Array.from({ length: plan.inFlight }, caller));
  return Float64Array.from(latencies);
}

function note(result: PushResult, call: Call, at: number): void {
  const tally: Tally = result.tally;
  const target = call.targets[at]!;
  const update = call.updates[at]!;
  result.acknowledged++;
  if ('counter' in update) {
    tally.counters[target]!++;
  } else {
    tally.entries[-1 - target]!++;
    tally.balances[-1 - target]! += update.amount;
  }
}

function refuse(result: PushResult, code: string): void {
  result.refused[code] = (result.refused[code] ?? 0) + 1;
}
