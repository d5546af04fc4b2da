// Numbers on the page of the console: a number beyond 2^53 keeps every digit.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  bytes,
  counted,
  duration,
  grouped,
  many,
  rate,
  signed,
  withHeld,
} from '../../src/console/page/digits.ts';

it('groups the digits of any whole number, and loses none', () => {
  fc.assert(
    fc.property(fc.bigInt(), number => {
      const shown = grouped(String(number));
      expect(BigInt(shown.replaceAll(',', '').replace('−', '-'))).toBe(number);
      expect(shown).toMatch(/^−?\d{1,3}(,\d{3})*$/);
    }),
  );
});

it.each([
  ['12345678901234567890', '12,345,678,901,234,567,890'],
  ['-1000', '−1,000'],
  ['999', '999'],
  ['1234.5', '1,234.5'],
  ['halted', 'halted'],
  ['', ''],
])('%j is shown as %j', (text, shown) => {
  expect(grouped(text)).toBe(shown);
});

it('shows what is held beside a balance', () => {
  expect(withHeld('1000', '9007199254740993')).toBe('1,000 (9,007,199,254,740,993 held)');
  expect(withHeld('-1000', undefined)).toBe('−1,000');
});

it('gives an amount its sign', () => {
  expect(['5', '-5', '0'].map(signed)).toEqual(['+5', '−5', '0']);
});

it('says how many, and if there may be more', () => {
  expect([many(1, 'update'), many(2000, 'update'), many('0', 'job')]).toEqual([
    '1 update',
    '2,000 updates',
    '0 jobs',
  ]);
  expect(counted({ count: 10_000, atLeast: true })).toBe('at least 10,000');
  expect(counted({ count: 3, atLeast: false })).toBe('3');
});

it.each([
  [0, '0 s'],
  [0.44, '0.4 s'],
  [74, '74 s'],
  [252, '4 min 12 s'],
  [3600, '1 h'],
  [11_000, '3 h 3 min'],
  [40_000, '11 h'],
  [950_000, '10 d'],
])('%d seconds are %j', (seconds, shown) => {
  expect(duration(seconds)).toBe(shown);
});

it.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1536, '1.5 KiB'],
  [1_288_490_189, '1.2 GiB'],
])('%d bytes are %j', (count, shown) => {
  expect(bytes(count)).toBe(shown);
});

it('shows whole updates a second from ten on', () => {
  expect([0, 0.25, 9.96, 1234.5].map(rate)).toEqual(['0', '0.3', '10', '1,235']);
});
