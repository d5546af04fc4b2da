// Updates of a torture: increments with and without ids, on keys of which few are hot, credits, debits and
// transfers, some of all in mapped tables. Increments are by one, so a difference between sums is a number of updates.

import type { SummedUpdate } from '../../src/shared/updates/update.ts';
import { type Random, seededRandom, Zipf } from '../load/zipf.ts';

export const partitions = 16;

/** Mapped tables, and what is mapped into them. */
export const mappedTables = {
  likes: { table: 'posts', key: 'id', column: 'likes' },
  stars: { table: 'members', key: 'id', column: 'stars' },
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
} as const;

/** Names with a board: a counter, one in a mapped table, and a program. */
export const rankedNames = [
  { kind: 'c', name: 'clicks' },
  { kind: 'c', name: 'likes' },
  { kind: 'p', name: 'loyalty' },
] as const;

const keys = 400;
const accounts = 60;
/** Share of the updates of accounts. */
const transferShare = 0.4;

export class Traffic {
  readonly random: Random;
  readonly #name: string;
  readonly #zipf: Zipf;
  #ids = 0;

  /** @param name of the process, which is part of the ids */
  constructor(name: string, seed: number) {
    this.#name = name;
    this.random = seededRandom(seed);
    this.#zipf = new Zipf(keys, 1, this.random);
  }

  call(size: number): SummedUpdate[] {
    return Array.from({ length: size }, () => this.next());
  }

  next(): SummedUpdate {
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
