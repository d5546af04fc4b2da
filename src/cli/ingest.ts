/**
 * `sluice ingest FILE|-`: sends NDJSON updates through a producer. With --run NAME every line carries the idempotency
 * key NAME:line, so that a killed ingest can be run again from the start.
 */
import { createReadStream, fstatSync, openSync } from 'node:fs';
import { SingleBar } from 'cli-progress';
import type { ApplyResult, Sluice } from '../producer/client.ts';
import { createProducer } from '../producer/producer.ts';
import { pause } from '../shared/clock.ts';
import { readConfig } from '../shared/config.ts';
import { readDefinitions } from '../shared/definitions.ts';
import { ConfigurationError } from '../shared/errors.ts';
import { createLog } from '../shared/log.ts';
import type { Update } from '../shared/update.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { LINE_LIMIT, type Line, readLines } from './lines.ts';

export interface IngestOptions {
  readonly run?: string;
  readonly strict?: boolean;
  readonly json?: boolean;
}

export interface IngestReport {
  /** Lines settled, blank ones included. */
  lines: number;
  accepted: number;
  duplicates: number;
  rejected: number;
  /** The first line that was not settled. */
  nextLine: number;
}

const CHUNK = 1000;
/** How long a line is tried while a server is away. */
const PATIENCE_MS = 30_000;
const SHOWN_REJECTIONS = 100;

const PROBLEMS = {
  NOT_UTF8: 'The line is not UTF-8; convert the file.',
  NOT_JSON: 'The line is not JSON; write one JSON object a line.',
  TOO_LONG: `The line is longer than ${LINE_LIMIT} bytes, more than any valid update needs.`,
} as const;

export async function runIngest(file: string, options: IngestOptions): Promise<ExitCode> {
  if (options.run !== undefined && !/^[^\s:]{1,200}$/.test(options.run)) {
    throw new ConfigurationError('--run must be a name of 1 to 200 characters without blanks and colons.');
  }
  const config = readConfig(process.env);
  const definitions = readDefinitions(config.definitionsPath);
  const { input, size } = openInput(file);
  const { redis, mysql, namespace, settings } = config;
  const log = createLog(config.logLevel ?? 'error', 'stderr');
  const sluice = await createProducer({ redis, mysql, definitions, namespace, settings, log });
  const ingest = new Ingest(sluice as Sluice, options, size);
  try {
    return await ingest.run(input);
  } finally {
    ingest.report();
    await sluice.close();
  }
}

function openInput(file: string): { input: AsyncIterable<Buffer>; size: number } {
  if (file === '-') return { input: process.stdin, size: 0 };
  try {
    // Opened now: a file that cannot be read is said before anything is sent.
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

/** A line that is on its way. */
interface Sent {
  readonly line: number;
  readonly update: Update;
}

class Ingest {
  readonly #sluice: Sluice;
  readonly #options: IngestOptions;
  readonly #bar: SingleBar | undefined;
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

  async run(input: AsyncIterable<Buffer>): Promise<ExitCode> {
    let chunk: Sent[] = [];
    let last = 0;
    for await (const line of readLines(input)) {
      const update = this.#read(line);
      if (update) chunk.push({ line: line.number, update });
      if (!update && this.#mustStop()) {
        const sent = await this.#send(chunk);
        if (sent !== EXIT.ok) return sent;
        this.#settled(line.number, line.bytes, line.number);
        return EXIT.found;
      }
      last = line.number;
      if (chunk.length < CHUNK) continue;
      const code = await this.#send(chunk);
      if (code !== EXIT.ok) return code;
      this.#settled(last, line.bytes);
      chunk = [];
    }
    const code = await this.#send(chunk);
    if (code === EXIT.ok) this.#settled(last, 0);
    return code;
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

  /** The line's update, or undefined where it has none; what is wrong is reported and counted. */
  #read({ number, value, problem, blank }: Line): Update | undefined {
    if (blank) return undefined;
    if (problem) {
      this.#reject(number, problem, PROBLEMS[problem]);
      return undefined;
    }
    if (typeof value !== 'object' || value === null) {
      this.#reject(number, 'INVALID_UPDATE', 'A line must be a JSON object with "counter" or "points".');
      return undefined;
    }
    if (this.#options.run === undefined) return value as Update;
    const id = `${this.#options.run}:${number}`;
    return { id, ...value } as unknown as Update;
  }

  #mustStop(): boolean {
    return this.#options.strict === true && this.#report.rejected > 0;
  }

  /** Sends until every line is settled. In strict mode one line at a time, to stop at the first that is rejected. */
  async #send(chunk: readonly Sent[]): Promise<ExitCode> {
    const size = this.#options.strict ? 1 : CHUNK;
    const before = this.#report.rejected;
    for (let from = 0; from < chunk.length; from += size) {
      const part = chunk.slice(from, from + size);
      const unsettled = await this.#settle(part);
      if (unsettled !== undefined) {
        this.#settled(unsettled - 1, 0);
        return EXIT.unreachable;
      }
      if (this.#options.strict && this.#report.rejected > before) {
        this.#settled(part[0]!.line, 0, part[0]!.line);
        return EXIT.found;
      }
    }
    return EXIT.ok;
  }

  /** The first line that could not be settled in time, or undefined. */
  async #settle(part: readonly Sent[]): Promise<number | undefined> {
    const end = performance.now() + PATIENCE_MS;
    let open = part;
    for (let wait = 50; ; wait = Math.min(2000, wait * 2)) {
      const results = await this.#sluice.apply(open.map(sent => sent.update));
      open = open.filter((sent, at) => !this.#count(sent, results[at]!));
      if (open.length === 0) return undefined;
      if (performance.now() >= end) {
        const [first] = open;
        console.error(
          `sluice: line ${first!.line} and ${open.length - 1} more could not be sent; run again from there.`,
        );
        return first!.line;
      }
      await pause(wait * (0.5 + Math.random()));
    }
  }

  /** Whether the line is settled. An unknown outcome may only be repeated with an id. */
  #count({ line, update }: Sent, result: ApplyResult): boolean {
    if (result.ok) {
      if (result.duplicate) this.#report.duplicates++;
      else this.#report.accepted++;
      return true;
    }
    const { code, message, retryable } = result.error;
    if (retryable && (code !== 'UNKNOWN_OUTCOME' || update.id !== undefined)) return false;
    this.#reject(line, code, message);
    return true;
  }

  #reject(line: number, code: string, message: string): void {
    this.#report.rejected++;
    if (this.#report.rejected <= SHOWN_REJECTIONS) console.error(`sluice: line ${line}: ${code}: ${message}`);
    if (this.#report.rejected === SHOWN_REJECTIONS)
      console.error('sluice: further rejected lines are only counted');
  }

  #settled(line: number, bytes: number, next = line + 1): void {
    this.#report.lines = Math.max(this.#report.lines, line);
    this.#report.nextLine = next;
    this.#bar?.update(bytes, { lines: line, rejected: this.#report.rejected });
  }
}
