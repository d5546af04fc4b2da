/**
 * Makes a claim as durable as it is asked to be before its batch is written: a claim that Redis forgets after MySQL has the
 * batch makes counters count twice. Where too few confirm in time, the batch stays in flight and is claimed again.
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
  readonly place: string;
  readonly barrier: Barrier;
  readonly asked: ClaimDurability;
  /** Replicas that must confirm; `auto` asks as many of them as there are. */
  readonly replicas: number;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told at start and at each change. */
  readonly onDurability: (durability: Durability) => void;
  readonly onUnconfirmed: () => void;
}

/** How often `auto` looks whether a replica has come or gone, where the barrier does not tell. */
const LOOK_EVERY_MS = 5000;
const LANE_PAUSE_MS = 50;

export class ClaimBarrier {
  readonly #parts: ClaimBarrierParts;
  #current: Durability | undefined;
  #lookedAt = 0;
  /** Replicas that `auto` saw. */
  #found = Number.POSITIVE_INFINITY;

  constructor(parts: ClaimBarrierParts) {
    this.#parts = parts;
  }

  /** @throws RedisUnsuitableError where the server cannot give what is asked for */
  async check(): Promise<void> {
    const { redis, place, asked } = this.#parts;
    if (asked === 'auto') return this.#look();
    await checkDurability(redis, asked, this.#parts.replicas, place);
    this.#become(asked);
  }

  /**
   * @param claim the claim, on whatever connection it is given
   * @throws ClaimNotDurableError, or what ioredis throws
   */
  async run<Answer>(
    partition: number,
    claim: (connection: RedisConnection) => Promise<Answer>,
  ): Promise<Answer> {
    const { redis, barrier, asked, timeoutMs, clock, onUnconfirmed } = this.#parts;
    if (asked === 'auto' && clock.now() - this.#lookedAt > LOOK_EVERY_MS) await this.#look();
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
          // The lane broke, or its server is not the primary any more: another one returns the same batch.
          await pause(LANE_PAUSE_MS);
          return attempt();
        });
    const { answer, confirmed } = await attempt();
    if (confirmed) return answer;
    onUnconfirmed();
    // The only replica may just have become the primary.
    if (asked === 'auto') await this.#look();
    if (this.#current === 'memory') return answer;
    throw new ClaimNotDurableError(partition, durability);
  }

  async #look(): Promise<void> {
    const { redis, clock } = this.#parts;
    this.#lookedAt = clock.now();
    this.#found = await countReplicas(redis);
    this.#become(this.#found > 0 ? 'replica' : 'memory');
  }

  #become(durability: Durability): void {
    if (durability === this.#current) return;
    const { log, onDurability, asked } = this.#parts;
    this.#current = durability;
    onDurability(durability);
    if (durability === 'memory')
      log.warn(
        { claimDurability: durability, asked },
        'claims are only as durable as the memory of the primary: if it loses them, counters can count twice',
      );
    else
      log.info({ claimDurability: durability, asked }, 'claims wait to be confirmed before they are written');
  }
}
