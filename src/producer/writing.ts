/** Assembles the write path of a producer: from its callers to Redis and to the wake-up of the flush. */
import type { Logger } from 'pino';
import { systemClock, within } from '../shared/clock.ts';
import type { Settings } from '../shared/config/settings.ts';
import { explain } from '../shared/explain.ts';
import type { Database } from '../shared/mysql/database.ts';
import type { Aligner } from '../shared/partition/align.ts';
import { Barrier } from '../shared/redis/barrier.ts';
import type { RedisConnection } from '../shared/redis/connections.ts';
import { Groups } from '../shared/redis/groups.ts';
import { Inspector } from '../shared/redis/inspect.ts';
import type { Keys } from '../shared/redis/keys.ts';
import { MemoryWatch } from '../shared/redis/memory-watch.ts';
import type { Primaries } from '../shared/redis/primaries.ts';
import { type FlushQueue, openQueue } from '../shared/redis/queue.ts';
import { WakeUps } from '../shared/redis/wake-ups.ts';
import { Applier } from './apply.ts';
import { ApplyCall } from './apply-call.ts';
import type { Calls } from './calls.ts';
import { lossReport } from './loss-report.ts';
import type { ProducerMetrics } from './metrics.ts';
import type { Reads } from './reads.ts';

export interface WritingParts {
  readonly redis: RedisConnection;
  /** Address of Redis, for error messages. */
  readonly address: string;
  readonly database: Database;
  readonly keys: Keys;
  readonly settings: Settings;
  readonly calls: Calls;
  readonly primaries: Primaries;
  readonly aligner: Aligner;
  readonly reads: Reads;
  readonly metrics: ProducerMetrics;
  readonly log: Logger;
}

export class Writing {
  readonly applier: Applier;
  readonly #settings: Settings;
  readonly #call: ApplyCall;
  readonly #queue: FlushQueue;
  readonly #wakeUps: WakeUps;
  readonly #barrier: Barrier;
  readonly #memory: MemoryWatch;

  constructor(parts: WritingParts) {
    const { redis, address, database, keys, settings, calls, primaries, aligner, reads, metrics, log } =
      parts;
    this.#settings = settings;
    this.#queue = openQueue(redis, keys);
    this.#wakeUps = new WakeUps(this.#queue, log);
    const groups = new Groups(redis, keys);
    this.#barrier = new Barrier(primaries, settings.barrierReplicas);
    this.#memory = new MemoryWatch(primaries, settings.memoryLimitPercent);
    this.#call = new ApplyCall({
      redis,
      address,
      keys,
      settings,
      clock: systemClock,
      calls,
      barrier: this.#barrier,
      memory: this.#memory,
      align: async partition => {
        await aligner.align(partition).catch(error => {
          throw explain(error, address, database.address);
        });
      },
      onLost: lossReport(new Inspector(redis, keys), database, metrics, log),
    });
    this.applier = new Applier({
      call: this.#call,
      address,
      keys,
      settings,
      clock: systemClock,
      log,
      load: (partition, updates) => reads.loadAll(partition, updates),
      onApplied: (updates, ms) => metrics.apply(updates, ms),
      wake: partition => this.#wakeUps.after(groups.wakeUpOf(partition), settings.flushIntervalMs),
    });
  }

  /** @throws RedisUnavailableError, AccessDeniedError */
  async start(): Promise<void> {
    await this.#call.synchronize();
    this.#memory.start();
  }

  async close(): Promise<void> {
    this.#memory.stop();
    this.#barrier.close();
    await within(this.#wakeUps.close(), this.#settings.callTimeoutMs);
    await this.#queue.close();
  }
}
