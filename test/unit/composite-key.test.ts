// A composite key has one text, and different keys have different texts. What needs no server is refused at once.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Sluice } from '../../src/producer/client.ts';
import { joinKey, shownKey, splitKey } from '../../src/shared/composite-key.ts';
import {
  type DefinitionsInput,
  defineConfig,
  parseDefinitions,
} from '../../src/shared/config/definitions.ts';
import { parseExact } from '../../src/shared/exact-json.ts';
import { LIMITS } from '../../src/shared/limits.ts';
import { type CounterKey, checkKey } from '../../src/shared/updates/key.ts';
import { checkUpdate, type Update } from '../../src/shared/updates/update.ts';

const target = { table: 'daily', key: ['product_id', 'day'], column: 'views' } as const;
const definitions = parseDefinitions({ counters: { daily: { target }, plain: {} } });
const keyOf = (key: unknown, counter = 'daily') => checkKey(key as CounterKey, counter, definitions);
const refusal = (key: unknown, counter?: string) => {
  try {
    return keyOf(key, counter);
  } catch (error) {
    return error;
  }
};
const text = fc.string({ unit: 'grapheme', maxLength: 20 });

it('the text of a key gives back its parts, and no other list has that text', () => {
  fc.assert(
    fc.property(
      fc.array(text, { minLength: 2, maxLength: 4 }),
      fc.array(text, { minLength: 2, maxLength: 4 }),
      (one, other) => {
        expect(splitKey(joinKey(one))).toEqual(one);
        expect(joinKey(one) === joinKey(other)).toBe(JSON.stringify(one) === JSON.stringify(other));
      },
    ),
    { numRuns: 1000 },
  );
});

it('any other text is not taken apart', () => {
  const others = [
    '',
    '42',
    '["a", "b"]',
    '["a",1]',
    '["a"',
    '["a"]x',
    '{"a":"b"}',
    '["\\u0061","b"]',
    '["a",["b"]]',
    ' ["a","b"]',
  ];
  for (const other of others) {
    expect(splitKey(other)).toBeUndefined();
    expect(shownKey(other)).toBe(JSON.stringify(other));
  }
  expect(shownKey('["a","b"]')).toBe('["a","b"]');
  fc.assert(
    fc.property(text, other => {
      const parts = splitKey(other);
      if (parts) expect(joinKey(parts)).toBe(other);
    }),
  );
});

it('a number, a bigint and their digits are the same part; a line of JSON keeps large numbers', () => {
  const key = '["42","2026-11-28"]';
  for (const part of [42, 42n, '42', JSON.rawJSON('42'), JSON.rawJSON('42.0')])
    expect(keyOf([part, '2026-11-28'])).toBe(key);
  expect(keyOf([-0, 'x'])).toBe('["0","x"]');
  const line = parseExact('{"counter":"daily","key":[18446744073709551615,"2026-11-28"],"by":2}') as Update;
  expect(checkUpdate(line, definitions)).toMatchObject({
    key: '["18446744073709551615","2026-11-28"]',
    item: 'daily:["18446744073709551615","2026-11-28"]',
    amount: 2,
  });
});

it.each([
  ['a text', '["42","2026-11-28"]', /must be a list of 2 parts, \[product_id, day\]; it is of type string/],
  ['nothing', undefined, /must be a list of 2 parts/],
  ['too few parts', [42], /it has 1 parts/],
  ['too many parts', [42, 'x', 'y'], /it has 3 parts/],
  ['a part that is null', [null, 'x'], /column product_id must be a string.*it is null/],
  ['a fraction', [1.5, 'x'], /it is 1\.5/],
  ['a number that JavaScript rounds', [2 ** 53, 'x'], /it is 9007199254740992/],
  ['NaN', [Number.NaN, 'x'], /it is NaN/],
  ['a Date', [1, new Date()], /column day must be a string.*it is of type object/],
  ['a list in a list', [1, ['x']], /it is an array/],
  // biome-ignore lint/suspicious/noSparseArray: a hole must not pass
  ['a hole', [1, ,], /it is of type undefined/],
  ['a raw fraction', [JSON.rawJSON('1.5'), 'x'], /it is 1\.5/],
  ['a raw exponent out of range', [JSON.rawJSON('1e400'), 'x'], /it is the number 1e400/],
  ['a lone surrogate', [1, '\ud800'], /lone surrogate/],
  ['a long text', [1, 'x'.repeat(LIMITS.key + 1)], /longer than 2048 bytes/],
  ['a text that is long as JSON', [1, 'x'.repeat(LIMITS.key - 7)], /longer than 2048 bytes of UTF-8 as JSON/],
])('a key of a table with two key columns is refused: %s', (_, key, says) => {
  expect(refusal(key)).toMatchObject({ code: 'INVALID_KEY', message: expect.stringMatching(says) });
});

