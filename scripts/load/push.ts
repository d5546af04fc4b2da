// Pushes as a plan says and records every answer: a fixed number of calls in flight with one or many updates
// each, or single calls at a steady rate.

import { setTimeout as delay } from 'node:timers/promises';
import type { Sluice } from '../../src/producer/client.ts';
import type { CounterHandle } from '../../src/producer/counter-handle.ts';
import { Latencies } from './latencies.ts';
import { Pace } from './pace.ts';
import type { ProducerPlan, PushResult } from './producer-plan.ts';
import type { Tally } from './tally.ts';
import { accountNumber, type Call, counterKey, type definitions, type Traffic } from './traffic.ts';

type Producer = Sluice<typeof definitions>;
type Plan = Pick<ProducerPlan, 'callSize' | 'inFlight' | 'limit' | 'traffic' | 'perSecond'>;

const tickMs = 1;

/** Calls `apply`; resolves with the latencies. */
export async function pushCalls(
  sluice: Producer,
  traffic: Traffic,
  plan: Plan,
  result: PushResult,
): Promise<Latencies> {
  const until = performance.now() + plan.limit.ms;
  const latencies = new Latencies();
  let left = plan.limit.updates;
  const caller = async () => {
    while (left > 0) {
      const call = traffic.call(Math.min(left, plan.callSize));
      left -= call.updates.length;
      const started = performance.now();
      const answers = await sluice.apply(call.updates);
      const now = performance.now();
      latencies.note(now - started);
      if (now >= until) left = 0;
      for (let at = 0; at < answers.length; at++) {
        const answer = answers[at]!;
        if (answer.ok) note(result, call, at);
        else refuse(result, answer.error.code);
      }
    }
  };
  await Promise.all(Array.from({ length: plan.inFlight }, caller));
  return latencies;
}

/** Calls `increment` from callers that each wait for their answer before the next call. */
export async function pushIncrements(
  sluice: Producer,
  traffic: Traffic,
  plan: Plan,
  result: PushResult,
): Promise<Latencies> {
  const counter: CounterHandle = sluice.counter('page_views');
  const keys = Array.from({ length: plan.traffic.counterKeys }, (_, rank) => counterKey(rank));
  const until = performance.now() + plan.limit.ms;
  const latencies = new Latencies();
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
      latencies.note(now - started);
      if (now >= until) left = 0;
    }
  };
  await Promise.all(Array.from({ length: plan.inFlight }, caller));
  return latencies;
}

/** Calls `increment` at a steady rate. A latency counts from when its call was due. */
export async function pushSteadily(
  sluice: Producer,
  traffic: Traffic,
  plan: Plan,
  result: PushResult,
): Promise<Latencies> {
  const { perSecond = 0, limit } = plan;
  const counter: CounterHandle = sluice.counter('page_views');
  const keys = Array.from({ length: plan.traffic.counterKeys }, (_, rank) => counterKey(rank));
  const latencies = new Latencies();
  const calls = Math.min(limit.updates, Math.ceil((perSecond * limit.ms) / 1000));
  const pace = new Pace(perSecond, performance.now(), calls);
  let open = 0;
  const call = async (due: number) => {
    const rank = traffic.rank();
    open++;
    try {
      await counter.increment(keys[rank]!);
      result.tally.counters[rank]!++;
      result.acknowledged++;
    } catch (error) {
      refuse(result, (error as { code?: string }).code ?? 'UNKNOWN');
    }
    latencies.note(performance.now() - due);
    open--;
  };
  for (let sent = 0; !pace.isOver(sent) || open > 0; ) {
    for (const due = pace.dueBy(performance.now()); sent < due; sent++) void call(pace.dueAt(sent));
    await delay(tickMs);
  }
  return latencies;
}

function note(result: PushResult, call: Call, at: number): void {
  const tally: Tally = result.tally;
  const target = call.targets[at]!;
  const update = call.updates[at]!;
  result.acknowledged++;
  if ('counter' in update || 'value' in update) {
    tally.counters[target]!++;
  } else if ('from' in update) {
    const to = accountNumber(update.to);
    tally.entries[-1 - target]!++;
    tally.balances[-1 - target]! -= update.amount;
    tally.entries[to]!++;
    tally.balances[to]! += update.amount;
  } else if ('post' in update) {
    tally.entries[-1 - target]!++;
    tally.balances[-1 - target]! -= update.amount!;
  } else if (!('hold' in update)) {
    tally.entries[-1 - target]!++;
    tally.balances[-1 - target]! += update.amount;
  }
}

function refuse(result: PushResult, code: string): void {
  result.refused[code] = (result.refused[code] ?? 0) + 1;
}
