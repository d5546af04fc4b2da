// A key fits an integer column exactly if the column gives it back as the same text.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type KeyType, keyTypeOf } from '../../src/shared/values/target-key.ts';

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
