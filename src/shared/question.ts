/**
 * A question to a server that is asked again and again, such as by scrapes and health checks, and one at a time: while it
 * is unanswered nobody asks anew. ioredis keeps every command until its server is back, so that questions would pile up in
 * memory during an outage and all be sent at its end.
 */
import { within } from './clock.ts';

/** A question that a client has lost may never be answered; after this long it is asked again all the same. */
const LOST_MS = 30_000;

export class Question<Answer> {
  readonly #ask: () => Promise<Answer>;
  readonly #freshMs: number;
  #asked: { readonly at: number; readonly answer: Promise<Answer>; isOpen: boolean } | undefined;

  /** @param freshMs how long after it was asked an answer serves those who ask as well */
  constructor(ask: () => Promise<Answer>, freshMs = 0) {
    this.#ask = ask;
    this.#freshMs = freshMs;
  }

  /** Undefined if there was no answer in `ms`, or an error. Never rejects. */
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
