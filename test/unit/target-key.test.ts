// A key fits a column exactly if the column gives it back as the same text.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { isWhole, type KeyType, keyTypeOf } from '../../src/shared/values/target-key.ts';

const integer = (columnType: string) =>
  keyTypeOf({ dataType: columnType.split(' ')[0]!, columnType, collation: null, length: null }) as KeyType;

const ranges: [string, bigint, bigint][] = [
  ['tinyint', -128n, 127n],
  ['tinyint unsigned', 0n, 255n],
  ['smallint', -32_768n, 32_767n],
  ['mediumint unsigned', 0n, 16_777_215n],
  ['int', -2_147_483_648n, 2_147_483_647n],
  ['bigint', -(2n ** 63n), 2n ** 63n - 1n],
  ['bigint unsigned', 0n, 2n ** 64n - 1n],
];

it.each(ranges)('%s takes exactly the keys of its range', (columnType, min, max) => {
  const type = integer(columnType);
  for (const number of [min, min + 1n, 0n, 9n, max - 1n, max]) {
    expect(type.fits(String(number))).toBe(true);
    expect(String(type.literal(String(number)))).toBe(String(number));
  }
  for (const number of [min - 1n, max + 1n, max * 1000n]) expect(type.fits(String(number))).toBe(false);
});

it('a column takes no other spelling of a number', () => {
  const type = integer('bigint');
  const text = fc.oneof(fc.string(), fc.stringMatching(/^[-+ 0-9.e]{1,24}$/));
  fc.assert(
    fc.property(text, key => {
      if (!type.fits(key)) return;
      expect(BigInt.asIntN(64, BigInt(key)).toString()).toBe(key);
    }),
    { numRuns: 2000 },
  );
  for (const key of ['', '00', '-0', '+1', '1.0', '1e3', ' 1', '1 ', '1\n', '0x1', '１']) {
    expect(type.fits(key)).toBe(false);
  }
});

it('the length of a text counts in the characters or bytes of its column', () => {
  const text = keyTypeOf({
    dataType: 'varchar',
    columnType: 'varchar(3)',
    collation: 'utf8mb4_0900_bin',
    length: 3,
  }) as KeyType;
  expect(['abc', '😀😀😀'].map(text.fits)).toEqual([true, true]);
  expect(['abcd', '😀😀😀😀'].map(text.fits)).toEqual([false, false]);
  const bytes = keyTypeOf({
    dataType: 'varbinary',
    columnType: 'varbinary(3)',
    collation: null,
    length: 3,
  }) as KeyType;
  expect(['abc', 'é', '€'].map(bytes.fits)).toEqual([true, true, true]);
  expect(['abcd', 'éé', '😀'].map(bytes.fits)).toEqual([false, false, false]);
});

const typed = (columnType: string, format?: 'uuid', length: number | null = null) =>
  keyTypeOf({ dataType: columnType.split('(')[0]!, columnType, collation: null, length, format }) as KeyType;

it('a DATE takes each day of the calendar in one spelling', () => {
  const { fits } = typed('date');
  const days = fc.date({
    min: new Date('1000-01-01T00:00:00Z'),
    max: new Date('9999-12-31T00:00:00Z'),
    noInvalidDate: true,
  });
  fc.assert(fc.property(days, date => fits(date.toISOString().slice(0, 10))));
  const text = fc.oneof(fc.string(), fc.stringMatching(/^\d{4}-\d{2}-\d{2}$/));
  fc.assert(
    fc.property(text, key => {
      if (fits(key)) expect(new Date(key).toISOString().slice(0, 10)).toBe(key);
    }),
    { numRuns: 2000 },
  );
  for (const key of [
    '',
    '1900-02-29',
    '2026-04-31',
    '2026-00-01',
    '2026-01-00',
    '2026-13-01',
    '0999-12-31',
    '10000-01-01',
  ])
    expect(fits(key)).toBe(false);
});

it.each([0, 1, 3, 6])('a DATETIME(%i) shows exactly its digits', digits => {
  const { fits, valueOf: sqlOf } = typed(digits === 0 ? 'datetime' : `datetime(${digits})`);
  expect(sqlOf('j.key0')).toBe(`CAST(j.key0 AS DATETIME(${digits}))`);
  for (let given = 0; given <= 7; given++) {
    const fraction = given === 0 ? '' : `.${'1234567'.slice(0, given)}`;
    expect(fits(`2026-11-28 23:59:59${fraction}`)).toBe(given === digits);
  }
});

it('a UUID has one text, and its bytes are in the order of the text', () => {
  const type = typed('binary(16)', 'uuid', 16);
  fc.assert(
    fc.property(fc.uuid(), uuid => {
      expect(type.fits(uuid)).toBe(true);
      expect((type.literal(uuid) as Buffer).toString('hex')).toBe(uuid.replaceAll('-', ''));
      expect(type.cursor(Buffer.from(uuid))).toEqual(type.literal(uuid));
      if (uuid.toUpperCase() !== uuid) expect(type.fits(uuid.toUpperCase())).toBe(false);
    }),
  );
  expect(
    keyTypeOf({ dataType: 'binary', columnType: 'binary(15)', collation: null, length: 15, format: 'uuid' }),
  ).toMatch(/is for BINARY\(16\)/);
});

it.each([
  ['int', true],
  ['bigint unsigned', true],
  ['bigint(20) unsigned zerofill', true],
  ['decimal(30,0)', true],
  ['decimal(9,0) unsigned', true],
  ['decimal(9,2)', false],
  ['decimal(30,10)', false],
  ['float', false],
  ['double', false],
  ['bit(1)', false],
  ['year', false],
])('a column of %s holds whole numbers: %s', (columnType, whole) => {
  expect(isWhole(columnType)).toBe(whole);
});
