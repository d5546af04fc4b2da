/** Puts, and values that are kept of them. Each value knows its puts, which only the checker looks at. */
import type { ValueKind } from '../../../src/shared/item.ts';
import { keptOf } from '../../../src/shared/kept-value.ts';

/** Values by kind and key; the last one is in a mapped table. */
export const ITEMS = ['>a', '<b', '=c', '=m'] as const;
export type Item = (typeof ITEMS)[number];
export const MAPPED: Item = '=m';

export function kindOf(item: Item): ValueKind {
  return item[0] as ValueKind;
}

export interface Put {
  readonly value: number;
  /** Place in the order of all puts; the last one is kept. */
  readonly rank: number;
}

export interface Kept {
  readonly value: number;
  readonly version: number;
  /** Number of puts, as the engine counts them. */
  readonly updates: number;
  /** All puts of which this one was kept. */
  readonly puts: readonly Put[];
}

export type Puts = readonly (readonly [Item, Kept])[];

/** One of both, with the puts of both. Of equal ones the first. */
export function keep(item: Item, one: Kept | undefined, other: Kept): Kept {
  if (!one) return other;
  return join(one, other, keptOf(kindOf(item), one, other));
}

/** As above, but with the value and version of a third. */
export function join(one: Kept, other: Kept, { value, version }: Pick<Kept, 'value' | 'version'>): Kept {
  const puts = [...one.puts, ...other.puts.filter(put => !one.puts.includes(put))];
  return { value, version, updates: one.updates + other.updates, puts };
}

export function keepAll(item: Item, all: Iterable<Kept>): Kept | undefined {
  let kept: Kept | undefined;
  for (const one of all) kept = keep(item, kept, one);
  return kept;
}

/** Whether the value is one that the rule keeps of its puts. */
export function isRight(item: Item, { value, puts }: Kept): boolean {
  const kind = kindOf(item);
  if (kind === '>') return value === Math.max(...puts.map(put => put.value));
  if (kind === '<') return value === Math.min(...puts.map(put => put.value));
  const rank = Math.max(...puts.map(put => put.rank));
  // An edited put has the place of the one that it replaces, which Redis may bring again: the greater number is kept.
  return value === Math.max(...puts.filter(put => put.rank === rank).map(put => put.value));
}
