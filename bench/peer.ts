// Runs a peer in separate processes, as the engine's parts are, and compares MySQL afterwards. A peer is one
// program, or a producer and a worker with their own kind of queue in between.

import { compare } from '../scripts/load/tally.ts';
import { entries, uniformCounters, zipfCounters } from './engine.ts';
import { Program } from './program.ts';
import type { BufferPlan } from './programs/buffer.ts';
import type { BulkUpsertPlan } from './programs/bulk-upsert.ts';
import type { KeyPlan, PeerPlan, PeerResult } from './programs/updates.ts';
import type { Rig, Site } from './rig.ts';
import type { Load, Measurement } from './scenario.ts';
import { sized } from './trial.ts';
import { CpuMeter } from './usage.ts';

/** Keys of the scenario `counters`. */
export const zipfKeys: KeyPlan = { keys: zipfCounters.counterKeys, exponent: 1 };
/** So many equally likely keys that little is summed up. */
export const uniformKeys: KeyPlan = { keys: uniformCounters.counterKeys, exponent: 0 };
/** Accounts of the scenario `points`. */
export const accountKeys: KeyPlan = { keys: entries.accounts, exponent: 0 };

function planFor({ deployment, settings }: Site, load: Load, keys: KeyPlan): PeerPlan {
  const { redisUrl, mysqlUrl, namespace } = deployment;
  return { ...load, ...keys, redisUrl, mysqlUrl, namespace, partitions: settings.partitions };
}

/** One program that writes to MySQL itself and measures its own time. */
export function measureProgram(
  rig: Rig,
  load: Load,
  program: string,
  options: KeyPlan &
    Partial<Pick<BulkUpsertPlan, 'connections' | 'updatesPerBatch' | 'warmUpUpdates' | 'updates'>> &
    Pick<BufferPlan, 'reads'>,
): Promise<Measurement> {
  return rig.withSite(async site => {
    const peer = await Program.start<PeerPlan, PeerResult>(program, {
      ...planFor(site, load, options),
      ...options,
    });
    try {
      const redis = options.reads ? { redis: [rig.redisPid] } : {};
      const cpu = new CpuMeter({ peer: [peer.pid], ...redis, mysql: [rig.mysqlPid] });
      const result = await peer.go();
      return await measured(site, result, result.seconds, cpu.taken(result.updates));
    } finally {
      await peer.stop();
    }
  });
}

interface Start {
  readonly program: string;
  readonly plan: PeerPlan;
}

/** Starts the worker, then the producer; both end afterwards. */
async function withPair<Worked>(
  rig: Rig,
  worker: Start,
  producer: Start,
  use: (producer: Program<PeerResult>, worker: Program<Worked>, cpu: CpuMeter) => Promise<Measurement>,
): Promise<Measurement> {
  const second = await Program.start<PeerPlan, Worked>(worker.program, worker.plan);
  try {
    const first = await Program.start<PeerPlan, PeerResult>(producer.program, producer.plan);
    try {
      const cpu = new CpuMeter({
        producer: [first.pid],
        worker: [second.pid],
        redis: [rig.redisPid],
        mysql: [rig.mysqlPid],
      });
      return await use(first, second, cpu);
    } finally {
      await first.stop();
    }
  } finally {
    await second.stop();
  }
}

export interface BesidePeer {
  program: string;
  programOptions: KeyPlan & Record<string, unknown>;
  beside: string;
  besideOptions: KeyPlan & Record<string, unknown>;
}

/** A program that uses Redis only, and beside it one that writes to MySQL, whose sums are compared. */
export function measureBeside(rig: Rig, load: Load, peer: BesidePeer): Promise<Measurement> {
  return rig.withSite(site => {
    const start = (program: string, options: KeyPlan) => ({
      program,
      plan: { ...planFor(site, load, options), ...options },
    });
    const beside = start(peer.beside, peer.besideOptions);
    const program = start(peer.program, peer.programOptions);
    return withPair<PeerResult>(rig, beside, program, async (first, second, cpu) => {
      const [result, { sums }] = await Promise.all([first.go(), second.go()]);
      return measured(site, { ...result, sums }, result.seconds, cpu.taken(result.updates));
    });
  });
}

export interface QueuePeer {
  producer: string;
  producerOptions?: Record<string, unknown>;
  worker: string;
  workerOptions?: Record<string, unknown>;
}

/** A producer and a worker. The clock runs from the first call until everything is in MySQL. */
export function measureQueue(rig: Rig, load: Load, peer: QueuePeer): Promise<Measurement> {
  return rig.withSite(site => {
    const plan = planFor(site, load, zipfKeys);
    const worker = { program: peer.worker, plan: { ...plan, ...peer.workerOptions } };
    const producer = { program: peer.producer, plan: { ...plan, ...peer.producerOptions } };
    return withPair<{ statements: number }>(rig, worker, producer, async (first, second, cpu) => {
      const started = performance.now();
      const result = await first.go();
      const { statements } = await second.go();
      const seconds = (performance.now() - started) / 1000;
      return measured(site, result, seconds, { statements, ...cpu.taken(result.updates) });
    });
  });
}

async function measured(site: Site, result: PeerResult, seconds: number, details: Record<string, number>) {
  const none = new Float64Array(0);
  const { updates, sums: counters, balances = none, entries: ledger = none } = result;
  const { difference } = await compare(site.database, { counters, balances, entries: ledger });
  return {
    value: updates / seconds,
    difference,
    details: { updates, seconds, ...result.details, ...details },
  };
}

/** Tries each number briefly, once, and keeps the best for the rest of the run. */
export class Tuned {
  readonly #numbers: readonly number[];
  #best: Promise<number> | undefined;

  constructor(...numbers: number[]) {
    this.#numbers = sized(numbers, numbers.slice(0, 1));
  }

  best(load: Load, measure: (number: number, load: Load) => Promise<Measurement>): Promise<number> {
    this.#best ??= this.#try({ ...load, seconds: Math.min(load.seconds, 1.5) }, measure);
    return this.#best;
  }

  async #try(load: Load, measure: (number: number, load: Load) => Promise<Measurement>): Promise<number> {
    const rates = new Map<number, number>();
    for (const number of this.#numbers) rates.set(number, (await measure(number, load)).value);
    return [...rates].reduce((best, one) => (one[1] > best[1] ? one : best))[0];
  }
}
