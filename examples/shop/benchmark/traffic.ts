/** Traffic that is the same in each run, and what is said about times. */

/** A generator of numbers from 0 to 1 that begins anew with each seed (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Zipf's law with exponent 1: product n is asked for 1/n as often as product 1. @returns draws a product */
export function createZipf(products: number, random: () => number): () => number {
  const sums = new Float64Array(products);
  let sum = 0;
  for (let n = 1; n <= products; n++) {
    sum += 1 / n;
    sums[n - 1] = sum;
  }
  return () => {
    const drawn = random() * sum;
    let [low, high] = [0, products - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle]! < drawn) low = middle + 1;
      else high = middle;
    }
    return low + 1;
  };
}

/** Times in ms, of which the latest million is kept. */
export class Times {
  readonly #times = new Float64Array(1_000_000);
  count = 0;

  add(ms: number): void {
    this.#times[this.count++ % this.#times.length] = ms;
  }

  /** @param shares for example 0.99 */
  quantiles(...shares: number[]): number[] {
    const sorted = this.#times.slice(0, Math.min(this.count, this.#times.length)).sort();
    return shares.map(share => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0);
  }
}

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
