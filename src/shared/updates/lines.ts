/** Reads NDJSON line by line in bounded memory. A line that is not UTF-8 or not JSON spoils no other line. */
import { DuplicateKeyError, parseExact } from '../exact-json.ts';
import { LIMITS } from '../limits.ts';

export interface Line {
  /** From 1. */
  readonly number: number;
  /** Bytes read so far, for a progress bar. */
  readonly bytes: number;
  /** As `parseExact` gives it. */
  readonly value?: unknown;
  /** Why there is no value. */
  readonly problem?: 'NOT_UTF8' | 'NOT_JSON' | 'TOO_LONG' | 'TOO_DEEP' | 'DUPLICATE_KEY';
  readonly blank?: boolean;
}

/** Longest line, bytes; the largest valid update is far shorter. */
export const LINE_LIMIT = 64 * 1024;

/** What is wrong with a line, for its sender. */
export const LINE_PROBLEMS = {
  NOT_UTF8: 'The line is not UTF-8; convert the file.',
  NOT_JSON: 'The line is not JSON; write one JSON object a line.',
  DUPLICATE_KEY: 'An object in the line has one key twice with different values; leave one out.',
  TOO_DEEP: `The line is nested thousands of levels deep; metadata may have ${LIMITS.depth}.`,
  TOO_LONG: `The line is longer than ${LINE_LIMIT} bytes, more than any valid update needs.`,
} as const;

/** Yields the lines of each read together. */
export async function* readLines(input: AsyncIterable<Buffer>): AsyncGenerator<Line[]> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest: Buffer = Buffer.alloc(0);
  let number = 0;
  let bytes = 0;
  let skipping = false;
  for await (const chunk of input) {
    const lines: Line[] = [];
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      const raw =
        rest.length > 0 ? Buffer.concat([rest, chunk.subarray(from, end)]) : chunk.subarray(from, end);
      rest = Buffer.alloc(0);
      number++;
      lines.push(
        skipping
          ? { number, bytes: bytes + end, problem: 'TOO_LONG' }
          : parse(raw, number, bytes + end, decoder),
      );
      skipping = false;
      from = end + 1;
    }
    bytes += chunk.length;
    if (!skipping) rest = Buffer.concat([rest, chunk.subarray(from)]);
    if (rest.length > LINE_LIMIT) {
      skipping = true;
      rest = Buffer.alloc(0);
    }
    if (lines.length > 0) yield lines;
  }
  if (skipping) yield [{ number: number + 1, bytes, problem: 'TOO_LONG' }];
  else if (rest.length > 0) yield [parse(rest, number + 1, bytes, decoder)];
}

function parse(raw: Buffer, number: number, bytes: number, decoder: InstanceType<typeof TextDecoder>): Line {
  if (raw.length > LINE_LIMIT) return { number, bytes, problem: 'TOO_LONG' };
  let text: string;
  try {
    text = decoder.decode(raw);
  } catch {
    return { number, bytes, problem: 'NOT_UTF8' };
  }
  if (!/[^ \t\r]/.test(text)) return { number, bytes, blank: true };
  try {
    return { number, bytes, value: parseExact(text) };
  } catch (error) {
    return { number, bytes, problem: problemOf(error) };
  }
}

function problemOf(error: unknown): NonNullable<Line['problem']> {
  if (error instanceof DuplicateKeyError) return 'DUPLICATE_KEY';
  return error instanceof RangeError ? 'TOO_DEEP' : 'NOT_JSON';
}
