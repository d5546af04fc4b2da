/** Limits the sum of amounts in use, such as bytes. Callers that would exceed it wait in order. */
export class Budget {
  #left: number;
  readonly #waiting: { readonly amount: number; readonly start: () => void }[] = [];

  constructor(total: number) {
    this.#left = total;
  }

  /** Runs `use` while holding `amount` of the budget. @param amount at most the whole budget */
  async run<Result>(amount: number, use: () => Promise<Result>): Promise<Result> {
    if (this.#waiting.length > 0 || amount > this.#left)
      await new Promise<void>(start => this.#waiting.push({ amount, start }));
    else this.#left -= amount;
    try {
      return await use();
    } finally {
      this.#left += amount;
      this.#startNext();
    }
  }

  #startNext(): void {
    for (let next = this.#waiting[0]; next && next.amount <= this.#left; next = this.#waiting[0]) {
      this.#left -= next.amount;
      this.#waiting.shift();
      next.start();
    }
  }
}
