/**
 * A repeated question to a server, such as by scrapes and health checks. Only one is open at a time: later
 * callers share its answer. ioredis keeps every command until its server is back, so questions would pile up
 * in memory during an outage, and all would be sent at its end.
 */
import { within } from './clock.ts';

/** A client may have lost the question; after this long it is asked again. */
const LOST_MS = 30_000;

export class Question<Answer> {
  readonly #ask: () => Promise<Answer>;
  readonly #freshMs: number;
  #asked: { readonly at: number; readonly answer: Promise<Answer>; isOpen: boolean } | undefined;

  /** @param freshMs how long an answer may be reused, counted from its question */
  constructor(ask: () => Promise<Answer>, freshMs = 0) {
    this.#ask = ask;
    this.#freshMs = freshMs;
  }

  /** Undefined after an error, or if there is no answer within `ms`. Never rejects. */
  answer(ms: number): Promise<Answer | undefined> {
    const asked = this.#asked;
    const age = performance.now() - (asked?.at ?? 0);
    if (asked && age < (asked.isOpen ? LOST_MS : this.#freshMs)) return within(asked.answer, ms);
    const asking = { at: performance.now(), answer: this.#ask(), isOpen: true };
    const close = () => {
      asking.isOpen = false;
    };
    asking.answer.then(close, close);
    this.#asked = asking;
    return within(asking.answer, ms);
  }
}
