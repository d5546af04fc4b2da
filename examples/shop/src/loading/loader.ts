/**
 * Loads what the cache does not have: one of all processes at a time, and only so many keys at once.
 *
 * The pattern: whoever gets the lease of the key loads and stores; the others look for what he stored, for as long as a
 * load may take. A load may wait for its turn, so the lease begins anew with it. When to use it: under every cache that
 * many read at once; a thousand readers of one cold key are one statement. What it does not do: it does not wait for the
 * lock of a process that died longer than for its limit, so in such moments two processes load the same.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Counter, type Registry } from 'prom-client';
import type { Invalidation } from '../invalidation/invalidation.ts';
import { createEntry, type Entry, type Kind } from '../levels/entry.ts';
import type { Memory } from '../levels/memory.ts';
import { isFresh, type Shared } from '../levels/shared.ts';
import { limitLoads } from '../protection/limits.ts';
import type { Settings } from '../settings.ts';
import type { Lease } from '../stampede/lease.ts';
import type { Versions } from '../tags/versions.ts';

export interface Item<T> {
  readonly kind: Kind;
  readonly id: string | number;
  readonly tags: readonly string[];
  /** `null`: there is none. The value must survive JSON. */
  readonly load: () => Promise<T | null>;
}
export interface Found {
  readonly entry: Entry;
  readonly result: 'HIT' | 'MISS' | 'STALE';
}

/** Between two looks at what another process loads. */
const LOOK_MS = 20;

export class Loader {
  readonly #settings: Settings['cache'];
  readonly #invalidation: Invalidation;
  readonly #memory: Memory;
  readonly #shared: Shared;
  readonly #limited: ReturnType<typeof limitLoads>;
  readonly #loads: Counter;

  constructor(
    settings: Settings['cache'],
    levels: { invalidation: Invalidation; memory: Memory; shared: Shared },
    registry: Registry,
  ) {
    this.#settings = settings;
    this.#invalidation = levels.invalidation;
    this.#memory = levels.memory;
    this.#shared = levels.shared;
    this.#limited = limitLoads(settings);
    this.#loads = new Counter({
      name: 'shop_cache_loads_total',
      help: 'Loads of the cache from the database, by their result: loaded, none, failed.',
      labelNames: ['kind', 'result'],
      registers: [registry],
    });
  }

  /** @param inUse an entry that is still fresh: it is given out while another process loads */
  async loadOnce(key: string, item: Item<unknown>, inUse?: Entry): Promise<Found> {
    const { stampede, loadMs } = this.#settings;
    const until = Date.now() + loadMs;
    for (;;) {
      const since = this.#invalidation.heard;
      const taken = await this.#shared.lock(key, item.tags, stampede === 'lock' && Date.now() < until);
      if (taken?.entry && isFresh(taken.entry, taken.versions) && taken.entry.beganAt !== inUse?.beganAt) {
        void taken.lease?.release().catch(() => {});
        this.#memory.keep(key, taken.entry, since);
        return { entry: taken.entry, result: 'HIT' };
      }
      if (!taken || taken.lease) return this.#load(key, item, taken, since);
      if (inUse) return { entry: inUse, result: 'HIT' };
      await sleep(LOOK_MS * (1 + Math.random()));
    }
  }

  /** @param taken `undefined`: the cache's Redis is away, and nothing is stored */
  async #load(
    key: string,
    item: Item<unknown>,
    taken: { readonly lease: Lease | undefined; readonly versions: Versions } | undefined,
    since: number,
  ): Promise<Found> {
    const lease = taken?.lease;
    const asked = performance.now();
    let began = asked;
    let mayStore = lease !== undefined;
    try {
      const value = await this.#limited(item.kind, async () => {
        // Its time may be over: without a new one, a process that has too much to load would keep nothing of it.
        if (lease && performance.now() - asked > LOOK_MS)
          mayStore = (await this.#shared.ask(() => lease.renew())) === true;
        began = performance.now();
        return item.load();
      });
      const loadMs = performance.now() - began;
      this.#loads.inc({ kind: item.kind, result: value === null ? 'none' : 'loaded' });
      const entry = createEntry(this.#settings, item.kind, value, taken?.versions ?? {}, loadMs);
      const keepMs = entry.endsAt - entry.beganAt + (value === null ? 0 : this.#settings.staleMs);
      if (lease && mayStore && (await this.#shared.ask(() => lease.store(JSON.stringify(entry), keepMs))))
        this.#memory.keep(key, entry, since);
      return { entry, result: 'MISS' };
    } catch (error) {
      this.#loads.inc({ kind: item.kind, result: 'failed' });
      void lease?.release().catch(() => {});
      throw error;
    }
  }
}
