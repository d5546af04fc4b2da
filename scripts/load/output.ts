/** Writes a process's output to a file. Reading can be paused, as if nobody read the log. */
import type { ChildProcess } from 'node:child_process';
import { createWriteStream, type WriteStream } from 'node:fs';
import type { Readable } from 'node:stream';

const remembered = 100_000;

export class Output {
  readonly file: string;
  readonly #stdout: Readable;
  readonly #log: WriteStream;
  #said = '';

  /** @param child whose stdout and stderr are pipes */
  constructor(child: ChildProcess, file: string) {
    this.file = file;
    this.#stdout = child.stdout!;
    this.#log = createWriteStream(file, { flags: 'a' });
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.pipe(this.#log, { end: false });
      stream.on('data', (chunk: Buffer) => {
        if (this.#said.length < remembered) this.#said += chunk.toString();
      });
    }
  }

  /** The first 100,000 characters of the output. */
  get said(): string {
    return this.#said;
  }

  /** Stops reading stdout. */
  pause(): void {
    this.#stdout.unpipe(this.#log);
    this.#stdout.pause();
  }

  resume(): void {
    this.#stdout.pipe(this.#log, { end: false });
  }
}
