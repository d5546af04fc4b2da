/** How a run bears with a server that is away, or a transaction that lost against another: it tries again, for a time. */
import { pause } from '../shared/clock.ts';
import { SluiceError } from '../shared/errors.ts';
import { explain } from '../shared/explain.ts';
import { classifyDatabaseError } from '../shared/mysql/errors.ts';

/** Pause before the next try. */
const AGAIN_MS = 500;

export class Patience {
  readonly #ms: number;
  readonly #signal: AbortSignal | undefined;
  readonly #onWait: () => void;
  #until = 0;

  /**
   * @param ms the longest time without a success
   * @param onWait called before each pause
   */
  constructor(ms: number, onWait: () => void, signal?: AbortSignal) {
    this.#ms = ms;
    this.#signal = signal;
    this.#onWait = onWait;
  }

  /** Something succeeded: the time begins anew with the next error. */
  renew(): void {
    this.#until = 0;
  }

  /**
   * Calls until a call returns. Its time begins anew with each success.
   * @throws the error of a call that would not help to repeat, or comes after the longest time or the signal
   */
  async try<Result>(call: () => Promise<Result>): Promise<Result> {
    for (;;) {
      try {
        const result = await call();
        this.renew();
        return result;
      } catch (error) {
        this.#until ||= performance.now() + this.#ms;
        if (!passes(error) || performance.now() > this.#until || this.#signal?.aborted) throw error;
        this.#onWait();
        await pause(AGAIN_MS, this.#signal);
      }
    }
  }
}

function passes(error: unknown): boolean {
  if (classifyDatabaseError(error) === 'conflict') return true;
  const explained = explain(error, '', '');
  return explained instanceof SluiceError && explained.retryable;
}
