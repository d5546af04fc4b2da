/**
 * Writes a log to stdout or stderr without ever blocking the engine. pino's own destination writes to a pipe
 * synchronously, so a pipe that nobody reads stops the whole process, with its health checks and signal
 * handlers. Here lines wait in bounded memory. Lines that do not fit or cannot be written are dropped and
 * counted. Once there is room again, a line in the log tells how many.
 */
import { fstatSync, writeSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { pause } from './clock.ts';

type Name = 'stdout' | 'stderr';

/** Bytes that may wait for a reader: a few minutes of lines in a busy outage. */
const MOST_BYTES = 1024 * 1024;
const POLL_MS = 10;

export class LogStream {
  readonly #name: Name;
  /** Undefined for a file or a terminal, which never keep the writer waiting. */
  readonly #pipe: Writable | undefined;
  #dropped = 0;
  #isFailing = false;

  constructor(name: Name) {
    this.#name = name;
    const kind = fstatSync(this.#fd);
    if (!kind.isFIFO() && !kind.isSocket()) return;
    this.#pipe = process[name];
    this.#pipe.on('error', error => this.#failed(error));
  }

  /** Dropped lines that no line in the log has told yet. */
  get dropped(): number {
    return this.#dropped;
  }

  /** @param line including its line end */
  write(line: string): void {
    if (this.#dropped > 0 && this.#put(this.#gap())) this.#dropped = 0;
    if (this.#dropped > 0 || !this.#put(line)) this.#dropped++;
  }

  /** Resolves once everything is written, or after `ms`. */
  async flushed(ms: number): Promise<void> {
    const end = performance.now() + ms;
    while (this.#pipe?.writable && this.#pipe.writableLength > 0 && performance.now() < end)
      await pause(POLL_MS);
  }

  #put(text: string): boolean {
    if (this.#pipe) {
      if (!this.#pipe.writable || this.#pipe.writableLength + text.length > MOST_BYTES) return false;
      this.#pipe.write(text);
      return true;
    }
    try {
      const bytes = Buffer.from(text);
      for (let done = 0; done < bytes.length; ) done += writeSync(this.#fd, bytes, done);
      this.#isFailing = false;
      return true;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  /** In the format of pino's lines. */
  #gap(): string {
    const line = { level: 'warn', time: new Date().toISOString(), name: 'sluice', pid: process.pid };
    const msg = 'log lines were dropped: they were not read in time, or could not be written';
    return `${JSON.stringify({ ...line, lines: this.#dropped, msg })}\n`;
  }

  /** Reports the failure once, on the other stream, which may go elsewhere. */
  #failed(error: unknown): void {
    if (this.#isFailing) return;
    this.#isFailing = true;
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    const other = this.#name === 'stdout' ? 'stderr' : 'stdout';
    try {
      writeSync(
        process[other].fd,
        `sluice: LOG_FAILED: ${this.#name} cannot be written (${code}), so log lines are lost; check where it goes. Sluice continues.\n`,
      );
    } catch {
      // Neither stream can be written.
    }
  }

  get #fd(): number {
    return this.#name === 'stdout' ? 1 : 2;
  }
}
