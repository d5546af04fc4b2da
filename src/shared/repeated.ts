/** Writes equal log lines of retries at most once every few seconds, with the count of those left out. */
import type { Logger } from 'pino';
import { type Clock, systemClock } from './clock.ts';

type Level = 'warn' | 'error';

interface Line {
  writtenAt: number;
  /** Lines left out since the last one was written. */
  leftOut: number;
}

const EVERY_MS = 10_000;
/** How many different lines are remembered. */
const MOST = 200;

export class RepeatedLines {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #everyMs: number;
  readonly #lines = new Map<string, Line>();

  constructor(log: Logger, clock: Clock = systemClock, everyMs = EVERY_MS) {
    this.#log = log;
    this.#clock = clock;
    this.#everyMs = everyMs;
  }

  warn(fields: object, message: string): void {
    this.#write('warn', fields, message);
  }

  error(fields: object, message: string): void {
    this.#write('error', fields, message);
  }

  #write(level: Level, fields: object, message: string): void {
    const now = this.#clock.now();
    const name = nameOf(level, fields, message);
    const line = this.#lines.get(name);
    if (line && now - line.writtenAt < this.#everyMs) {
      line.leftOut++;
      return;
    }
    this.#log[level](line?.leftOut ? { ...fields, leftOut: line.leftOut } : fields, message);
    // Reinserted at the end, so that the first line of the map is the one written longest ago.
    this.#lines.delete(name);
    this.#lines.set(name, { writtenAt: now, leftOut: 0 });
    const [oldest] = this.#lines.keys();
    if (this.#lines.size > MOST) this.#lines.delete(oldest!);
  }
}

/** Two lines are the same if text, partition and kind of error are; attempts and times may differ. */
function nameOf(level: Level, fields: object, message: string): string {
  const { partition, err } = fields as { partition?: number; err?: unknown };
  const { name, code, message: text } = (err ?? {}) as { name?: string; code?: unknown; message?: string };
  return [level, message, partition ?? '', name ?? '', code ?? text ?? ''].join('\n');
}
