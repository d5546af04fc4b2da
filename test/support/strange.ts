/**
 * Hostile input, which a careful program would never send; equal for equal seeds. TEST_SEED=N repeats a run.
 */
import fc from 'fast-check';
import { afterEach, expect } from 'vitest';

export const seed = Number(process.env.TEST_SEED ?? Date.now() % 2 ** 31);
export const again = `TEST_SEED=${seed}`;

/** Checks after every test of the file that no prototype has changed. */
export function watchPrototypes(): void {
  afterEach(() => {
    const polluted = [Object.prototype, Array.prototype, Function.prototype].flatMap(one => Object.keys(one));
    expect(polluted, again).toEqual([]);
  });
}

/** JSON texts that a careful program would never write. */
export const strangeJson = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.constantFrom(
      ...[
        'null',
        'true',
        '0',
        '-0',
        '1',
        '-1',
        '1.5',
        '1e400',
        '-1e-400',
        '9007199254740991',
        '9007199254740992',
      ],
      ...[
        '""',
        '"a"',
        '"views"',
        '"loyalty"',
        '"constructor"',
        '"__proto__"',
        '"\\u0000"',
        '"\\ud800"',
        '"😀"',
      ],
      ...[
        '[]',
        '{}',
        '["a"]',
        '{"toString":null}',
        '{"toString":null,"valueOf":1}',
        '{"toJSON":1}',
        '{"length":-1}',
      ],
      ...['{"__proto__":{"polluted":1}}', '{"constructor":{"prototype":{"polluted":1}}}', '{"a":"\\udc00x"}'],
    ),
  },
  { weight: 2, arbitrary: fc.json({ maxDepth: 3 }) },
  { weight: 2, arbitrary: fc.integer().map(String) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }).map(text => JSON.stringify(text)) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(21, 300, 4000).map(depth => `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(256, 513, 9000).map(length => JSON.stringify('é'.repeat(length / 2))),
  },
);
export const names = [
  ...[
    'counter',
    'points',
    'hold',
    'post',
    'void',
    'expiresInMs',
    'key',
    'account',
    'by',
    'amount',
    'id',
    'reason',
    'metadata',
  ],
  ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'toJSON', ''],
];
