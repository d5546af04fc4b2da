/**
 * Restarts a BullMQ consumer that makes no progress: after an outage or a change of the cluster it may claim
 * to run and fetch no jobs. The criterion is that jobs wait in the queue, this process has a free slot, and
 * no job was started for `watchdogMs`.
 *
 * If the queue does not answer or MySQL is away, the consumer cannot be judged, and the time starts again.
 */
import type { Logger } from 'pino';
import type { Counter } from 'prom-client';
import type { Clock } from '../shared/clock.ts';
import type { Settings } from '../shared/config/settings.ts';
import { Question } from '../shared/question.ts';
import type { FlushQueue } from '../shared/redis/queue.ts';
import { RepeatedLines } from '../shared/repeated.ts';
import { Rounds } from './rounds.ts';

export interface WatchdogParts {
  readonly queue: Pick<FlushQueue, 'getWaitingCount' | 'isPaused'>;
  readonly circuit: { readonly isOpen: boolean };
  readonly settings: Pick<Settings, 'watchdogMs' | 'concurrency'>;
  readonly restarts: Counter;
  readonly clock: Clock;
  readonly log: Logger;
  /** Closes the consumer in bounded time and creates a new one. */
  readonly restart: () => Promise<void>;
}

const ANSWER_MS = 1500;
/** Looks in each `watchdogMs`: a hanging consumer is restarted at most a quarter late. */
const LOOKS = 4;

export class Watchdog {
  readonly #parts: WatchdogParts;
  readonly #rounds: Rounds;
  /** Whether there is a job that a consumer should take. */
  readonly #isWorkWaiting: Question<boolean>;
  /** Running jobs of the current consumer. Jobs of a replaced one may still run and do not count. */
  #jobs = new Set<symbol>();
  /** Since when jobs have waited and none was started. */
  #idleSince: number | undefined;

  constructor(parts: WatchdogParts) {
    const { settings, log, clock } = parts;
    const lines = new RepeatedLines(log, clock);
    this.#parts = parts;
    this.#isWorkWaiting = new Question(async () => {
      const [waiting, paused] = await Promise.all([parts.queue.getWaitingCount(), parts.queue.isPaused()]);
      return !paused && waiting > 0;
    });
    this.#rounds = new Rounds({
      every: () => settings.watchdogMs / LOOKS,
      round: () => this.look(),
      onError: error => lines.warn({ err: error }, 'could not restart the consumer'),
    });
  }

  /** Runs a job of the consumer and counts it as progress. */
  async during<Result>(job: () => Promise<Result>): Promise<Result> {
    const jobs = this.#jobs;
    const id = Symbol('job');
    jobs.add(id);
    this.#idleSince = undefined;
    try {
      return await job();
    } finally {
      jobs.delete(id);
    }
  }

  start(): void {
    this.#rounds.start();
  }

  /** Resolves when no restart is under way. */
  stop(): Promise<void> {
    return this.#rounds.stop();
  }

  async look(): Promise<void> {
    const { settings, circuit, clock, log, restarts, restart } = this.#parts;
    const { watchdogMs } = settings;
    const before = clock.now();
    const jobs = this.#jobs;
    const isWaiting = (await this.#isWorkWaiting.answer(ANSWER_MS)) ?? false;
    if (!isWaiting || circuit.isOpen || jobs.size >= settings.concurrency) {
      this.#idleSince = undefined;
      return;
    }
    this.#idleSince ??= before;
    if (clock.now() - this.#idleSince < watchdogMs || this.#rounds.stopped) return;
    log.warn({ watchdogMs, running: jobs.size }, 'jobs wait and none was started: restarting the consumer');
    restarts.inc();
    this.#idleSince = undefined;
    this.#jobs = new Set();
    await restart();
  }
}
