// Random ranks with the skew of real keys: the first rank is twice as likely as the second and three times as
// likely as the third. They are seeded, so two runs push the same updates.

export type Random = () => number;

/** Random numbers from 0 up to 1 (mulberry32): fast, and equal for equal seeds. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Zipf's distribution over the ranks 0 to size - 1 by Walker's alias method: a draw takes constant time. */
export class Zipf {
  readonly #threshold: Float64Array;
  readonly #alias: Uint32Array;
  readonly #random: Random;

  constructor(size: number, exponent: number, random: Random) {
    this.#random = random;
    const scaled = Float64Array.from({ length: size }, (_, rank) => 1 / (rank + 1) ** exponent);
    const sum = scaled.reduce((total, weight) => total + weight);
    for (let rank = 0; rank < size; rank++) scaled[rank] = (scaled[rank]! * size) / sum;
    this.#threshold = new Float64Array(size).fill(1);
    this.#alias = Uint32Array.from({ length: size }, (_, rank) => rank);
    const rare: number[] = [];
    const common: number[] = [];
    for (let rank = 0; rank < size; rank++) (scaled[rank]! < 1 ? rare : common).push(rank);
    while (rare.length > 0 && common.length > 0) {
      const low = rare.pop()!;
      const high = common.at(-1)!;
      this.#threshold[low] = scaled[low]!;
      this.#alias[low] = high;
      scaled[high] = scaled[high]! - (1 - scaled[low]!);
      if (scaled[high]! < 1) rare.push(common.pop()!);
    }
  }

  next(): number {
    const position = this.#random() * this.#threshold.length;
    const rank = Math.floor(position);
    return position - rank < this.#threshold[rank]! ? rank : this.#alias[rank]!;
  }
}
