/**
 * A client of the HTTP API: it sends single updates, arrays and NDJSON, some of which it leaves in the middle. It
 * repeats with the same id what docs/http.md lets it repeat, and journals every answer.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { HoldTraffic } from './hold-traffic.ts';
import { NOT_SENT, type Outcome, send } from './http-request.ts';
import { isBest, isEnd, singleOf, withId, withoutId } from './http-updates.ts';
import type { Journal } from './journal.ts';
import { idOf, type Traffic, type Update } from './traffic.ts';

/** What its callers know of a client. */
interface CallerPlan {
  /** Holds the port of the API. */
  addressFile: string;
  apiKey: string;
  /** Unique among all processes of the run. */
  name: string;
  seed: number;
  journal: string;
}

export interface ClientPlan extends CallerPlan {
  callers: number;
}

const repetitions = 20;
const streamShare = 0.015;
const arrayShare = 0.2;
/** Share of updates that begin or end a hold. */
const holdShare = 0.1;
/** Share of single updates whose client waits until MySQL has them. */
const waitShare = 0.1;
/** Share of attempts of a stream that the client leaves in the middle. */
const leaveShare = 0.25;
/** Statuses of an API that works. Any other one ends this process, which fails the run. */
const expected = [200, 201, 404, 409, 422, 429, 503];
/** Refusals that the traffic provokes. Any other one ends this process. */
const provoked = new Set(['INSUFFICIENT_POINTS']);
const provokedByHolds = new Set([
  ...provoked,
  'UNKNOWN_HOLD',
  'HOLD_ENDED',
  'HOLD_EXCEEDED',
  'IDEMPOTENCY_KEY_REUSED',
]);

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

/** An update and its number in the journal. */
interface Asked {
  readonly update: Update;
  readonly number: number;
}

/** What all callers of a process use. */
export interface Shared {
  readonly plan: CallerPlan;
  readonly journal: Journal;
  readonly traffic: Traffic;
  readonly holds: HoldTraffic;
  /** Names a request of many updates. */
  readonly runs: () => string;
}

export class Caller {
  readonly #plan: CallerPlan;
  readonly #journal: Journal;
  readonly #traffic: Traffic;
  readonly #holds: HoldTraffic;
  readonly #runs: () => string;
  readonly #number: number;
  #stopped = false;

  constructor({ plan, journal, traffic, holds, runs }: Shared, number: number) {
    this.#plan = plan;
    this.#number = number;
    this.#journal = journal;
    this.#traffic = traffic;
    this.#holds = holds;
    this.#runs = runs;
  }

  async run(): Promise<void> {
    const { random } = this.#traffic;
    while (!this.#stopped) {
      const roll = random();
      const draw = (from: number, to: number) =>
        Array.from({ length: this.#between(from, to) }, () => this.#next());
      if (roll < streamShare) await this.#stream(draw(100, 600));
      else if (roll < streamShare + arrayShare) await this.#array(draw(2, 30));
      else await this.#single(this.#next());
      await delay(2 + random() * 14);
    }
  }

  #next(): Update {
    return this.#traffic.random() < holdShare ? this.#holds.next() : this.#traffic.next(this.#number);
  }

  #ask(updates: readonly Update[]): Asked[] {
    const numbers = this.#journal.ask(updates);
    return updates.map((update, at) => ({ update, number: numbers[at]! }));
  }

  /** It makes no request any more; run() resolves when the last one has its answer. */
  stop(): void {
    this.#stopped = true;
  }

