/** What the handles of counters, programs and values share. */
import { splitKey } from '../shared/composite-key.ts';
import type { Definitions } from '../shared/config/definitions.ts';
import { hasListKeys, type Target } from '../shared/config/target.ts';
import type { RankReader } from '../shared/ranks/reader.ts';
import type { Durability } from '../shared/redis/durability.ts';
import type { CounterKey } from '../shared/updates/key.ts';
import type { CheckedUpdate } from '../shared/updates/update.ts';
import type { Reads } from './reads.ts';
import type { Receipt } from './receipt.ts';

export interface CallOptions {
  /**
   * Redis must have an update there before it counts as accepted: in the `memory` of its primary, on a
   * `replica` too, or on disk (`fsync`). The producer's durability by default.
   */
  durability?: Durability;
}

export interface HandleParts {
  readonly definitions: Definitions;
  readonly reads: Reads;
  readonly ranks: RankReader;
}

export type Submit = (update: CheckedUpdate, durability: Durability | undefined) => Promise<Receipt>;

/** Shows a key's text as callers write the key. */
export function shownKey<Key extends CounterKey>(target: Target | undefined): (text: string) => Key {
  const isList = target !== undefined && hasListKeys(target);
  return text => ((isList && splitKey(text)) || text) as Key;
}
