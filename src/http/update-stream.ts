/**
 * NDJSON in, NDJSON out: any number of updates in one request, in constant memory. While Redis or a limit
 * holds updates back, nothing more is read, so that the client waits. The last line says that every line has its
 * result; without it, the client sends everything again.
 */
import type { Readable, Writable } from 'node:stream';
import type { ApplyResult } from '../producer/callers.ts';
import type { Sluice } from '../producer/client.ts';
import type { CallOptions } from '../producer/handle.ts';
import { type Sent, type Stuck, settle } from '../producer/settle.ts';
import { LINE_PROBLEMS, type Line, readLines } from '../shared/updates/lines.ts';
import type { Access } from './access.ts';
import { type Told, toldOf } from './problem.ts';
import { RequestError } from './request-error.ts';
import type { UpdateBody } from './schemas.ts';
import { checkNames, shownResult, withId } from './shown-result.ts';

export interface StreamOptions extends CallOptions {
  /** Gives line N without an id the id `RUN:N`. */
  readonly run: string | undefined;
  /** Whether accepted lines are answered too. */
  readonly all: boolean;
}

/** Most lines in one call of the producer. */
const CHUNK = 1000;
/** Chunks on their way at once: while one is answered, the next is parsed. */
const ABREAST = 4;
/** How long a line is retried while a server is away or a limit is met, ms. Less than an idle connection lives. */
const PATIENCE_MS = 30_000;

type Ended = { readonly line: number; readonly error: Told };

export class UpdateStream {
  readonly #sluice: Sluice;
  readonly #access: Access;
  readonly #options: StreamOptions;
  readonly #output: Writable;
  readonly #counts = { lines: 0, accepted: 0, duplicates: 0, refused: 0 };
  /** Answers that are not written yet. */
  #answers: string[] = [];
  #chunk: Sent[] = [];
  #underWay: Promise<void>[] = [];
  #last: Promise<void> = Promise.resolve();
  readonly #retried = new Set<string>();
  #ended: Ended | undefined;

  constructor(sluice: Sluice, access: Access, options: StreamOptions, output: Writable) {
    this.#sluice = sluice;
    this.#access = access;
    this.#options = options;
    this.#output = output;
  }

  /** Resolves once the last line is written. @throws if the client is gone */
  async run(input: Readable): Promise<void> {
    try {
      for await (const lines of readLines(input)) {
        for (const line of lines) {
          this.#take(line);
          if (this.#chunk.length >= CHUNK) await this.#send(ABREAST - 1);
        }
        // What came together is sent without waiting for more, since a client may be slow.
        await this.#send(ABREAST - 1);
        await this.#write();
        if (this.#ended) break;
      }
      await this.#send(0);
    } finally {
      // What is under way is in Redis or will be, also if the client is gone.
      await Promise.all(this.#underWay);
    }
    await this.#write();
    await this.#finish();
  }

  #take(line: Line): void {
    if (this.#ended) return;
    this.#counts.lines = line.number;
    if (line.blank) return;
    const update = this.#read(line);
    if (update) this.#chunk.push(update);
  }

  /** The update of a line; undefined if the line is refused. */
  #read({ number, value, problem }: Line): Sent | undefined {
    if (problem) return this.#refuse(number, 'INVALID_REQUEST', LINE_PROBLEMS[problem]);
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return this.#refuse(
        number,
        'INVALID_UPDATE',
        'A line must be a JSON object with "counter", "points" or "value".',
      );
    const update = value as UpdateBody;
    try {
      checkNames(this.#access, update);
    } catch (error) {
      if (error instanceof RequestError) return this.#refuse(number, error.code, error.message);
      throw error;
    }
    const { run } = this.#options;
    return {
      line: number,
      update: run === undefined ? (update as never) : withId(update, `${run}:${number}`),
    };
  }

  /** Sends the chunk, once at most `most` others are under way. */
  async #send(most: number): Promise<void> {
    while (this.#underWay.length > most || this.#retried.size > 0) {
      const first = this.#underWay.shift();
      if (!first) {
        this.#retried.clear();
        break;
      }
      await first;
    }
    if (!this.#access.isLive())
      this.#end(
        this.#chunk[0]?.line ?? this.#counts.lines,
        new RequestError('UNAUTHENTICATED', 'The key has ended meanwhile.'),
      );
    if (this.#ended || this.#chunk.length === 0) return;
    const part = this.#chunk;
    this.#chunk = [];
    const before = this.#last;
    const { durability } = this.#options;
    this.#last = settle(
      this.#sluice,
      part,
      { patienceMs: PATIENCE_MS, before, retried: this.#retried, ...(durability ? { durability } : {}) },
      {
        accepted: (line, result) => this.#accept(line, result),
        rejected: (line, error) => this.#answer(line, { ok: false, error }),
      },
    )
      .then(
        stuck => this.#stuck(stuck),
        error => this.#end(part[0]!.line, error),
      )
      // A slow client gets its answers before it sends more. If it is gone, the reader finds out.
      .then(() => this.#write())
      .catch(() => {});
    this.#underWay.push(this.#last);
    if (most === 0) await this.#last;
  }

  #stuck(stuck: Stuck | undefined): void {
    if (stuck) this.#end(stuck.line, stuck.error);
  }

  #end(line: number, error: { code?: string; message: string; retryable?: boolean }): void {
    const { code = 'INTERNAL', message, retryable = false } = error;
    this.#ended ??= { line, error: toldOf({ code, message, retryable }) };
  }

  #accept(line: number, result: Extract<ApplyResult, { ok: true }>): void {
    this.#counts[result.duplicate ? 'duplicates' : 'accepted']++;
    if (this.#options.all) this.#answer(line, result);
  }

  #refuse(line: number, code: string, message: string): undefined {
    this.#answer(line, { ok: false, error: { code, message, retryable: false } });
  }

  #answer(line: number, result: ApplyResult): void {
    if (!result.ok) this.#counts.refused++;
    this.#answers.push(JSON.stringify({ line, ...shownResult(result) }));
  }

  /** Waits until the client has read enough of the answers before. */
  async #write(): Promise<void> {
    if (this.#answers.length === 0) return;
    const text = `${this.#answers.join('\n')}\n`;
    this.#answers = [];
    if (this.#output.destroyed) throw new Error('the client is gone');
    if (this.#output.write(text)) return;
    await new Promise<void>((resolve, reject) => {
      const done = (act: () => void) => () => {
        this.#output.off('drain', drained).off('close', closed);
        act();
      };
      const drained = done(resolve);
      const closed = done(() => reject(new Error('the client is gone')));
      this.#output.once('drain', drained).once('close', closed);
    });
  }

  async #finish(): Promise<void> {
    const { duplicates, refused, ...counts } = this.#counts;
    const ended = this.#ended && { line: this.#ended.line, error: this.#ended.error };
    const last = { done: !ended, ...counts, duplicates, refused, ...ended };
    await new Promise<void>(resolve => this.#output.end(`${JSON.stringify(last)}\n`, resolve));
  }
}
