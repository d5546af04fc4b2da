// Polls the partitions for the number of pending updates and the age of the oldest. Percentiles of the flush
// lag are over time: each poll counts once, without those while nothing was pending.

import { setTimeout as delay } from 'node:timers/promises';
import { parseSettings } from '../../src/shared/config/settings.ts';
import { connectRedis, openRedis, type RedisConnection } from '../../src/shared/redis/connections.ts';
import { Inspector } from '../../src/shared/redis/inspect.ts';
import { Keys } from '../../src/shared/redis/keys.ts';
import { redisAddress } from '../../src/shared/redis/url.ts';

const sampleEvery = 50;

export class Watch {
  /** Accepted updates that may not be in MySQL yet. */
  pending = 0;
  lagSeconds = 0;
  readonly #redis: RedisConnection;
  readonly #inspector: Inspector;
  readonly #samples: number[] = [];
  #loop: Promise<void> = Promise.resolve();
  #stopped = false;
  #failure: unknown;

  private constructor(redis: RedisConnection, keys: Keys) {
    this.#redis = redis;
    this.#inspector = new Inspector(redis, keys);
  }

  /** @param partitions of the deployment; the default number if it has no setting */
  static async open(
    redisUrl: string,
    namespace: string,
    partitions: number = parseSettings().partitions,
  ): Promise<Watch> {
    const redis = openRedis({ url: redisUrl }, () => {});
    await connectRedis(redis, redisAddress({ url: redisUrl }));
    return new Watch(redis, new Keys(namespace, partitions));
  }

  start(): void {
    this.#loop = this.#run().catch(error => {
      this.#failure = error;
    });
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      await this.#look();
      if (this.lagSeconds > 0) this.#samples.push(this.lagSeconds);
      await delay(sampleEvery);
    }
  }

  async #look(): Promise<void> {
    const partitions = await this.#inspector.all();
    this.pending = partitions.reduce((sum, status) => sum + status.pendingUpdates + status.inFlight, 0);
    this.lagSeconds = Math.max(...partitions.map(status => status.lagSeconds));
  }

  /** Resolves with true when nothing is pending or in flight, and with false after the limit. */
  drained(limitMs: number): Promise<boolean> {
    return this.#until(limitMs, () => this.pending === 0 && this.lagSeconds === 0);
  }

  /** The same when at most so many updates are pending or in flight. */
  atMost(updates: number, limitMs: number): Promise<boolean> {
    return this.#until(limitMs, () => this.pending <= updates);
  }

  async #until(limitMs: number, isReached: () => boolean): Promise<boolean> {
    const deadline = performance.now() + limitMs;
    while (performance.now() < deadline) {
      if (this.#failure) throw this.#failure;
      await this.#look();
      if (isReached()) return true;
      await delay(10);
    }
    return false;
  }

  percentile(share: number): number {
    const sorted = this.#samples.toSorted((a, b) => a - b);
    return sorted[Math.floor((sorted.length - 1) * share)] ?? 0;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loop;
    this.#redis.disconnect();
  }
}
