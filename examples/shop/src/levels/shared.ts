/**
 * The second level of the cache: a Redis that all processes share and that evicts what nobody reads.
 *
 * The pattern: a failed command is a miss, never an error of the caller, and after one nobody waits for Redis for a
 * second. When to use it: as soon as there are two processes, or starts without it would be slow. What it does not do:
 * it keeps nothing safe; it may forget any key at any time.
 */
import type { Redis } from 'ioredis';
import type { Invalidation } from '../invalidation/invalidation.ts';
import { pauseAfter } from '../protection/limits.ts';
import { takeLease } from '../stampede/lease.ts';
import type { Versions } from '../tags/versions.ts';
import type { Entry } from './entry.ts';

/** The tag of every entry. */
export const EVERYTHING = 'everything';
const parse = (text: string | null) => (text === null ? undefined : (JSON.parse(text) as Entry));

export class Shared {
  readonly #redis: Redis;
  readonly #invalidation: Invalidation;
  readonly #limitMs: number;
  readonly #pause = pauseAfter(1);

  /** @param limitMs of a lock */
  constructor(redis: Redis, invalidation: Invalidation, limitMs: number) {
    this.#redis = redis;
    this.#invalidation = invalidation;
    this.#limitMs = limitMs;
  }

  /** `undefined`: Redis is away, or may have what was changed while it was. */
  async ask<T>(call: () => Promise<T>): Promise<T | undefined> {
    if (!this.#invalidation.isPaid()) return undefined;
    return this.#pause.execute(call).catch(() => undefined);
  }

  /** An entry of any age, and the versions that its tags must have. */
  find(
    key: string,
    tags: readonly string[],
  ): Promise<{ entry: Entry | undefined; versions: Versions } | undefined> {
    return this.ask(async () => {
      const [versions, text] = await Promise.all([
        this.#invalidation.versionsOf([EVERYTHING, ...tags]),
        this.#redis.get(key),
      ]);
      return { entry: parse(text), versions };
    });
  }

  /** The same with the lock of the key, if this process gets it. @param alone false: it gets it in any case */
  lock(key: string, tags: readonly string[], alone: boolean) {
    return this.ask(async () => {
      const [versions, { lease, text }] = await Promise.all([
        this.#invalidation.versionsOf([EVERYTHING, ...tags]),
        takeLease(this.#redis, key, this.#limitMs, alone),
      ]);
      return { entry: parse(text), versions, lease };
    });
  }
}

export const hasVersions = (tags: Versions, versions: Versions) =>
  Object.entries(versions).every(([tag, version]) => tags[tag] === version);

export const isFresh = ({ endsAt, tags }: Entry, versions: Versions) =>
  endsAt > Date.now() && hasVersions(tags, versions);
