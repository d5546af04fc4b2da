/** Distinct keys that updates touch if keys follow Zipf's law: the rows to write once updates are summed. */

/** Ranks that are added up one by one; the later ones, of nearly equal weight, are added up in groups. */
const EXACT = 1000;
const GROWTH = 1.01;

/** Sums `term(rank)` over ranks 1 to `keys`. */
function sumOverRanks(keys: number, term: (rank: number) => number): number {
  let sum = 0;
  const exact = Math.min(keys, EXACT);
  for (let rank = 1; rank <= exact; rank++) sum += term(rank);
  for (let from = exact + 1; from <= keys; ) {
    const next = Math.min(keys + 1, Math.max(from + 1, Math.floor(from * GROWTH)));
    sum += (next - from) * term((from + next - 1) / 2);
    from = next;
  }
  return sum;
}

export class Zipf {
  readonly #keys: number;
  readonly #skew: number;
  readonly #weight: number;

  /** The key of rank r has r^-skew times the updates of the first; 0 is an even spread. */
  constructor(keys: number, skew: number) {
    this.#keys = keys;
    this.#skew = skew;
    this.#weight = sumOverRanks(keys, rank => rank ** -skew);
  }

  /** Share of all updates that the most frequent key has. */
  get hottest(): number {
    return 1 / this.#weight;
  }

  /** Average number of distinct keys among these updates, if they are independent of each other. */
  distinct(updates: number): number {
    const each = updates / this.#weight;
    return sumOverRanks(this.#keys, rank => -Math.expm1(-each * rank ** -this.#skew));
  }
}
