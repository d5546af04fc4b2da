/** Logs connection failures of a long-lived process; as debug lines during its start, which logs its own. */
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import { RepeatedLines } from '../repeated.ts';

export class RedisLog {
  readonly #log: Logger;
  readonly #lines: RepeatedLines;
  #hasStarted = false;

  constructor(log: Logger, clock?: Clock) {
    this.#log = log;
    this.#lines = new RepeatedLines(log, clock);
  }

  readonly failed = (error: Error): void => {
    if (this.#hasStarted) this.#lines.warn({ err: error }, 'Redis connection failed, reconnecting');
    else this.#log.debug({ err: error }, 'Redis connection failed');
  };

  started(): void {
    this.#hasStarted = true;
  }
}
