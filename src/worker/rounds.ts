/** A task that a worker repeats until it is stopped. */
import { pause } from '../shared/clock.ts';

export interface RoundParts {
  /** Delay before each round, ms. */
  readonly every: () => number;
  readonly round: () => Promise<void>;
  readonly onError: (error: unknown) => void;
}

export class Rounds {
  readonly #parts: RoundParts;
  readonly #stop = new AbortController();
  #loop: Promise<void> | undefined;

  constructor(parts: RoundParts) {
    this.#parts = parts;
  }

  get stopped(): boolean {
    return this.#stop.signal.aborted;
  }

  start(): void {
    this.#loop = this.#run();
  }

  /** Resolves when a running round has ended. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { every, round, onError } = this.#parts;
    for (;;) {
      await pause(every(), this.#stop.signal);
      if (this.stopped) return;
      await round().catch(onError);
    }
  }
}

/** The delay with a jitter of a quarter, so that workers do not act together. */
export function spread(ms: number, random: () => number): number {
  return ms * (0.75 + random() / 2);
}
