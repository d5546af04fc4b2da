/**
 * The first level of the cache: the memory of the process, in which a read costs microseconds.
 *
 * The pattern: the least recently used entries go first, and each is believed only for a short time and only while this
 * process hears of changes. When to use it: for the few keys that most readers ask for. What it does not do: it is not
 * shared, so each process fills its own.
 */
import { LRUCache } from 'lru-cache';
import type { Change, Invalidation } from '../invalidation/invalidation.ts';
import type { Settings } from '../settings.ts';
import type { Entry } from './entry.ts';

export class Memory {
  readonly #entries: LRUCache<string, { readonly entry: Entry; readonly until: number }>;
  readonly #keepMs: number;
  readonly #invalidation: Invalidation;

  constructor({ localEntries, localMs }: Settings['cache'], invalidation: Invalidation) {
    this.#entries = new LRUCache({ max: localEntries });
    this.#keepMs = localMs;
    this.#invalidation = invalidation;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** A fresh entry. */
  get(key: string): Entry | undefined {
    const kept = this.#entries.get(key);
    if (!kept || Math.min(kept.until, kept.entry.endsAt) <= Date.now() || !this.#invalidation.hears())
      return undefined;
    return this.#invalidation.areCurrent(kept.entry.tags, false) ? kept.entry : undefined;
  }

  /** An entry, however old it is. */
  getOld(key: string): Entry | undefined {
    return this.#entries.get(key)?.entry;
  }

  /** @param since what `invalidation.heard` was before the entry was read: a change since then may concern it */
  keep(key: string, entry: Entry, since: number): void {
    if (this.#invalidation.heard !== since || !this.#invalidation.hears()) return;
    this.#entries.set(key, { entry, until: Date.now() + this.#keepMs });
  }

  /** Entries of a tag stay, but with an old version. */
  hear(change: Change | undefined): void {
    if (change === undefined) this.#entries.clear();
    else if ('key' in change) this.#entries.delete(change.key);
  }
}
