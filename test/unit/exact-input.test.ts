// What a caller wrote is what MySQL will hold, or it is refused: numbers of lines, and all that JavaScript can hold and
// JSON cannot. A failure names its seed; TEST_SEED=N runs it again.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { wholeNumber } from '../../src/cli/failed-filter.ts';
import { type Line, readLines } from '../../src/cli/lines.ts';
import { checkChange } from '../../src/replay/amendment.ts';
import { checkFilter } from '../../src/replay/filter.ts';
import { readConfig } from '../../src/shared/config.ts';
import { parseDefinitions, readDefinitions } from '../../src/shared/definitions.ts';
import { parseExact } from '../../src/shared/exact-json.ts';
import { metadataText } from '../../src/shared/metadata.ts';
import { readPayload, writePayload } from '../../src/shared/record.ts';
import { parseSettings } from '../../src/shared/settings.ts';
import { type CheckedUpdate, checkUpdate, type Update } from '../../src/shared/update.ts';
import { again, seed } from '../support/strange.ts';

const definitions = parseDefinitions({ counters: { views: {} }, points: { loyalty: {} } });
const check = (update: object) => checkUpdate(update as Update, definitions);
const counter = (more: object) => check({ counter: 'views', key: '/', ...more });
const points = (more: object) => check({ points: 'loyalty', account: 'a', amount: 1, id: 'i', ...more });

async function lines(...parts: (string | Buffer)[]): Promise<Line[]> {
  const found: Line[] = [];
  const input = Readable.from([Buffer.concat(parts.map(part => Buffer.from(part)))]);
  for await (const some of readLines(input)) found.push(...some);
  return found;
}

async function lineCheck(text: string): Promise<CheckedUpdate> {
  const [line] = await lines(text);
  expect(line!.problem).toBeUndefined();
  return check(line!.value as object);
}

describe('the amount of a line', () => {
  it.each([
    ['1', 1],
    ['-1', -1],
    ['9007199254740991', 9007199254740991],
    ['-9007199254740991', -9007199254740991],
    ['5.0', 5],
    ['5.000', 5],
    ['1e3', 1000],
    ['1E+3', 1000],
    ['1.5e1', 15],
    ['120e-1', 12],
    ['9.007199254740991e15', 9007199254740991],
  ])('%s is %i', async (literal, amount) => {
    expect((await lineCheck(`{"counter":"views","key":"/","by":${literal}}`)).amount).toBe(amount);
    const line = `{"points":"loyalty","account":"a","amount":${literal},"id":"i"}`;
    const entry = await lineCheck(line);
    expect([entry.amount, readPayload(entry.payload).amount]).toEqual([amount, amount]);
  });

  it.each([
    ...['9007199254740990.6', '9007199254740991.0000001', '5.0000000000000000001', '0.9999999999999999999'],
    ...['9007199254740992', '-9007199254740993', '1e16', '1e400', '-1e400', '1e-400', '1.5', '15e-1'],
    ...['0', '-0', '0.0', '0e5', '-0.0', '"5"', 'null', 'true', '[5]', '{"a":5}', '"1e3"'],
  ])('%s is refused', async literal => {
    const refusal = expect.objectContaining({ code: 'INVALID_AMOUNT' });
    await expect(lineCheck(`{"counter":"views","key":"/","by":${literal}}`)).rejects.toEqual(refusal);
    const line = `{"points":"loyalty","account":"a","amount":${literal},"id":"i"}`;
    await expect(lineCheck(line)).rejects.toEqual(refusal);
  });

  it('is shown as it was written, and not at any length', async () => {
    await expect(lineCheck('{"counter":"views","key":"/","by":9007199254740990.6}')).rejects.toThrow(
      'is the number 9007199254740990.6',
    );
    const long = lineCheck(`{"counter":"views","key":"/","by":${'1'.repeat(60_000)}}`);
    expect(await long.catch(error => error.message.length)).toBeLessThan(200);
  });
});

describe('an amount of the package', () => {
  it.each<unknown>([
    ...[
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      0,
      -0,
      1.5,
      2 ** 53,
      -(2 ** 53),
      '5',
      '',
    ],
    ...[5n, 2n ** 60n, new Number(5), null, true, [5], {}, { valueOf: () => 5 }, Symbol('5'), () => 5],
    ...[new Date(5), JSON.rawJSON('1.5'), JSON.rawJSON('"5"'), JSON.rawJSON('true')],
  ])('is refused: %o', amount => {
    const refusal = expect.objectContaining({ code: 'INVALID_AMOUNT' });
    expect(() => points({ amount })).toThrow(refusal);
    expect(() => counter({ by: amount })).toThrow(refusal);
  });

  it('may be what JSON.rawJSON makes of a whole number', () => {
    expect(counter({ by: JSON.rawJSON('5.0') }).amount).toBe(5);
  });
});

