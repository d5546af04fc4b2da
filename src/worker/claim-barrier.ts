/**
 * Makes a claim durable before its batch is written: if Redis forgets a claim after MySQL has the batch,
 * counters count twice. If too few replicas confirm in time, the batch stays in flight and is claimed again.
 */
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { type Clock, pause } from '../shared/clock.ts';
import { ClaimNotDurableError } from '../shared/errors.ts';
import type { Barrier } from '../shared/redis/barrier.ts';
import type { RedisConnection } from '../shared/redis/connections.ts';
import {
  type ClaimDurability,
  checkDurability,
  countReplicas,
  type Durability,
} from '../shared/redis/durability.ts';

export interface ClaimBarrierParts {
  readonly redis: RedisConnection;
  readonly address: string;
  readonly barrier: Barrier;
  readonly asked: ClaimDurability;
  /** Replicas that must confirm; with `auto`, fewer if there are fewer. */
  readonly replicas: number;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called at start and after each change. */
  readonly onDurability: (durability: Durability) => void;
  readonly onUnconfirmed: () => void;
}

/** How often `auto` counts replicas; it also does after a claim that was not confirmed. */
const COUNT_EVERY_MS = 5000;
const LANE_PAUSE_MS = 50;

export class ClaimBarrier {
  readonly #parts: ClaimBarrierParts;
  #current: Durability | undefined;
  #countedAt = 0;
  /** Replicas that `auto` counted last. */
  #found = Number.POSITIVE_INFINITY;

  constructor(parts: ClaimBarrierParts) {
    this.#parts = parts;
  }

  /** @throws RedisUnsuitableError if the server cannot give the durability */
  async check(): Promise<void> {
    const { redis, address, asked } = this.#parts;
    if (asked === 'auto') return this.#count();
    await checkDurability(redis, asked, this.#parts.replicas, address);
    this.#use(asked);
  }

  /**
   * @param claim runs on the connection that it is given
   * @throws ClaimNotDurableError, or the error of ioredis
   */
  async run<Answer>(
    partition: number,
    claim: (connection: RedisConnection) => Promise<Answer>,
  ): Promise<Answer> {
    const { redis, barrier, asked, timeoutMs, clock, onUnconfirmed } = this.#parts;
    if (asked === 'auto' && clock.now() - this.#countedAt > COUNT_EVERY_MS) await this.#count();
    const durability = this.#current ?? 'memory';
    if (durability === 'memory') return claim(redis);
    const until = clock.now() + timeoutMs;
    const replicas = Math.min(this.#parts.replicas, this.#found);
    const attempt = (): Promise<{ answer: Answer; confirmed: boolean }> =>
      barrier
        .run(partition, durability, until - clock.now(), (lane: Redis) => claim(lane), replicas)
        .catch(async cause => {
          if (clock.now() + LANE_PAUSE_MS >= until)
            throw new ClaimNotDurableError(partition, durability, { cause });
          // The lane broke, or its server is no longer the primary: another lane gets the same batch.
          await pause(LANE_PAUSE_MS);
          return attempt();
        });
    const { answer, confirmed } = await attempt();
    if (confirmed) return answer;
    onUnconfirmed();
    // The only replica may just have become the primary.
    if (asked === 'auto') await this.#count();
    if (this.#current === 'memory') return answer;
    throw new ClaimNotDurableError(partition, durability);
  }

  async #count(): Promise<void> {
    const { redis, clock } = this.#parts;
    this.#countedAt = clock.now();
    this.#found = await countReplicas(redis);
    this.#use(this.#found > 0 ? 'replica' : 'memory');
  }

  #use(durability: Durability): void {
    if (durability === this.#current) return;
    const { log, onDurability, asked } = this.#parts;
    this.#current = durability;
    onDurability(durability);
    if (durability === 'memory')
      log.warn(
        { claimDurability: durability, asked },
        'claims are only in the memory of the primary: if it loses them, counters can count twice',
      );
    else
      log.info(
        { claimDurability: durability, asked },
        'claims are confirmed before their batches are written',
      );
  }
}
