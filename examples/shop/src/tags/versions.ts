/**
 * Tags of cached entries: clear many by one name.
 *
 * The pattern: a tag has a version in Redis; an entry keeps the versions that its tags had before its load, and is not
 * fresh with others. Clearing a tag gives it a new version, so it costs the same for ten entries and for a million. Use
 * it where one change concerns entries whose keys nobody knows, such as the pages of a list. It does not free memory:
 * old entries stay until Redis evicts them. A set of the tag's keys would free it, but Redis may evict the set.
 */
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';

export type Versions = Readonly<Record<string, string>>;

const TAGS = 10_000;
/** In the place of a version that has changed: no entry has it. */
const TO_BE_READ = '';

export class TagVersions {
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #known: LRUCache<string, string>;
  /** Grows with each change that this process hears of. */
  #heard = 0;

  /** @param localMs after that a version is read again, so that Redis does not take it for unused and evict it */
  constructor(redis: Redis, prefix: string, localMs: number) {
    this.#redis = redis;
    this.#prefix = prefix;
    this.#known = new LRUCache({ max: TAGS, ttl: localMs });
  }

  keyOf(tag: string): string {
    return `${this.#prefix}:tag:${tag}`;
  }

  /** Whether tags have these versions. @param ifUnknown the answer if this process does not know one of them */
  areCurrent(versions: Versions, ifUnknown: boolean): boolean {
    return Object.entries(versions).every(([tag, version]) => {
      const current = this.#known.get(tag);
      return current === undefined ? ifUnknown : current === version;
    });
  }

  /**
   * @param hears false: what this process knows may be old
   * @param announce tells all processes that a tag has a new version: Redis may have evicted the one that others know
   */
  async read(
    tags: readonly string[],
    hears: boolean,
    announce: (tag: string) => Promise<unknown>,
  ): Promise<Versions> {
    const pairs = tags.map(async tag => {
      const known = hears && this.#known.get(tag);
      if (known) return [tag, known] as const;
      const [heard, created] = [this.#heard, randomUUID()];
      const kept = await this.#redis.set(this.keyOf(tag), created, 'NX', 'GET');
      if (kept === null) await announce(tag);
      else if (heard === this.#heard) this.#known.set(tag, kept);
      return [tag, kept ?? created] as const;
    });
    return Object.fromEntries(await Promise.all(pairs));
  }

  /** @param tag has a new version. `undefined`: any may have one */
  hear(tag: string | undefined): void {
    this.#heard++;
    if (tag === undefined) this.#known.clear();
    else this.#known.set(tag, TO_BE_READ);
  }
}
