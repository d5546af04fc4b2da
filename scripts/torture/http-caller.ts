/**
 * A client of the HTTP API: it sends single updates, arrays and NDJSON, some of which it leaves in the middle. It
 * repeats with the same id what docs/http.md lets it repeat, and journals every answer.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { NOT_SENT, type Outcome, send } from './http-request.ts';
import type { Journal } from './journal.ts';
import { idOf, type PlainUpdate, type Traffic } from './traffic.ts';

export interface ClientPlan {
  /** Holds the port of the API. */
  addressFile: string;
  apiKey: string;
  /** Unique among all processes of the run. */
  name: string;
  seed: number;
  journal: string;
}

const repetitions = 20;
const streamShare = 0.015;
const arrayShare = 0.2;
/** Share of single updates whose client waits until MySQL has them. */
const waitShare = 0.1;
/** Share of attempts of a stream that the client leaves in the middle. */
const leaveShare = 0.25;
/** Statuses of an API that works. Any other one ends this process, which fails the run. */
const expected = [200, 201, 409, 429, 503];

/** An error of one update, or of all updates of a request. */
interface Told {
  code: string;
  retryable: boolean;
  applied: 'no' | 'yes' | 'unknown';
}

/** The answer for one update. */
interface Result {
  error?: Told;
  state?: string;
}

export class Caller {
  readonly #plan: ClientPlan;
  readonly #journal: Journal;
  readonly #traffic: Traffic;
  readonly #runs: () => string;
  readonly #number: number;
  #stopped = false;

  /** @param runs names a request of many updates */
  constructor(plan: ClientPlan, journal: Journal, traffic: Traffic, runs: () => string, number: number) {
    this.#plan = plan;
    this.#number = number;
    this.#journal = journal;
    this.#traffic = traffic;
    this.#runs = runs;
  }

  async run(): Promise<void> {
    const { random } = this.#traffic;
    while (!this.#stopped) {
      const roll = random();
      const draw = (from: number, to: number) => this.#traffic.call(this.#between(from, to), this.#number);
      if (roll < streamShare) await this.#stream(draw(100, 600));
      else if (roll < streamShare + arrayShare) await this.#array(draw(2, 30));
      else await this.#single(this.#traffic.next(this.#number));
      await delay(2 + random() * 14);
    }
  }

  /** It makes no request any more; run() resolves when the last one has its answer. */
  stop(): void {
    this.#stopped = true;
  }

