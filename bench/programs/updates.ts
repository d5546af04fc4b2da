// The updates that peers push: increments by one of keys drawn as the engine's traffic draws them, and their sums.

import { counterKey } from '../../scripts/load/traffic.ts';
import { seededRandom, Zipf } from '../../scripts/load/zipf.ts';
import type { Load } from '../scenario.ts';

export interface KeyPlan {
  keys: number;
  /** Of Zipf's law; 0 for all keys alike. */
  exponent: number;
}

/** What every program of a peer is told. */
export interface PeerPlan extends Load, KeyPlan {
  redisUrl: string;
  /** With the database. */
  mysqlUrl: string;
  /** Prefix of the peer's keys in Redis. */
  namespace: string;
}

/** Where the Redis list pattern keeps its list. */
export const listKey = (namespace: string) => `${namespace}:updates`;

export interface PeerResult {
  updates: number;
  seconds: number;
  /** What was sent, by key rank, with the warm-up. */
  sums: Float64Array;
  details: Record<string, number>;
}

export class Updates {
  readonly sums: Float64Array;
  readonly #zipf: Zipf;
  readonly #names: string[];

  constructor({ keys, exponent }: KeyPlan) {
    this.sums = new Float64Array(keys);
    this.#zipf = new Zipf(keys, exponent, seededRandom(1));
    this.#names = Array.from({ length: keys }, (_, rank) => counterKey(rank));
  }

  /** A key to add one to; its rank is counted in `sums` once the update is sent. */
  next(): number {
    return this.#zipf.next();
  }

  name(rank: number): string {
    return this.#names[rank]!;
  }
}
