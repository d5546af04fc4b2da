// MySQL will hold exactly what the caller wrote, or Sluice refuses it: amounts in lines and in calls, lines
// themselves, edits, definitions, settings and filters. Metadata: metadata.test.ts.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { wholeNumber } from '../../src/cli/failed-filter.ts';
import { checkChange } from '../../src/replay/amendment.ts';
import { checkFilter } from '../../src/replay/filter.ts';
import { readConfig } from '../../src/shared/config/config.ts';
import { parseDefinitions, readDefinitions } from '../../src/shared/config/definitions.ts';
import { parseSettings } from '../../src/shared/config/settings.ts';
import { parseExact } from '../../src/shared/exact-json.ts';
import { type Line, readLines } from '../../src/shared/updates/lines.ts';
import { readPayload } from '../../src/shared/updates/record.ts';
import { type CheckedUpdate, checkUpdate, type Update } from '../../src/shared/updates/update.ts';
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

  it('is shown in an error as it was written, cut if it is long', async () => {
    await expect(lineCheck('{"counter":"views","key":"/","by":9007199254740990.6}')).rejects.toThrow(
      'is the number 9007199254740990.6',
    );
    const long = lineCheck(`{"counter":"views","key":"/","by":${'1'.repeat(60_000)}}`);
    expect(await long.catch(error => error.message.length)).toBeLessThan(200);
  });
});

it('a plain line is parsed like any other', () => {
  const part = fc.constantFrom(
    ...[
      '{',
      '}',
      '{"a":1}',
      '"a"',
      '"b"',
      '"é:,{}"',
      '""',
      '"\\u0061"',
      '"\t"',
      ':',
      ':',
      ',',
      ',',
      ' ',
      '\t',
      '\n',
      '\u00a0',
    ],
    ...[
      '0',
      '-0',
      '1',
      '-12',
      '01',
      '123456789012345',
      '1234567890123456',
      '1.0',
      '1e3',
      'null',
      '[]',
      '__proto__',
    ],
  );
  const member = fc
    .tuple(fc.constantFrom('"a"', '"b"', '"__proto__"', ' "c" '), part)
    .map(pair => pair.join(':'));
  const flat = fc.array(member, { maxLength: 4 }).map(members => `{${members.join(',')}}`);
  const broken = fc.array(part, { maxLength: 12 }).map(parts => parts.join(''));
  const outcome = (use: () => unknown) => {
    try {
      return JSON.stringify(use());
    } catch (error) {
      return (error as Error).constructor.name;
    }
  };
  fc.assert(
    fc.property(fc.oneof(flat, broken), text => {
      // In an array the line does not take the parser's short way for plain lines.
      const [alone, inArray] = [outcome(() => parseExact(text)), outcome(() => parseExact(`[${text}]`))];
      const isOne = inArray.startsWith('[{') && outcome(() => JSON.parse(text)) !== 'SyntaxError';
      if (isOne || alone.startsWith('{')) expect(`[${alone}]`, again).toBe(inArray);
    }),
    { seed, numRuns: 20_000 },
  );
});

describe('an amount in a call', () => {
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

  it('may be a whole number made by JSON.rawJSON', () => {
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
    ['blanks that JSON does not know', '\u3000\u00a0', 'NOT_JSON'],
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
  ])('with %s are refused, each alone', async (_, text, problem) => {
    const found = await lines('{"a":1}\n', text, '\n{"a":2}');
    expect(found.map(line => line.problem ?? line.value)).toEqual([{ a: 1 }, problem, { a: 2 }]);
  });
});

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

  it('through the package is refused if its record cannot hold it', () => {
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

  it('refuse a duplicate key by its name', () => {
    expect(() => read('{"counters":{"a":{}},"counters":{"b":{}}}')).toThrow(
      /sluice\.config\.json is not valid: the key "counters" occurs twice/,
    );
    expect(() => read('{"points":{"loyalty":{"floor":0,"floor":-5}}}')).toThrow(/"floor" occurs twice/);
  });
});

describe('other numbers from callers', () => {
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
  ])('the filter %o is refused', filter => {
    expect(() => checkFilter(filter as object)).toThrow(
      expect.objectContaining({ code: 'INVALID_CONFIGURATION' }),
    );
  });
});
