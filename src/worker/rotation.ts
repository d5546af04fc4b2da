/** Ends the live values of partitions that nobody has used for a while. */
import type { RedisConnection } from '../shared/redis/connections.ts';
import type { Keys } from '../shared/redis/keys.ts';
import { defineScript, type Script } from '../shared/redis/script.ts';

export class Rotation {
  readonly #keys: Keys;
  readonly #liveTtlMs: number;
  readonly #rotate: Script<number>;

  constructor(redis: RedisConnection, keys: Keys, liveTtlMs: number) {
    this.#keys = keys;
    this.#liveTtlMs = liveTtlMs;
    this.#rotate = defineScript(redis, 'rotate', new URL('./rotate.lua', import.meta.url));
  }

  /** Rotates the partition if it is time, by Redis' clock. @returns whether it did */
  async rotate(partition: number): Promise<boolean> {
    const early = Math.floor((this.#liveTtlMs * partition) / this.#keys.partitions);
    const state = this.#keys.state(partition);
    return (await this.#rotate(state, this.#keys.owner, this.#liveTtlMs, early)) === 1;
  }
}
