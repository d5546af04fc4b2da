// The metadata of an entry: numbers stay as they are written, the same content gives the same text, and
// everything that JSON cannot hold is refused. A failure names its seed; TEST_SEED=N runs it again.

import { Readable } from 'node:stream';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { parseExact } from '../../src/shared/exact-json.ts';
import { readLines } from '../../src/shared/updates/lines.ts';
import { metadataText } from '../../src/shared/updates/metadata.ts';
import { readPayload, writePayload } from '../../src/shared/updates/record.ts';
import { checkUpdate, type Update } from '../../src/shared/updates/update.ts';
import { again, seed } from '../support/strange.ts';

const definitions = parseDefinitions({ points: { loyalty: {} } });
const points = (more: object) =>
  checkUpdate({ points: 'loyalty', account: 'a', amount: 1, id: 'i', ...more } as Update, definitions);

/** The ledger's text for a line with this metadata. */
async function lineText(text: string): Promise<string | null> {
  const line = `{"points":"loyalty","account":"a","amount":1,"id":"i","metadata":${text}}`;
  for await (const [found] of readLines(Readable.from([Buffer.from(line)]))) {
    expect(found!.problem).toBeUndefined();
    return readPayload(points(found!.value as object).payload).metadata;
  }
  return null;
}

describe('metadata', () => {
  it.each([
    ['{"orderId":1546130668394913822}'],
    ['{"a":1e400,"b":-1e400,"c":1e-400}'],
    ['{"a":9007199254740990.6}'],
    ['{"a":1.0,"b":-0,"c":0.0,"d":1E5,"e":12.50,"f":0.1}'],
    ['{"a":[1546130668394913822,[{"b":1.10}]]}'],
    ['{"__proto__":{"a":1.0},"constructor":1,"toJSON":2}'],
    ['{"a":"\\u0000","b":"\\"\\\\😀\u2028","ключ":"é"}'],
    ['{"10":1,"9":2,"a":3}'.replace('"10":1,"9":2', '"9":2,"10":1')],
    ['{}'],
  ])('of a line stays %s', async text => {
    expect(await lineText(text)).toBe(text);
  });

  it('has sorted keys and strings in one form, so that the same content is the same text', async () => {
    const text = '{"a":{"c":1.0,"d":"é"},"b":[2,1]}';
    expect(await lineText('{ "b": [2, 1],\t"a": {"d": "\\u00e9", "c": 1.0} }')).toBe(text);
    expect(metadataText({ b: [2, 1], a: { d: 'é', c: JSON.rawJSON('1.0') } })).toBe(text);
  });

  it('of a line is refused with a lone surrogate', async () => {
    for (const text of ['{"a":"\\ud800"}', '{"\\udc00":1}', '{"a":["\\ud83d x"]}'])
      await expect(lineText(text)).rejects.toMatchObject({ code: 'INVALID_METADATA' });
  });

  const literal = fc
    .tuple(
      fc.constantFrom('', '-'),
      fc.oneof(fc.constant('0'), fc.stringMatching(/^[1-9]\d{0,30}$/)),
      fc.oneof(fc.constant(''), fc.stringMatching(/^\.\d{1,30}$/)),
      fc.oneof(fc.constant(''), fc.stringMatching(/^[eE][+-]?\d{1,4}$/)),
    )
    .map(parts => parts.join(''));
  const { tree } = fc.letrec<{ tree: string; object: string }>(tie => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      literal,
      fc.constantFrom('null', 'true', 'false', '"1.0"', '"\\\\1e400"'),
      fc.array(tie('tree'), { maxLength: 4 }).map(items => `[${items.join(', ')}]`),
      tie('object'),
    ),
    object: fc.dictionary(fc.string({ unit: 'grapheme', maxLength: 8 }), tie('tree'), { maxKeys: 4 }).map(
      entries =>
        `{${Object.entries(entries)
          .map(([key, value]) => `${JSON.stringify(key)} : ${value}`)
          .join(' ,')}}`,
    ),
  }));
  /** Numbers of the text outside its strings. */
  const literals = (text: string) =>
    text
      .replace(/"(?:[^"\\]|\\.)*"/g, '')
      .match(/-?\d[\d.eE+-]*/g)
      ?.sort() ?? [];

  it('keeps the numbers of any line as they were written, and survives reading and writing unchanged', async () => {
    await fc.assert(
      fc.asyncProperty(tree, async value => {
        const text = await lineText(`{"v":${value}}`);
        expect(literals(text!)).toEqual(literals(value));
        expect(JSON.parse(text!)).toEqual(JSON.parse(`{"v":${value}}`));
        expect(JSON.stringify(parseExact(text!))).toBe(text);
        expect(metadataText(parseExact(text!))).toBe(text);
      }),
      { seed, numRuns: 2000 },
    );
  });

  it('is found in a payload behind any account, id and reason', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme' }),
        fc.string({ unit: 'grapheme' }),
        fc.oneof(fc.constant(null), fc.string({ unit: 'grapheme' })),
        fc.oneof(fc.constant(null), fc.constant('{"a":1.0}')),
        (account, id, reason, metadata) => {
          const content = { program: 'loyalty', account, id, amount: 5, reason, metadata };
          expect(readPayload(writePayload(content)), again).toEqual(content);
          // A hand-written payload may have spaces.
          const spaced = writePayload(content).replace(/^\[/, '[ ');
          expect(readPayload(spaced), again).toEqual(content);
        },
      ),
      { seed },
    );
  });

  const cyclic: Record<string, unknown> = { a: [] };
  cyclic.a = [1, cyclic];
  const throwing = {
    get price() {
      throw new TypeError('no price');
    },
  };
  class Order {
    id = 1;
  }
  const holes = [1, 2, 3];
  delete holes[1];
  let doubled: Record<string, unknown> = {};
  for (let level = 0; level < 15; level++) doubled = { a: doubled, b: doubled };

  it.each<[string, unknown, string]>([
    ['NaN', { items: [1, 2, { price: Number.NaN }] }, 'metadata.items[2].price is NaN'],
    ['Infinity', { 'a b': Number.POSITIVE_INFINITY }, 'metadata["a b"] is Infinity'],
    ['-Infinity', { a: [Number.NEGATIVE_INFINITY] }, 'metadata.a[0] is -Infinity'],
    ['undefined', { coupon: undefined }, 'metadata.coupon is undefined'],
    ['undefined in an array', { a: [undefined] }, 'metadata.a[0] is undefined'],
    ['a hole', { a: holes }, 'metadata.a[1] is a hole'],
    ['a function', { a: () => 1 }, 'metadata.a is a function'],
    ['a method', { a() {} }, 'metadata.a is a function'],
    ['a symbol', { a: Symbol('b') }, 'metadata.a is a symbol'],
    ['a key that is a symbol', { a: { [Symbol('b')]: 1 } }, 'metadata.a has a property named by a symbol'],
    ['a Map', { a: new Map([[1, 2]]) }, 'metadata.a is an object of class Map'],
    ['a Set', { a: new Set([1]) }, 'metadata.a is an object of class Set'],
    ['an Error', { a: new Error('b') }, 'metadata.a is an object of class Error'],
    ['a RegExp', { a: /b/ }, 'metadata.a is an object of class RegExp'],
    ['a Promise', { a: Promise.resolve(1) }, 'metadata.a is an object of class Promise'],
    ['a typed array', { a: new Uint8Array(2) }, 'metadata.a is an object of class Uint8Array'],
    ['a Number object', { a: new Number(5) }, 'metadata.a is an object of class Number'],
    ['a String object', { a: new String('b') }, 'metadata.a is an object of class String'],
    ['a BigInt object', { a: Object(5n) }, 'metadata.a is an object of class BigInt'],
    ['an instance', { a: new Order() }, 'metadata.a is an object of class Order'],
    ['an object that inherits', { a: Object.create({ b: 1 }) }, 'metadata.a is an object of class Object'],
    [
      'an invalid Date',
      { at: new Date(Number.NaN) },
      'metadata.at is an object of class Date that becomes null',
    ],
    [
      'a toJSON that gives nothing',
      { a: { toJSON() {} } },
      'metadata.a is an object of class Object that becomes',
    ],
    ['a toJSON that gives NaN', { a: { toJSON: () => ({ b: Number.NaN }) } }, 'metadata.a.b is NaN'],
    ['an array with a name', { a: 'xb'.match(/b/) }, 'metadata.a is an array with properties'],
    ['a getter that throws', { a: throwing }, 'metadata.a.price cannot be read'],
    [
      'a proxy that throws',
      {
        a: new Proxy(
          {},
          {
            ownKeys: () => {
              throw 1;
            },
          },
        ),
      },
      'metadata.a cannot be read',
    ],
    ['a revoked proxy', { a: revoked() }, 'metadata.a cannot be read'],
    [
      'a toJSON that throws',
      {
        a: {
          toJSON: () => {
            throw null;
          },
        },
      },
      'metadata.a cannot be read',
    ],
    ['a cycle', cyclic, 'is nested deeper than 20 levels, or contains itself'],
    ['an object that doubles with each level', doubled, 'is longer than 8192 bytes'],
    ['a lone surrogate', { a: ['\ud800'] }, 'metadata.a[0] contains a lone surrogate'],
    ['a key with a lone surrogate', { b: { '\udc00': 1 } }, 'metadata.b contains a lone surrogate'],
    ['a raw lone surrogate', { a: JSON.rawJSON('"\\ud800"') }, 'metadata.a contains a lone surrogate'],
    ['a very long number', { a: JSON.rawJSON('1'.repeat(9000)) }, 'metadata.a is longer than 8192 bytes'],
    ['an array', [1], 'metadata must be an object'],
    ['a string', 'text', 'metadata must be an object'],
    ['null', null, 'metadata must be an object'],
    ['a bigint', 5n, 'metadata must be an object'],
    ['a Date', new Date(0), 'metadata must be an object'],
    ['a function itself', () => 1, 'metadata is a function'],
    ['a Map itself', new Map(), 'metadata is an object of class Map'],
  ])('with %s is refused with its path', (_, metadata, message) => {
    expect(() => points({ metadata })).toThrow(
      expect.objectContaining({ code: 'INVALID_METADATA', message: expect.stringContaining(message) }),
    );
  });

  it.each<[string, object, string]>([
    ['-0', { a: -0 }, '{"a":-0}'],
    ['a bigint', { a: [1546130668394913822n, -5n] }, '{"a":[1546130668394913822,-5]}'],
    ['raw JSON', { a: JSON.rawJSON('1.50'), b: JSON.rawJSON('"\\u0061"') }, '{"a":1.50,"b":"a"}'],
    ['a Date', { at: new Date(0) }, '{"at":"1970-01-01T00:00:00.000Z"}'],
    ['a URL', { a: new URL('http://h/') }, '{"a":"http://h/"}'],
    ['a toJSON with its key', { a: { toJSON: (key: string) => [key] } }, '{"a":["a"]}'],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 }), '{"a":1}'],
    ['an object of another realm', { a: runInNewContext('({ b: [1] })') }, '{"a":{"b":[1]}}'],
    ['an own __proto__', JSON.parse('{"a":1,"__proto__":{"b":2}}'), '{"__proto__":{"b":2},"a":1}'],
    [
      'a getter',
      {
        get a() {
          return 1;
        },
      },
      '{"a":1}',
    ],
    ['one object twice', { a: holes.slice(2), b: holes.slice(2) }, '{"a":[3],"b":[3]}'],
    ['large and small numbers', { a: 1e21, b: 5e-324 }, '{"a":1e+21,"b":5e-324}'],
    ['nothing', {}, '{}'],
  ])('keeps %s', (_, metadata, text) => {
    expect(readPayload(points({ metadata }).payload).metadata).toBe(text);
  });
});

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}