it('the longest key is taken', () => {
  const key = keyOf([1, 'x'.repeat(LIMITS.key - 8)]);
  expect(Buffer.byteLength(key)).toBe(LIMITS.key);
});

it('a list is refused by a counter whose keys are texts', () => {
  expect(refusal(['a', 'b'], 'plain')).toMatchObject({
    code: 'INVALID_KEY',
    message: expect.stringMatching(
      /must be a string; it is an array\. Only a counter whose target has a list/,
    ),
  });
});

it.each([
  ['one column in a list', { key: ['a'] }, /list of 2 to 8/],
  ['nine columns', { key: [...'abcdefghi'] }, /list of 2 to 8/],
  ['a column twice', { key: ['a', { column: 'A', format: 'uuid' }] }, /key: names a column twice/],
  ['an unknown format', { key: { column: 'a', format: 'hex' } }, /"format": "uuid"/],
  [
    'constants without insert',
    { insert: { a: 1 } },
    /insert: is only for rows that are inserted; add "missing": "insert"/,
  ],
  [
    'a constant for the key',
    { missing: 'insert', insert: { DAY: 1 } },
    /gives a constant for DAY, which holds the key/,
  ],
  ['a constant for the value', { missing: 'insert', insert: { views: 1 } }, /gives a constant for views/],
  [
    'two constants of one column',
    { missing: 'insert', insert: { a: 1, A: 2 } },
    /insert: names a column twice/,
  ],
  ['a constant that is a list', { missing: 'insert', insert: { a: [1] } }, /must be a string, a number/],
  [
    'long constants',
    { missing: 'insert', insert: { a: 'x'.repeat(1000) } },
    /target: is longer than 1024 bytes as JSON/,
  ],
  ['a misspelt field', { colum: 'x' }, /did you mean "column"/],
])('definitions are refused: %s', (_, given, says) => {
  const wrong = { counters: { daily: { target: { ...target, ...given } } } } as unknown as DefinitionsInput;
  expect(() => parseDefinitions(wrong)).toThrow(says);
});

it('a program has one key column', () => {
  const wrong = { points: { loyalty: { target } } } as unknown as DefinitionsInput;
  expect(() => parseDefinitions(wrong)).toThrow(/the key of an account is one column/);
  const right = { ...target, key: { column: 'id', format: 'uuid' } } as const;
  expect(() => parseDefinitions({ points: { loyalty: { target: right } } })).not.toThrow();
});

it('the compiler knows which counters take lists, and of how many parts', () => {
  const known = defineConfig({
    counters: { daily: { target: { ...target, key: ['id', { column: 'day', format: 'uuid' }] } }, plain: {} },
  });
  const calls = (sluice: Sluice<typeof known>, other: Sluice) => {
    void sluice.counter('daily').increment([42, '2026-11-28']);
    void sluice.counter('plain').increment('k');
    // @ts-expect-error a text for a list
    void sluice.counter('daily').increment('k');
    // @ts-expect-error too few parts
    void sluice.counter('daily').getMany([[42]]);
    // @ts-expect-error a list for a text
    void sluice.counter('plain').get([42, 'x']);
    void other.counter('any').increment('k');
    void other.counter('any').increment([42n, 'x']);
    const general: Sluice = sluice;
    return general;
  };
  expect(calls).toBeTypeOf('function');
});
