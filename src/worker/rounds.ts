/** A task that a worker repeats until it is stopped. */
import type { Logger } from 'pino';
import { pause } from '../shared/clock.ts';
import type { RepeatedLines } from '../shared/repeated.ts';
import { isOutage } from './circuit.ts';

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

/** How failed rounds are told. */
export interface RoundLog {
  readonly log: Logger;
  readonly lines: RepeatedLines;
  /** What the work does while a server is away. */
  readonly waits: string;
  readonly failed: string;
}

/** Rounds that need a server. An outage, and an error at the stop, are no news; any other error is a warning. */
export function serverRounds(
  { every, round }: Omit<RoundParts, 'onError'>,
  { log, lines, waits, failed }: RoundLog,
): Rounds {
  const rounds: Rounds = new Rounds({
    every,
    round,
    onError: error => {
      if (isOutage(error) || rounds.stopped) log.debug({ err: error }, waits);
      else lines.warn({ err: error }, failed);
    },
  });
  return rounds;
}
