// Updates of a torture: increments with and without ids, on keys of which few are hot, credits, debits, transfers, and
// puts, some of all in mapped tables. Increments are by one, so a difference between sums is a number of updates.

import type { HoldingUpdate, SummedUpdate, ValueUpdate } from '../../src/shared/updates/update.ts';
import { type Random, seededRandom, Zipf } from '../load/zipf.ts';

export const partitions = 16;

/** Mapped tables, and what is mapped into them. */
export const mappedTables = {
  likes: { table: 'posts', key: 'id', column: 'likes' },
  stars: { table: 'members', key: 'id', column: 'stars' },
  visited: { table: 'visits', key: 'id', column: 'visited' },
} as const;

export const definitions = {
  counters: {
    views: {},
    clicks: { ranked: true },
    probe: {},
    likes: { target: { ...mappedTables.likes, missing: 'insert' }, ranked: true },
  },
  points: {
    loyalty: { floor: 0, ranked: true },
    credits: { floor: -100 },
    stars: { floor: 0, target: { ...mappedTables.stars, missing: 'insert' } },
  },
  values: {
    best: { keep: 'max', ranked: true },
    least: { keep: 'min' },
    seen: { keep: 'last' },
    visited: { keep: 'last', target: { ...mappedTables.visited, missing: 'insert' } },
  },
} as const;

/** Names with a board: a counter, one in a mapped table, a program, and a value. */
export const rankedNames = [
  { kind: 'c', name: 'clicks' },
  { kind: 'c', name: 'likes' },
  { kind: 'p', name: 'loyalty' },
  { kind: '>', name: 'best' },
] as const;

const keys = 400;
export const accounts = 60;
/** Share of the updates of accounts. */
const transferShare = 0.4;
const putShare = 0.2;
/** Keys of a caller with `last` values. */
const ownKeys = 3;
const spread = 1_000_000;

/** The number of a caller's nth put of a `last` value. No other put of the process has it, and a later one may be less. */
function numberOfPut(nth: number): number {
  // A prime, so that the numbers differ.
  return (nth * 7919) % spread;
}

/** What is sent. */
export type Update = SummedUpdate | ValueUpdate | HoldingUpdate;

/** Undefined for an update that cannot be recognised if it comes again. An end has the id of its hold. */
export function idOf(update: Update): string | undefined {
  if ('value' in update) return undefined;
  if ('post' in update) return update.post;
  return 'void' in update ? update.void : update.id;
}

export class Traffic {
  readonly random: Random;
  readonly #name: string;
  readonly #zipf: Zipf;
  #ids = 0;
  #puts = 0;

  /** @param name of the process, which is part of the ids */
  constructor(name: string, seed: number) {
    this.#name = name;
    this.random = seededRandom(seed);
    this.#zipf = new Zipf(keys, 1, this.random);
  }

  /** @param owner one of the callers of the process, which makes one call at a time */
  next(owner: number): SummedUpdate | ValueUpdate {
    return this.random() < putShare ? this.#put(owner) : this.#summed();
  }

  /** Only its owner puts a `last` value, so that the order is known. */
  #put(owner: number): ValueUpdate {
    const nth = this.#puts++;
    const roll = this.random();
    if (roll < 0.5) {
      const own = `${this.#name}-${owner}-${this.#whole(ownKeys)}`;
      return { value: roll < 0.3 ? 'seen' : 'visited', key: own, is: numberOfPut(nth) };
    }
    // Most puts of these are not kept, but there is always a better one.
    const is = 1 + nth + this.#whole(1000);
    const key = `k${this.#zipf.next()}`;
    return roll < 0.75 ? { value: 'best', key, is } : { value: 'least', key, is: -is };
  }

  #summed(): SummedUpdate {
    const roll = this.random();
    const key = `k${this.#zipf.next()}`;
    if (roll < 0.35) return { counter: 'views', key };
    if (roll < 0.42) return { counter: 'likes', key };
    const id = `${this.#name}-${this.#ids++}`;
    if (roll < 0.6) return { counter: 'clicks', key, id };
    const account = `a${this.#whole(accounts)}`;
    const points = roll < 0.85 ? 'loyalty' : roll < 0.93 ? 'stars' : 'credits';
    if (this.random() < transferShare) return this.#transfer(points, account, id);
    // Debits take as much as credits give, so some of them meet the floor.
    const amount = (1 + this.#whole(50)) * (this.random() < 0.5 ? -1 : 1);
    return { points, account, amount, id };
  }

  /** A ranked counter and a key of it. */
  ranked(): { name: 'clicks' | 'likes'; key: string } {
    return { name: this.random() < 0.5 ? 'clicks' : 'likes', key: `k${this.#zipf.next()}` };
  }

  /** To another account, mostly of another partition. */
  #transfer(points: string, from: string, id: string): SummedUpdate {
    const other = this.#whole(accounts - 1);
    const to = `a${other}` === from ? `a${accounts - 1}` : `a${other}`;
    return { points, from, to, amount: 1 + this.#whole(30), id };
  }

  #whole(limit: number): number {
    return Math.floor(this.random() * limit);
  }
}
