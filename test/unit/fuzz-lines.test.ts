// 30,000 random NDJSON lines: each is accepted whole or refused with one of our errors, and no prototype
// changes. A failure names its seed; TEST_SEED=N runs it again.

import { Readable } from 'node:stream';
import fc from 'fast-check';
import { afterEach, expect, it, vi } from 'vitest';
import { Ingest } from '../../src/cli/ingest.ts';
import type { ApplyResult } from '../../src/producer/callers.ts';
import type { Sluice } from '../../src/producer/client.ts';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { SluiceError } from '../../src/shared/errors.ts';
import { LIMITS } from '../../src/shared/limits.ts';
import { LINE_LIMIT, type Line, readLines } from '../../src/shared/updates/lines.ts';
import { type CheckedUpdate, checkUpdate, takesId, type Update } from '../../src/shared/updates/update.ts';
import { again, names, seed, strangeJson, watchPrototypes } from '../support/strange.ts';

const LINES = 30_000;
const definitions = parseDefinitions({
  counters: { views: {}, constructor: {} },
  points: { loyalty: { floor: -5 }, valueOf: {} },
});

watchPrototypes();
afterEach(() => {
  vi.restoreAllMocks();
});

/** Random choices, the same for the same seed: mulberry32, since fast-check is too slow for single lines. */
class Chance {
  #state = seed;

  number(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  below(limit: number): number {
    return Math.floor(this.number() * limit);
  }

  of<Value>(values: readonly Value[]): Value {
    return values[this.below(values.length)]!;
  }
}

/** Nested deeper than any stack; rare, since each takes a while. */
const BOTTOMLESS = `${'['.repeat(30_000)}${']'.repeat(30_000)}`;

function strangeLine(chance: Chance, values: readonly string[]): Buffer {
  const n = chance.below(50);
  const good = chance.of([
    `{"points":"loyalty","account":"a${n}","amount":${n - 9},"id":"i${n}","metadata":{"__proto__":${n}}}`,
    `{"counter":"views","key":"/${n}","by":${n - 9}}`,
    `{"points":"loyalty","account":"a${n}","hold":${n + 1},"id":"h${n}","expiresInMs":${n + 1}}`,
    `{"points":"loyalty","account":"a${n}","post":"h${n}","amount":${n + 1},"reason":"r"}`,
    `{"points":"loyalty","account":"a${n}","void":"h${n}"}`,
  ]);
  const value = chance.below(2000) === 0 ? BOTTOMLESS : chance.of(values);
  const kind = chance.below(20);
  if (kind < 5) return Buffer.from(good);
  if (kind < 11) {
    // Only one value is replaced, so that the later checks are reached too.
    const field = chance.below(5);
    let at = 0;
    return Buffer.from(
      good.replace(/("\w+":)([^,{}]+)/g, (whole, name) => (at++ === field ? name + value : whole)),
    );
  }
  if (kind < 14) {
    const fields = Array.from(
      { length: chance.below(6) },
      () => `"${chance.of(names)}":${chance.of(values)}`,
    );
    return Buffer.from(`{${fields.join(',')}}`);
  }
  if (kind < 15) return Buffer.from(value);
  if (kind < 18) {
    const bytes = Buffer.from(good);
    bytes[chance.below(bytes.length)] = chance.below(256);
    return bytes.map(byte => (byte === 10 ? 0 : byte)) as Buffer;
  }
  if (kind < 19) return Buffer.from(Array.from({ length: chance.below(60) }, () => 11 + chance.below(245)));
  return Buffer.from(chance.of(['', ' ', '\r', '\t\r', '\ufeff{}', 'x'.repeat(LINE_LIMIT + 1)]));
}

/** The bytes in chunks, as a pipe brings them. */
function* pieces(bytes: Buffer, chance: Chance): Generator<Buffer> {
  for (let from = 0; from < bytes.length; ) {
    const to = from + 1 + (chance.below(2) ? chance.below(50) : chance.below(100_000));
    yield bytes.subarray(from, to);
    from = to;
  }
}

/** Answers as a producer does, without Redis, and keeps what it would have sent to Redis. */
function recorder() {
  const taken: CheckedUpdate[] = [];
  const crashes: unknown[] = [];
  const take = (update: Update): ApplyResult => {
    try {
      taken.push(checkUpdate(update, definitions));
      return { ok: true, value: 1, duplicate: false, text: '', persisted: async () => {} };
    } catch (error) {
      if (!(error instanceof SluiceError)) crashes.push(error);
      const { code, message, retryable } = error as SluiceError;
      return { ok: false, error: { code, message, retryable } };
    }
  };
  const apply = async (updates: readonly Update[]) => updates.map(take);
  return { sluice: { apply } as unknown as Sluice, taken, crashes };
}

async function parsed(chunks: Iterable<Buffer>): Promise<Line[]> {
  const lines: Line[] = [];
  for await (const some of readLines(Readable.from(chunks))) lines.push(...some);
  return lines;
}

it('each of 30,000 lines is accepted or refused by itself', { timeout: 400_000 }, async () => {
  const written: string[] = [];
  const listen = (text: unknown) => void written.push(String(text));
  vi.spyOn(console, 'error').mockImplementation(listen);
  vi.spyOn(console, 'log').mockImplementation(listen);
  const chance = new Chance();
  const values = fc.sample(strangeJson, { seed, numRuns: 2000 });
  const lines = Array.from({ length: LINES }, () => strangeLine(chance, values));
  const bytes = Buffer.concat(lines.flatMap(one => [one, Buffer.from('\n')]));

  const { sluice, taken, crashes } = recorder();
  const ingest = new Ingest(sluice, { run: 'r', patience: '0', json: true }, 0);
  expect(await ingest.run(Readable.from(pieces(bytes, chance))), again).toBe(0);
  expect(crashes, again).toEqual([]);
  ingest.report();
  const report = JSON.parse(written.at(-1)!);

  // The same lines one by one: the neighbours of a line must not change its result.
  let blank = 0;
  const expected: CheckedUpdate[] = [];
  for (const [at, own] of lines.entries()) {
    const [{ value, blank: isBlank } = { blank: true }] = await parsed([own]);
    if (isBlank) blank++;
    if (typeof value !== 'object' || value === null) continue;
    try {
      const withId = takesId(value) ? { id: `r:${at + 1}`, ...value } : value;
      expected.push(checkUpdate(withId as unknown as Update, definitions));
    } catch {
      // The recorder has checked the error of a refused line.
    }
  }
  expect(JSON.stringify(taken), again).toBe(JSON.stringify(expected));
  expect(report, again).toEqual({
    lines: lines.length,
    accepted: expected.length,
    duplicates: 0,
    rejected: lines.length - expected.length - blank,
    nextLine: lines.length + 1,
  });
  expect(expected.length).toBeGreaterThan(10_000);
  for (const { kind, name, key, amount, id, payload, hold } of taken) {
    const known = kind === 'c' ? definitions.counters : definitions.points;
    // A post of all that is held, and a void, say no amount.
    const hasAmount = amount !== 0 || hold?.action === 'p' || hold?.action === 'v';
    expect(Object.hasOwn(known, name) && Number.isSafeInteger(amount) && hasAmount, again).toBe(true);
    expect(Buffer.byteLength(key) <= LIMITS.key && Buffer.byteLength(id) <= LIMITS.id, again).toBe(true);
    if (kind === 'p') expect(JSON.parse(payload).slice(0, 4), again).toEqual([name, key, id, amount]);
  }
  // An error quotes only a part of a long line.
  for (const text of written) expect(text.length, again).toBeLessThan(1000);
});
