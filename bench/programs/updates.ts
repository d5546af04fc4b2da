// The updates of the peers: increments by one, of keys drawn like the engine's traffic, and their sums.

import { counterKey } from '../../scripts/load/traffic.ts';
import { seededRandom, Zipf } from '../../scripts/load/zipf.ts';
import type { Load } from '../scenario.ts';

export interface KeyPlan {
  keys: number;
  /** Exponent of Zipf's law; 0 for equally likely keys. */
  exponent: number;
}

/** The plan of every program of a peer. */
export interface PeerPlan extends Load, KeyPlan {
  redisUrl: string;
  /** Includes the database. */
  mysqlUrl: string;
  /** Prefix of the peer's keys in Redis. */
  namespace: string;
  /** The engine's, for the programs that make batches like its own. */
  partitions: number;
}

/** Key of the list in the Redis list pattern. */
export const listKey = (namespace: string) => `${namespace}:updates`;

export interface PeerResult {
  updates: number;
  seconds: number;
  /** Increments sent, by key rank, including the warm-up. */
  sums: Float64Array;
  /** Points and numbers of entries sent, by account; only of a program that writes entries. */
  balances?: Float64Array;
  entries?: Float64Array;
  details: Record<string, number>;
}

export class Updates {
  readonly sums: Float64Array;
  readonly #zipf: Zipf;
  readonly #names: string[];

  constructor({ keys, exponent }: KeyPlan, seed = 1) {
    this.sums = new Float64Array(keys);
    this.#zipf = new Zipf(keys, exponent, seededRandom(seed));
    this.#names = Array.from({ length: keys }, (_, rank) => counterKey(rank));
  }

  /** Draws a key to increment; its rank is added to `sums` once the update is sent. */
  next(): number {
    return this.#zipf.next();
  }

  name(rank: number): string {
    return this.#names[rank]!;
  }
}
