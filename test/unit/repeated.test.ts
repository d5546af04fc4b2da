// Log lines that come with each attempt: written now and then with a count, never instead of another line.

import { pino } from 'pino';
import { expect, it } from 'vitest';
import { RepeatedLines } from '../../src/shared/repeated.ts';

function openLines() {
  const written: { level: number; msg: string; leftOut?: number; partition?: number }[] = [];
  const log = pino({}, { write: line => written.push(JSON.parse(line)) });
  let now = 0;
  const lines = new RepeatedLines(log, { now: () => now }, 10_000);
  return {
    lines,
    written,
    at: (ms: number) => {
      now = ms;
    },
  };
}

const failure = (code: string) => Object.assign(new Error('no'), { code });

it('the same line is written once in ten seconds, with the number of lines left out', () => {
  const { lines, written, at } = openLines();
  for (let ms = 0; ms < 25_000; ms += 15) {
    at(ms);
    lines.warn({ err: failure('ECONNREFUSED') }, 'lost');
  }
  expect(written.map(({ leftOut }) => leftOut)).toEqual([undefined, 666, 666]);
  at(100_000);
  lines.warn({ err: failure('ECONNREFUSED') }, 'lost');
  expect(written.at(-1)!.leftOut).toBe(332);
});

it('lines differ by text, level, partition and error', () => {
  const { lines, written } = openLines();
  for (let again = 0; again < 3; again++) {
    lines.warn({ err: failure('A') }, 'lost');
    lines.warn({ err: failure('B') }, 'lost');
    lines.error({ err: failure('A') }, 'lost');
    lines.warn({ err: failure('A'), partition: 1, attempt: again }, 'lost');
    lines.warn({ err: failure('A'), partition: 2 }, 'lost');
    lines.warn({}, 'lost');
    lines.warn({ err: new Error('one') }, 'lost');
    lines.warn({ err: new Error('two') }, 'lost');
  }
  expect(written).toHaveLength(8);
  expect(written.every(({ leftOut }) => leftOut === undefined)).toBe(true);
});

it('the latest lines are remembered, a bounded number of them', () => {
  const { lines, written } = openLines();
  for (let n = 0; n < 1000; n++) lines.warn({}, `line ${n}`);
  lines.warn({}, 'line 999');
  lines.warn({}, 'line 0');
  expect(written).toHaveLength(1001);
  expect(written.at(-1)!.msg).toBe('line 0');
});