describe('lines', () => {
  it('may begin with a byte order mark, end with CRLF, and be blank', async () => {
    const found = await lines('\ufeff{"a":1}\r\n', '\r\n', ' \t\r\n', '{"a":2}');
    expect(found.map(({ value, blank }) => value ?? blank)).toEqual([{ a: 1 }, true, true, { a: 2 }]);
  });

  it.each([
    ['a NUL', '{"a":1}\0', 'NOT_JSON'],
    ['a NUL in a string', '{"a":"\0"}', 'NOT_JSON'],
    ['nothing but a NUL', '\0', 'NOT_JSON'],
    ['blanks that are none of JSON', '\u3000\u00a0', 'NOT_JSON'],
    ['half a character', Buffer.from([0x22, 0xf0, 0x9f, 0x22]), 'NOT_UTF8'],
    ['CESU-8', Buffer.from([0x22, 0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80, 0x22]), 'NOT_UTF8'],
    ['UTF-16', Buffer.from('\ufeff{"a":1}', 'utf16le'), 'NOT_UTF8'],
    ['two values', '{"a":1}{"a":2}', 'NOT_JSON'],
    ['NaN', '{"by":NaN}', 'NOT_JSON'],
    ['Infinity', '{"by":-Infinity}', 'NOT_JSON'],
    ['a hexadecimal number', '{"by":0x10}', 'NOT_JSON'],
    ['a leading zero', '{"by":01}', 'NOT_JSON'],
    ['a leading plus', '{"by":+1}', 'NOT_JSON'],
    ['a key twice', '{"counter":"x","counter":"y"}', 'DUPLICATE_KEY'],
    ['a key twice by its escape', '{"by":1,"\\u0062y":2}', 'DUPLICATE_KEY'],
    ['a key twice inside', '{"metadata":{"a":[{"b":1,"b":2}]}}', 'DUPLICATE_KEY'],
    ['__proto__ twice', '{"__proto__":1,"__proto__":2}', 'DUPLICATE_KEY'],
    ['one value in two spellings', '{"a":1,"a":1.0}', 'DUPLICATE_KEY'],
    ['thousands of levels', `{"a":${'['.repeat(30_000)}${']'.repeat(30_000)}}`, 'TOO_DEEP'],
  ])('refuses %s, alone', async (_, text, problem) => {
    const found = await lines('{"a":1}\n', text, '\n{"a":2}');
    expect(found.map(line => line.problem ?? line.value)).toEqual([{ a: 1 }, problem, { a: 2 }]);
  });
});

