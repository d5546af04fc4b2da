import type { Settings } from '../settings.ts';
import { isDueAhead, isDueByChance, type Life } from '../stampede/early.ts';
import type { Versions } from '../tags/versions.ts';

/** What the cache keeps of a value. */
export interface Entry extends Life {
  /** `null`: there is none. */
  readonly value: unknown;
  readonly tags: Versions;
}
type CacheSettings = Settings['cache'];
export type Kind = keyof CacheSettings['freshMs'];

/** Without the jitter, entries that were loaded together end together, and are all loaded again at once. */
export function createEntry(
  { freshMs, jitter, notFoundMs }: CacheSettings,
  kind: Kind,
  value: unknown,
  tags: Versions,
  loadMs: number,
): Entry {
  const beganAt = Date.now();
  const ms = value === null ? notFoundMs : freshMs[kind];
  return { value, tags, loadMs, beganAt, endsAt: beganAt + ms * (1 - jitter * Math.random()) };
}

export function isDue({ early }: CacheSettings, entry: Entry): boolean {
  if (early === 'none') return false;
  return early === 'chance' ? isDueByChance(entry, Date.now(), Math.random()) : isDueAhead(entry, Date.now());
}