  /** One without an id is repeated only if it surely was not applied, or does not depend on the order. */
  async #single(update: PlainUpdate): Promise<void> {
    const [number] = this.#journal.ask([update]);
    const { path, body } = singleOf(update);
    const id = idOf(update);
    const headers = {
      ...(id === undefined ? {} : { 'idempotency-key': `"${id}"` }),
      ...(this.#traffic.random() < waitShare ? { prefer: 'wait=5' } : {}),
    };
    await this.#settle([number!], async () => {
      const outcome = await this.#send(path, JSON.stringify(body), { headers });
      const problem = problemOf(outcome);
      if (!problem) {
        this.#journal.acknowledged(number!);
        if ((JSON.parse(outcome.text) as Result).state === 'persisted') this.#journal.persisted(number!);
        return false;
      }
      const isCertain = this.#failed(number!, problem);
      return problem.retryable && (isCertain || id !== undefined || isBest(update));
    });
  }

  async #array(drawn: readonly PlainUpdate[]): Promise<void> {
    const run = `${this.#runs()}-array`;
    const updates = drawn.map((update, at) => withId(update, `${run}:${at + 1}`));
    const numbers = this.#journal.ask(updates);
    const body = JSON.stringify(updates.map(withoutId));
    await this.#settle(numbers, async () => {
      const outcome = await this.#send('/v1/updates', body, { headers: { 'idempotency-key': run } });
      const problem = problemOf(outcome);
      const results: readonly Result[] = problem
        ? updates.map(() => ({ error: problem }))
        : JSON.parse(outcome.text).results;
      if (results.length !== updates.length) throw new Error(`${results.length} results: ${outcome.text}`);
      for (const [at, { error }] of results.entries()) {
        if (error) this.#failed(numbers[at]!, error);
        else this.#journal.acknowledged(numbers[at]!);
      }
      return results.some(({ error }) => error?.retryable);
    });
  }

  async #stream(drawn: readonly PlainUpdate[]): Promise<void> {
    const run = `${this.#runs()}-stream`;
    const updates = drawn.map((update, at) => withId(update, `${run}:${at + 1}`));
    const numbers = this.#journal.ask(updates);
    const text = updates.map(update => `${JSON.stringify(withoutId(update))}\n`).join('');
    await this.#settle(numbers, async () => {
      const path = this.#traffic.random() < 0.5 ? '/v1/updates?results=all' : '/v1/updates';
      const headers = { 'content-type': 'application/x-ndjson', 'idempotency-key': run };
      const outcome = await this.#send(path, text, { headers, isStream: true });
      const problem = problemOf(outcome);
      return this.#journalLines(numbers, outcome, problem);
    });
  }

  /** Returns whether the stream must be sent again: it is complete only with its last line. */
  #journalLines(numbers: readonly number[], { text }: Outcome, problem: Told | undefined): boolean {
    const open = new Set(numbers);
    let last: Summary | undefined;
    for (const line of text.slice(0, text.lastIndexOf('\n') + 1).split('\n')) {
      const told = line === '' ? undefined : JSON.parse(line);
      if (told?.done !== undefined) last = told;
      else if (told?.line !== undefined) {
        const number = numbers[told.line - 1]!;
        open.delete(number);
        if (told.error) this.#failed(number, told.error);
        else this.#journal.acknowledged(number);
      }
    }
    if (last?.done) {
      const { lines, accepted, duplicates, refused } = last;
      if (lines !== numbers.length || accepted + duplicates + refused !== lines)
        throw new Error(`${numbers.length} lines were sent, and the last answer is ${JSON.stringify(last)}`);
      this.#journal.acknowledged(...open);
      return false;
    }
    const code = problem?.code ?? last?.error?.code ?? 'NO_LAST_LINE';
    const isCertain = problem?.applied === 'no';
    for (const number of open) this.#journal.failed(number, code, isCertain);
    return true;
  }

  /** Makes attempts until all has its answer; now and then the caller gives up. */
  async #settle(numbers: readonly number[], attempt: () => Promise<boolean>): Promise<void> {
    for (let count = 0; await attempt(); count++) {
      if (this.#stopped || count >= repetitions || this.#traffic.random() < 0.02) return;
      await delay((100 + this.#traffic.random() * 200) * Math.min(count + 1, 5));
      this.#journal.askAgain(...numbers);
    }
  }

  /** Returns whether the update surely was not applied. */
  #failed(number: number, { code, retryable, applied }: Told): boolean {
    if (!retryable && code !== 'INSUFFICIENT_POINTS')
      throw new Error(`update ${number} was refused: ${code}`);
    return this.#journal.failed(number, code, applied === 'no');
  }

  #send(
    path: string,
    body: string,
    { headers, isStream = false }: { headers: Record<string, string>; isStream?: boolean },
  ): Promise<Outcome> {
    const { random } = this.#traffic;
    const common = { authorization: `Bearer ${this.#plan.apiKey}`, 'content-type': 'application/json' };
    return send({
      port: portIn(this.#plan.addressFile)!,
      path,
      headers: { ...common, ...headers },
      pieces: isStream ? this.#pieces(body) : whole(body),
      // Shorter than some outages, so that a request is sent again while the first one still waits.
      timeoutMs: isStream ? 2000 + random() * 8000 : 500 + random() * (headers.prefer ? 9500 : 4000),
    });
  }

  /** Pieces that end anywhere in a line. The client may leave after any of them. */
  async *#pieces(text: string): AsyncGenerator<string> {
    const { random } = this.#traffic;
    const end = random() < leaveShare ? Math.floor(random() * text.length) : undefined;
    for (let at = 0; at < text.length; ) {
      const next = at + this.#between(500, 6000);
      yield text.slice(at, Math.min(next, end ?? next));
      if (end !== undefined && next >= end) throw new Error('LEFT_BY_CLIENT');
      at = next;
      await delay(random() * 30);
    }
  }

  #between(from: number, to: number): number {
    return from + Math.floor(this.#traffic.random() * (to - from));
  }
}

interface Summary {
  done: boolean;
  lines: number;
  accepted: number;
  duplicates: number;
  refused: number;
  error?: Told;
}

async function* whole(body: string): AsyncGenerator<string> {
  yield body;
}

/** Values have none. */
function withId(update: PlainUpdate, id: string): PlainUpdate {
  return 'value' in update ? update : { ...update, id };
}

function withoutId(update: PlainUpdate) {
  if ('value' in update) return update;
  const { id: _, ...rest } = update;
  return rest;
}

/** Whether the greatest or the least put is kept. */
function isBest(update: PlainUpdate): boolean {
  return 'value' in update && (update.value === 'best' || update.value === 'least');
}

/** The request for one update. The id is in a header. */
function singleOf(update: PlainUpdate): { path: string; body: unknown } {
  if ('value' in update) {
    const { value, ...body } = update;
    return { path: `/v1/values/${value}`, body };
  }
  if ('counter' in update) {
    const { counter, key, by } = update;
    return { path: `/v1/counters/${counter}`, body: { key, by } };
  }
  const { points, id: _, ...body } = update;
  return { path: `/v1/points/${points}/${'from' in update ? 'transfers' : 'entries'}`, body };
}

/** Undefined for an answer that is no error. @throws if the API answers what it must not */
function problemOf({ status, text, failure }: Outcome): Told | undefined {
  if (failure !== undefined)
    return { code: failure, retryable: true, applied: failure === NOT_SENT ? 'no' : 'unknown' };
  if (!expected.includes(status!)) throw new Error(`the API answered ${status}: ${text}`);
  return status! < 300 ? undefined : (JSON.parse(text) as Told);
}

/** Undefined before the first start of an API. */
export function portIn(file: string): number | undefined {
  try {
    return Number(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}
