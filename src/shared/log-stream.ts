/**
 * Where a log goes: stdout or stderr, never in the way of the engine. pino's own destination writes to a pipe synchronously, so
 * one that nobody reads stops the process at its next line, health checks and signals included. Here lines wait in
 * bounded memory; what does not fit, or cannot be written, is dropped, counted, and told once there is room.
 */
import { fstatSync, writeSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { pause } from './clock.ts';

type Name = 'stdout' | 'stderr';

/** What waits for a reader; the lines of some minutes of a busy outage. */
const MOST_BYTES = 1024 * 1024;
const POLL_MS = 10;

export class LogStream {
  readonly #name: Name;
  /** Undefined for a file or a terminal, which take what is written at once. */
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

  /** Lines that were dropped and not told yet. */
  get dropped(): number {
    return this.#dropped;
  }

  /** @param line with its line end */
  write(line: string): void {
    if (this.#dropped > 0 && this.#put(this.#gap())) this.#dropped = 0;
    if (this.#dropped > 0 || !this.#put(line)) this.#dropped++;
  }

  /** Resolves when everything is written, after `ms` at the latest. */
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

  /** In the form of the lines around it. */
  #gap(): string {
    const line = { level: 'warn', time: new Date().toISOString(), name: 'sluice', pid: process.pid };
    const msg = 'log lines were dropped: nobody read them in time, or they could not be written';
    return `${JSON.stringify({ ...line, lines: this.#dropped, msg })}\n`;
  }

  /** Said once on the other stream, which may go elsewhere. */
  #failed(error: unknown): void {
    if (this.#isFailing) return;
    this.#isFailing = true;
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    const other = this.#name === 'stdout' ? 'stderr' : 'stdout';
    try {
      writeSync(
        process[other].fd,
        `sluice: LOG_FAILED: ${this.#name} cannot be written (${code}); Sluice goes on, and log lines are lost.\n`,
      );
    } catch {
      // Neither can be written: nobody is left to tell.
    }
  }

  get #fd(): number {
    return this.#name === 'stdout' ? 1 : 2;
  }
}