describe('metadata', () => {
  const lineText = async (text: string) =>
    readPayload(
      (await lineCheck(`{"points":"loyalty","account":"a","amount":1,"id":"i","metadata":${text}}`)).payload,
    ).metadata;

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

  it('has its keys in order and its strings in one form, so that the same content is the same text', async () => {
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
  /** The text's numbers outside its strings. */
  const literals = (text: string) =>
    text
      .replace(/"(?:[^"\\]|\\.)*"/g, '')
      .match(/-?\d[\d.eE+-]*/g)
      ?.sort() ?? [];

  it('holds the numbers of any line as they were written, and is its own text when it is read and written again', async () => {
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

  it('is found in a payload whatever stands before it', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme' }),
        fc.string({ unit: 'grapheme' }),
        fc.oneof(fc.constant(null), fc.string({ unit: 'grapheme' })),
        fc.oneof(fc.constant(null), fc.constant('{"a":1.0}')),
        (account, id, reason, metadata) => {
          const content = { program: 'loyalty', account, id, amount: 5, reason, metadata };
          expect(readPayload(writePayload(content)), again).toEqual(content);
          // As somebody may have written it by hand.
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
    ['a cycle', cyclic, 'is nested deeper than 20 levels, or holds itself'],
    ['what grows without end', doubled, 'is longer than 8192 bytes'],
    ['a lone surrogate', { a: ['\ud800'] }, 'metadata.a[0] holds a lone surrogate'],
    ['a key with a lone surrogate', { b: { '\udc00': 1 } }, 'metadata.b holds a lone surrogate'],
    ['a raw lone surrogate', { a: JSON.rawJSON('"\\ud800"') }, 'metadata.a holds a lone surrogate'],
    ['an endless number', { a: JSON.rawJSON('1'.repeat(9000)) }, 'metadata.a is longer than 8192 bytes'],
    ['an array', [1], 'metadata must be an object'],
    ['a string', 'text', 'metadata must be an object'],
    ['null', null, 'metadata must be an object'],
    ['a bigint', 5n, 'metadata must be an object'],
    ['a Date', new Date(0), 'metadata must be an object'],
    ['a function itself', () => 1, 'metadata is a function'],
    ['a Map itself', new Map(), 'metadata is an object of class Map'],
  ])('with %s is refused by the name of its place', (_, metadata, message) => {
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

describe('an edit', () => {
  it.each([
    ['{"amount":9007199254740990.6}', 'INVALID_AMOUNT'],
    ['{"amount":1e400}', 'INVALID_AMOUNT'],
    ['{"amount":null}', 'INVALID_AMOUNT'],
    ['{"amount":-0}', 'INVALID_AMOUNT'],
    ['{"amount":"5"}', 'INVALID_AMOUNT'],
    ['{"metadata":[1]}', 'INVALID_METADATA'],
    ['{"metadata":false}', 'INVALID_METADATA'],
    ['{"metadata":{"a":"\\ud800"}}', 'INVALID_METADATA'],
    ['{"reason":5}', 'INVALID_REASON'],
    ['{"reason":""}', 'INVALID_REASON'],
  ])('by %s is refused', (text, code) => {
    expect(() => checkChange(parseExact(text) as object)).toThrow(expect.objectContaining({ code }));
  });

  it('of the package by what its record cannot hold is refused', () => {
    for (const change of [
      { amount: Number.NaN },
      { metadata: { a: Number.NaN } },
      { metadata: { a: undefined } },
    ])
      expect(() => checkChange(change)).toThrow(/is NaN|is undefined/);
  });

  it('is recorded as it was written', () => {
    const text = '{"amount":1.50e1,"reason":null,"metadata":{"b":1.0,"a":1546130668394913822}}';
    expect(JSON.stringify(checkChange(parseExact(text) as object))).toBe(
      '{"amount":15,"reason":null,"metadata":{"a":1546130668394913822,"b":1.0}}',
    );
  });
});

describe('definitions', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const read = (text: string) => {
    const path = join(folder, 'sluice.config.json');
    writeFileSync(path, text);
    return readDefinitions(path);
  };
  const withFloor = (floor: string) => `{"points":{"loyalty":{"floor":${floor}}}}`;

  it.each([
    ['-5', -5],
    ['-5.0', -5],
    ['1e3', 1000],
    ['0', 0],
    ['9007199254740991', 9007199254740991],
  ])('take %s for %i', (literal, floor) => {
    expect(read(withFloor(literal)).points.loyalty!.floor).toBe(floor);
  });

  it.each(['9007199254740990.6', '1e400', '-1e400', '9007199254740993', '1e-400', '1.5', '"5"', 'null'])(
    'refuse %s as a floor, by name',
    literal => {
      expect(() => read(withFloor(literal))).toThrow(
        expect.objectContaining({
          code: 'INVALID_CONFIGURATION',
          message: expect.stringContaining('points.loyalty.floor'),
        }),
      );
    },
  );

  it('refuse a key that stands twice, by name', () => {
    expect(() => read('{"counters":{"a":{}},"counters":{"b":{}}}')).toThrow(
      /sluice\.config\.json is not valid: the key "counters" stands twice/,
    );
    expect(() => read('{"points":{"loyalty":{"floor":0,"floor":-5}}}')).toThrow(/"floor" stands twice/);
  });
});

describe('other numbers from outside', () => {
  it.each<unknown>([1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '5', ' 5', '1e3', 5n, -1, [5]])(
    'a setting is refused: %o',
    value => {
      const given = { flushIntervalMs: value } as { flushIntervalMs: number };
      expect(() => parseSettings(given)).toThrow(expect.objectContaining({ code: 'INVALID_CONFIGURATION' }));
    },
  );

  it.each([' 5', '1e3', '0x10', '5.0', '-5', '+5', '٣', '9007199254740993', '5\n'])(
    'a setting in the environment is refused: %o',
    text => {
      expect(() => readConfig({ SLUICE_FLUSH_INTERVAL_MS: text })).toThrow(/SLUICE_FLUSH_INTERVAL_MS/);
    },
  );

  it.each([' 5', '1e3', '0x10', '5.0', '-5', '9007199254740993', ''])(
    'a number of the command line is refused: %o',
    text => {
      expect(() => wholeNumber('--partition', text)).toThrow(/--partition must be a whole number/);
    },
  );

  it.each([
    { partition: 1.5 },
    { partition: -1 },
    { partition: Number.NaN },
    { sequence: 2 ** 53, partition: 1 },
    { ids: [1.5] },
    { ids: [2 ** 53 + 2] },
    { ids: ['5'] },
    { ids: [5n] },
    { key: 'a\ud800' },
    { name: '\udc00' },
    { jobs: ['\ud800'] },
  ])('a filter is refused: %o', filter => {
    expect(() => checkFilter(filter as object)).toThrow(
      expect.objectContaining({ code: 'INVALID_CONFIGURATION' }),
    );
  });
});
