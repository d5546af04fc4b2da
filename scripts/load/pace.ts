// When calls of a steady rate are due. Open loop: a call is due at its time whatever became of those before it.
// Its latency counts from then, so that a process that falls behind cannot hide that by calling less often.

export class Pace {
  readonly #perSecond: number;
  readonly #started: number;
  readonly #calls: number;

  /** @param started and all times: ms; @param calls how many there are at most */
  constructor(perSecond: number, started: number, calls: number) {
    this.#perSecond = perSecond;
    this.#started = started;
    this.#calls = calls;
  }

  /** How many calls have been due up to now. */
  dueBy(now: number): number {
    const due = Math.floor(((now - this.#started) * this.#perSecond) / 1000) + 1;
    return Math.max(0, Math.min(this.#calls, due));
  }

  /** When the call with this number, from 0, is due. */
  dueAt(call: number): number {
    return this.#started + (call * 1000) / this.#perSecond;
  }

  /** Whether there is no call left after so many. */
  isOver(calls: number): boolean {
    return calls >= this.#calls;
  }
}
