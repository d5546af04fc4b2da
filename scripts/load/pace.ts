// When calls at a steady rate are due: open-loop, so each is due at its time, whatever happens to earlier
// calls. Latency counts from then, so a process that falls behind cannot hide it by calling less often.

export class Pace {
  readonly #perSecond: number;
  readonly #started: number;
  readonly #calls: number;

  /** @param started and all times are in ms @param calls largest number of calls */
  constructor(perSecond: number, started: number, calls: number) {
    this.#perSecond = perSecond;
    this.#started = started;
    this.#calls = calls;
  }

  /** Number of calls due until now. */
  dueBy(now: number): number {
    const due = Math.floor(((now - this.#started) * this.#perSecond) / 1000) + 1;
    return Math.max(0, Math.min(this.#calls, due));
  }

  /** When the call with this number is due, counted from 0. */
  dueAt(call: number): number {
    return this.#started + (call * 1000) / this.#perSecond;
  }

  /** Whether no call is left after this many. */
  isOver(calls: number): boolean {
    return calls >= this.#calls;
  }
}
