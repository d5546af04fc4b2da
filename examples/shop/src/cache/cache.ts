/**
 * A cache in two levels: the memory of the process, then a Redis that all processes share.
 *
 * The pattern: cache-aside. A reader asks the cache, and loads what it does not find. An entry is fresh for as long as
 * its kind of data may be old, less some jitter; then it is kept for the time when the database is away. When to use
 * it: for data that is read far more often than it changes. What it does not do: it decides nothing that must be exact,
 * such as stock or a balance, and it does not notice who changes the table past it.
 *
 * If the cache's Redis is away, changes are not heard, so no memory is believed: each process loads a key once at a time.
 */
import type { Redis } from 'ioredis';
import { Counter, type Registry } from 'prom-client';
import { type Change, Invalidation } from '../invalidation/invalidation.ts';
import { type Entry, isDue } from '../levels/entry.ts';
import { Memory } from '../levels/memory.ts';
import { hasVersions, isFresh, Shared } from '../levels/shared.ts';
import { type Found, type Item, Loader } from '../loading/loader.ts';
import type { Settings } from '../settings.ts';

export interface Answer<T> {
  readonly value: T | null;
  readonly result: Found['result'];
}

export class Cache {
  readonly #settings: Settings['cache'];
  readonly #prefix: string;
  readonly #invalidation: Invalidation;
  readonly #memory: Memory;
  readonly #shared: Shared;
  readonly #loader: Loader;
  readonly #searches = new Map<string, Promise<Found>>();
  readonly reads: Counter;

  constructor(redis: Redis, { cache, namespace }: Settings, registry: Registry) {
    this.#settings = cache;
    this.#prefix = `${namespace}:shop:cache`;
    this.#invalidation = new Invalidation(redis, this.#prefix, cache.localMs, change => this.#hear(change));
    this.#memory = new Memory(cache, this.#invalidation);
    this.#shared = new Shared(redis, this.#invalidation, cache.loadMs);
    const levels = { invalidation: this.#invalidation, memory: this.#memory, shared: this.#shared };
    this.#loader = new Loader(cache, levels, registry);
    this.reads = new Counter({
      name: 'shop_cache_reads_total',
      help: 'Reads of the cache, by their result: hit, miss, stale because the load failed, failed.',
      labelNames: ['kind', 'result'],
      registers: [registry],
    });
  }

  get localEntries(): number {
    return this.#memory.size;
  }

  /** Resolves when this process can keep what it reads. */
  get listening(): Promise<void> {
    return this.#invalidation.listening;
  }

  async read<T>(item: Item<T>): Promise<Answer<T>> {
    const key = this.#keyOf(item);
    try {
      const kept = this.#memory.get(key);
      const { entry, result }: Found = kept
        ? { entry: kept, result: 'HIT' }
        : await this.#join(key, () => this.#find(key, item));
      if (result === 'HIT' && isDue(this.#settings, entry)) this.#refresh(key, item, entry);
      this.reads.inc({ kind: item.kind, result: result.toLowerCase() });
      return { value: entry.value as T | null, result };
    } catch (error) {
      this.reads.inc({ kind: item.kind, result: 'failed' });
      throw error;
    }
  }

  /**
   * Commits a change, such that no entry is older. The entry goes first, and its lock keeps others from storing what
   * they read before: it is gone even if this process dies right after the commit. The tags are of lists.
   * @param settled resolves when a commit without an answer has an end: MySQL may do it after others have read the row
   */
  async change<T>(item: Omit<Item<unknown>, 'load'>, commit: () => Promise<T>, settled: () => Promise<void>) {
    const key = this.#keyOf(item);
    const changes: Change[] = [{ key }, ...item.tags.map(tag => ({ tag }))];
    const drop = () => Promise.all(changes.map(change => this.#invalidation.drop(change)));
    await this.#invalidation.drop({ key }, this.#settings.loadMs);
    const done = commit().finally(drop);
    done.catch(() => settled().then(drop));
    return done;
  }

  /** @returns false if the cache's Redis is away: it hears of it later */
  async clear(tag: string): Promise<boolean> {
    await this.#invalidation.drop({ tag });
    return this.#invalidation.isPaid();
  }

  close(): void {
    this.#invalidation.close();
  }

  #keyOf = ({ kind, id }: Pick<Item<unknown>, 'kind' | 'id'>) => `${this.#prefix}:{${kind}:${id}}`;

  /** Whoever asks after a change does not join a search that began before it. */
  #hear(change: Change | undefined): void {
    this.#memory.hear(change);
    if (change !== undefined && 'key' in change) this.#searches.delete(change.key);
    else this.#searches.clear();
  }

  /** One search of a key in this process at a time. */
  #join(key: string, search: () => Promise<Found>): Promise<Found> {
    if (this.#settings.stampede === 'none') return search();
    const known = this.#searches.get(key);
    if (known) return known;
    const begun = search().finally(() => {
      if (this.#searches.get(key) === begun) this.#searches.delete(key);
    });
    this.#searches.set(key, begun);
    return begun;
  }

  /** Nobody waits for it, and it may fail: the entry is still fresh. */
  #refresh(key: string, item: Item<unknown>, entry: Entry): void {
    if (this.#searches.has(key)) return;
    this.#join(key, () => this.#loader.loadOnce(key, item, entry)).catch(() => {});
  }

  async #find(key: string, item: Item<unknown>): Promise<Found> {
    const since = this.#invalidation.heard;
    const found = await this.#shared.find(key, item.tags);
    if (found?.entry && isFresh(found.entry, found.versions)) {
      this.#memory.keep(key, found.entry, since);
      return { entry: found.entry, result: 'HIT' };
    }
    try {
      return await this.#loader.loadOnce(key, item);
    } catch (error) {
      const entry = found?.entry ?? this.#memory.getOld(key);
      if (!entry || !this.#isOfUse(entry, found?.versions)) throw error;
      return { entry, result: 'STALE' };
    }
  }

  /** Whether nobody has cleared an old entry, as far as one can know. What was not there may be there by now. */
  #isOfUse({ value, tags }: Entry, versions: Entry['tags'] | undefined): boolean {
    if (value === null) return false;
    return versions ? hasVersions(tags, versions) : this.#invalidation.areCurrent(tags, true);
  }
}
