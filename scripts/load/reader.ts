// Reads counters beside the updates, as pages do that show them. A value must have every update that was
// acknowledged before its read began.

import { setTimeout as delay } from 'node:timers/promises';
import type { Sluice } from '../../src/producer/client.ts';
import type { CounterHandle } from '../../src/producer/counter-handle.ts';
import type { PushResult, ReadPlan } from './producer-plan.ts';
import { counterKey, type definitions, type TrafficPlan } from './traffic.ts';
import { seededRandom, Zipf } from './zipf.ts';

/** Keys of a call while all are read. */
const chunk = 1000;

export class Reader {
  readonly #counter: CounterHandle;
  readonly #keys: readonly string[];
  readonly #ranks: Zipf;
  readonly #plan: ReadPlan;
  readonly #result: PushResult;
  #over = false;
  #loop: Promise<void> = Promise.resolve();

  constructor(sluice: Sluice<typeof definitions>, traffic: TrafficPlan, plan: ReadPlan, result: PushResult) {
    this.#counter = sluice.counter('page_views');
    this.#keys = Array.from({ length: traffic.counterKeys }, (_, rank) => counterKey(rank));
    // Draws of its own, so that the updates are the same with reads and without.
    this.#ranks = new Zipf(traffic.counterKeys, traffic.exponent ?? 1, seededRandom(~traffic.seed));
    this.#plan = plan;
    this.#result = result;
  }

  /** Gives every key a live value. */
  async readAll(): Promise<void> {
    for (let from = 0; from < this.#keys.length; from += chunk)
      await this.#counter.getMany(this.#keys.slice(from, from + chunk));
  }

  start(): void {
    this.#loop = this.#run();
    // `stop` throws it.
    this.#loop.catch(() => {});
  }

  async #run(): Promise<void> {
    while (!this.#over) {
      await this.#readSome();
      await delay(this.#plan.everyMs);
    }
  }

  async #readSome(): Promise<void> {
    const { counters } = this.#result.tally;
    const ranks = Array.from({ length: this.#plan.keys }, () => this.#ranks.next());
    const least = ranks.map(rank => counters[rank]!);
    const values = await this.#counter.getMany(ranks.map(rank => this.#keys[rank]!));
    this.#result.reads += values.length;
    this.#result.staleReads += values.filter((value, at) => value < least[at]!).length;
  }

  /** Waits for the last read. @throws what a read threw */
  async stop(): Promise<void> {
    this.#over = true;
    await this.#loop;
  }
}