  /** One without an id is repeated only if it surely was not applied, or does not depend on the order. */
  async #single(update: Update): Promise<void> {
    const [asked] = this.#ask([update]);
    const { number } = asked!;
    const { path, body } = singleOf(update);
    const id = idOf(update);
    const headers = {
      ...(id === undefined || isEnd(update) ? {} : { 'idempotency-key': `"${id}"` }),
      ...(this.#traffic.random() < waitShare ? { prefer: 'wait=5' } : {}),
    };
    await this.#settle([asked!], async () => {
      const outcome = await this.#send(path, JSON.stringify(body), { headers });
      const problem = problemOf(outcome);
      if (!problem) {
        this.#journal.acknowledged(number);
        const { state } = JSON.parse(outcome.text) as Result;
        if (state === 'persisted') this.#journal.persisted(number);
        if (state === 'superseded') this.#journal.receiptFailed(number, 'SUPERSEDED');
        return false;
      }
      const isCertain = this.#failed(asked!, problem);
      return problem.retryable && (isCertain || id !== undefined || isBest(update));
    });
  }

  async #array(drawn: readonly Update[]): Promise<void> {
    const run = `${this.#runs()}-array`;
    const updates = drawn.map((update, at) => withId(update, `${run}:${at + 1}`));
    const asked = this.#ask(updates);
    const body = JSON.stringify(updates.map(withoutId));
    await this.#settle(asked, async () => {
      const outcome = await this.#send('/v1/updates', body, { headers: { 'idempotency-key': run } });
      const problem = problemOf(outcome);
      const results: readonly Result[] = problem
        ? updates.map(() => ({ error: problem }))
        : JSON.parse(outcome.text).results;
      if (results.length !== updates.length) throw new Error(`${results.length} results: ${outcome.text}`);
      for (const [at, { error }] of results.entries()) {
        if (error) this.#failed(asked[at]!, error);
        else this.#journal.acknowledged(asked[at]!.number);
      }
      return results.some(({ error }) => error?.retryable);
    });
  }

  async #stream(drawn: readonly Update[]): Promise<void> {
    const run = `${this.#runs()}-stream`;
    const updates = drawn.map((update, at) => withId(update, `${run}:${at + 1}`));
    const asked = this.#ask(updates);
    const text = updates.map(update => `${JSON.stringify(withoutId(update))}\n`).join('');
    await this.#settle(asked, async () => {
      const path = this.#traffic.random() < 0.5 ? '/v1/updates?results=all' : '/v1/updates';
      const headers = { 'content-type': 'application/x-ndjson', 'idempotency-key': run };
      const outcome = await this.#send(path, text, { headers, isStream: true });
      const problem = problemOf(outcome);
      return this.#journalLines(asked, outcome, problem);
    });
  }

  /** Returns whether the stream must be sent again: it is complete only with its last line. */
  #journalLines(asked: readonly Asked[], { text }: Outcome, problem: Told | undefined): boolean {
    const open = new Set(asked.map(({ number }) => number));
    let last: Summary | undefined;
    for (const line of text.slice(0, text.lastIndexOf('\n') + 1).split('\n')) {
      const told = line === '' ? undefined : JSON.parse(line);
      if (told?.done !== undefined) last = told;
      else if (told?.line !== undefined) {
        const line = asked[told.line - 1]!;
        open.delete(line.number);
        if (told.error) this.#failed(line, told.error);
        else this.#journal.acknowledged(line.number);
      }
    }
    if (last?.done) {
      const { lines, accepted, duplicates, refused } = last;
      if (lines !== asked.length || accepted + duplicates + refused !== lines)
        throw new Error(`${asked.length} lines were sent, and the last answer is ${JSON.stringify(last)}`);
      this.#journal.acknowledged(...open);
      return false;
    }
    const code = problem?.code ?? last?.error?.code ?? 'NO_LAST_LINE';
    const isCertain = problem?.applied === 'no';
    for (const number of open) this.#journal.failed(number, code, isCertain);
    return true;
  }

  /** Makes attempts until all has its answer; now and then the caller gives up. */
  async #settle(asked: readonly Asked[], attempt: () => Promise<boolean>): Promise<void> {
    for (let count = 0; await attempt(); count++) {
      if (this.#stopped || count >= repetitions || this.#traffic.random() < 0.02) return;
      await delay((100 + this.#traffic.random() * 200) * Math.min(count + 1, 5));
      this.#journal.askAgain(...asked.map(({ number }) => number));
    }
  }

  /** Returns whether the update surely was not applied. */
  #failed({ number, update }: Asked, { code, retryable, applied }: Told): boolean {
    const isProvoked = ('hold' in update || isEnd(update) ? provokedByHolds : provoked).has(code);
    if (!retryable && !isProvoked) throw new Error(`update ${number} was refused: ${code}`);
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
