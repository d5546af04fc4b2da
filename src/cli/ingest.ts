/**
 * `sluice ingest FILE|-`: sends NDJSON updates through a producer. With --run NAME each line gets the
 * idempotency key NAME:line, so that a killed ingest can be run again from the start.
 */
import { createReadStream, fstatSync, openSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { SingleBar } from 'cli-progress';
import type { Sluice } from '../producer/client.ts';
import { createProducer } from '../producer/producer.ts';
import { type Sent, settle } from '../producer/settle.ts';
import { readConfig } from '../shared/config/config.ts';
import { readDefinitions } from '../shared/config/definitions.ts';
import { ConfigurationError } from '../shared/errors.ts';
import { createLog } from '../shared/log.ts';
import { LINE_PROBLEMS, type Line, readLines } from '../shared/updates/lines.ts';
import { takesId, type Update } from '../shared/updates/update.ts';
import { EXIT, type ExitCode, exitCodeFor } from './exit.ts';
import { onFirstStopSignal, type StopSignal } from './signals.ts';

export interface IngestOptions {
  readonly run?: string;
  readonly strict?: boolean;
  /** How long to retry a line while a server is away, seconds. */
  readonly patience: string;
  readonly json?: boolean;
}

export interface IngestReport {
  /** Settled lines, blank ones included. */
  lines: number;
  accepted: number;
  duplicates: number;
  rejected: number;
  /** The first line that was not settled. */
  nextLine: number;
}

const CHUNK = 1000;
const SHOWN_REJECTIONS = 100;

export async function runIngest(file: string, options: IngestOptions): Promise<ExitCode> {
  if (options.run !== undefined && !/^[^\s:]{1,200}$/.test(options.run)) {
    throw new ConfigurationError('--run must be a name of 1 to 200 characters without blanks and colons.');
  }
  if (!/^\d{1,9}$/.test(options.patience))
    throw new ConfigurationError(
      `--patience must be a whole number of seconds, not ${JSON.stringify(options.patience)}.`,
    );
  const config = readConfig(process.env);
  const definitions = readDefinitions(config.definitionsPath);
  const { input, size } = openInput(file);
  const { redis, mysql, namespace, settings, durability } = config;
  const log = createLog(config.logLevel ?? 'error', 'stderr');
  const sluice = await createProducer({
    redis,
    mysql,
    definitions,
    namespace,
    settings,
    durability,
    log,
  });
  const ingest = new Ingest(sluice as Sluice, options, size);
  try {
    return await ingest.run(input);
  } finally {
    ingest.report();
    await sluice.close();
  }
}

function openInput(file: string): { input: Readable; size: number } {
  if (file === '-') return { input: process.stdin, size: 0 };
  try {
    // Opens the file now, so that an unreadable one is reported before anything is sent.
    const descriptor = openSync(file, 'r');
    const stat = fstatSync(descriptor);
    if (stat.isDirectory()) throw new Error('a folder');
    return { size: stat.size, input: createReadStream(file, { fd: descriptor, highWaterMark: 256 * 1024 }) };
  } catch (cause) {
    throw new ConfigurationError(
      `The input ${file} cannot be read; name a file of NDJSON lines, or - for standard input.`,
      { cause },
    );
  }
}

export class Ingest {
  readonly #sluice: Sluice;
  readonly #options: IngestOptions;
  readonly #bar: SingleBar | undefined;
  #stopped: StopSignal | undefined;
  readonly #report: IngestReport = { lines: 0, accepted: 0, duplicates: 0, rejected: 0, nextLine: 1 };

  constructor(sluice: Sluice, options: IngestOptions, size: number) {
    this.#sluice = sluice;
    this.#options = options;
    if (process.stderr.isTTY) {
      const format = `{bar} ${size > 0 ? '{percentage} % | ' : ''}{lines} lines | {rejected} rejected`;
      this.#bar = new SingleBar({ format, stream: process.stderr, clearOnComplete: true, hideCursor: true });
      this.#bar.start(size, 0, { lines: 0, rejected: 0 });
    }
  }

  async run(input: Readable): Promise<ExitCode> {
    const giveBack = onFirstStopSignal(signal => {
      this.#stopped = signal;
      input.destroy();
    });
    try {
      for await (const lines of readLines(input)) {
        const code = await this.#take(lines);
        if (code !== EXIT.ok) return code;
      }
    } catch (error) {
      // Reading fails if the signal closes the input.
      if (!this.#stopped) throw error;
    } finally {
      giveBack();
    }
    if (!this.#stopped) return EXIT.ok;
    console.error(
      `sluice: stopped by ${this.#stopped}; the lines from ${this.#report.nextLine} on were not sent`,
    );
    return EXIT.found;
  }

  /** Sends the lines of one read in chunks, without waiting for more, since a pipe may be slow. */
  async #take(lines: readonly Line[]): Promise<ExitCode> {
    let chunk: Sent[] = [];
    for (const line of lines) {
      if (this.#stopped) break;
      const update = this.#read(line);
      if (update) chunk.push({ line: line.number, update });
      const mustStop = !update && this.#mustStop();
      if (chunk.length < CHUNK && line !== lines.at(-1) && !mustStop) continue;
      const code = await this.#send(chunk);
      if (code !== EXIT.ok) return code;
      this.#settled(line.number, line.bytes, mustStop ? line.number : line.number + 1);
      if (mustStop) return EXIT.found;
      chunk = [];
    }
    return EXIT.ok;
  }

  report(): void {
    this.#bar?.stop();
    const { lines, accepted, duplicates, rejected, nextLine } = this.#report;
    if (this.#options.json) console.log(JSON.stringify(this.#report));
    else
      console.log(
        `${lines} lines: ${accepted} accepted, ${duplicates} duplicates, ${rejected} rejected; next line ${nextLine}`,
      );
  }

  /** The line's update; undefined if the line is blank, or wrong, which is reported and counted. */
  #read({ number, value, problem, blank }: Line): Update | undefined {
    if (blank) return undefined;
    if (problem) {
      this.#reject(number, problem, LINE_PROBLEMS[problem]);
      return undefined;
    }
    if (typeof value !== 'object' || value === null) {
      this.#reject(
        number,
        'INVALID_UPDATE',
        'A line must be a JSON object with "counter", "points" or "value".',
      );
      return undefined;
    }
    if (this.#options.run === undefined || !takesId(value)) return value as Update;
    const id = `${this.#options.run}:${number}`;
    return { id, ...value } as unknown as Update;
  }

  #mustStop(): boolean {
    return this.#options.strict === true && this.#report.rejected > 0;
  }

  /** Sends until every line is settled; in strict mode one at a time, to stop at the first rejected line. */
  async #send(chunk: readonly Sent[]): Promise<ExitCode> {
    const size = this.#options.strict ? 1 : CHUNK;
    const before = this.#report.rejected;
    for (let from = 0; from < chunk.length; from += size) {
      const part = chunk.slice(from, from + size);
      const patienceMs = Number(this.#options.patience) * 1000;
      const stuck = await settle(
        this.#sluice,
        part,
        { patienceMs },
        {
          accepted: (_, { duplicate }) => this.#report[duplicate ? 'duplicates' : 'accepted']++,
          rejected: (line, { code, message }) => this.#reject(line, code, message),
        },
      );
      if (stuck) {
        const { line, others, error } = stuck;
        this.#settled(line - 1, 0);
        console.error(
          `sluice: ${error.code}: line ${line} and ${others} more have no final result: ${error.message}`,
        );
        return exitCodeFor(error.code);
      }
      if (this.#options.strict && this.#report.rejected > before) {
        this.#settled(part[0]!.line, 0, part[0]!.line);
        return EXIT.found;
      }
    }
    return EXIT.ok;
  }

  #reject(line: number, code: string, message: string): void {
    this.#report.rejected++;
    if (this.#report.rejected <= SHOWN_REJECTIONS) console.error(`sluice: line ${line}: ${code}: ${message}`);
    if (this.#report.rejected === SHOWN_REJECTIONS)
      console.error('sluice: further rejected lines are counted, not shown');
  }

  #settled(line: number, bytes: number, next = line + 1): void {
    this.#report.lines = Math.max(this.#report.lines, line);
    this.#report.nextLine = next;
    this.#bar?.update(bytes, { lines: line, rejected: this.#report.rejected });
  }
}
