/**
 * Key columns of mapped tables: the types that distinguish keys byte by byte, as Sluice does, and the texts
 * that such a column returns unchanged.
 */

import { LIMITS } from '../limits.ts';

/** A key column's row in information_schema. */
export interface KeyColumn {
  readonly dataType: string;
  /** `bigint unsigned`, `varchar(40)` */
  readonly columnType: string;
  readonly collation: string | null;
  /** Characters, or bytes for VARBINARY. */
  readonly length: number | null;
}

export interface KeyType {
  /** The column's type in JSON_TABLE. */
  readonly sql: string;
  /** Whether that type returns every key unchanged. An integer type only returns keys that fit. */
  readonly holdsAll: boolean;
  /** Whether a row can hold exactly this key. */
  readonly fits: (key: string) => boolean;
  /** The value of a fitting key for mysql2, such that the column's index is used and nothing is rounded. */
  readonly literal: (key: string) => bigint | string | Buffer;
}

const INTEGER_BITS: Readonly<Record<string, number>> = {
  tinyint: 8,
  smallint: 16,
  mediumint: 24,
  int: 32,
  bigint: 64,
};
/** Binary collations in which trailing blanks count, of MySQL and of MariaDB. */
const EXACT_COLLATIONS = new Set(['utf8mb4_0900_bin', 'utf8mb4_nopad_bin']);

export function isInteger(dataType: string): boolean {
  return Object.hasOwn(INTEGER_BITS, dataType);
}

/** The type, or the end of a sentence that says why the column does not distinguish keys as Sluice does. */
export function keyTypeOf(column: KeyColumn): KeyType | string {
  const { dataType, columnType, collation } = column;
  if (isInteger(dataType)) {
    if (/zerofill/.test(columnType))
      return 'is ZEROFILL, so it shows more digits than it holds; drop ZEROFILL';
    return integerKey(INTEGER_BITS[dataType]!, /unsigned/.test(columnType));
  }
  if (dataType === 'varbinary') return binaryKey(column.length!);
  if (dataType === 'varchar') {
    return EXACT_COLLATIONS.has(collation ?? '')
      ? textKey(column.length!, collation!)
      : `has the collation ${collation}, which merges keys that differ in case, accents or trailing blanks, or cannot hold every character; use VARBINARY, or the collation utf8mb4_0900_bin (MySQL) or utf8mb4_nopad_bin (MariaDB)`;
  }
  return `is ${columnType}; only integer types, VARBINARY, and VARCHAR with an exact collation give a key back unchanged`;
}

function integerKey(bits: number, unsigned: boolean): KeyType {
  const size = 1n << BigInt(bits);
  const [min, max] = unsigned ? [0n, size - 1n] : [-size / 2n, size / 2n - 1n];
  return {
    sql: unsigned ? 'BIGINT UNSIGNED' : 'BIGINT',
    holdsAll: false,
    fits: key => {
      if (!/^(?:0|-?[1-9]\d{0,19})$/.test(key)) return false;
      const number = BigInt(key);
      return number >= min && number <= max;
    },
    literal: BigInt,
  };
}

function binaryKey(length: number): KeyType {
  return {
    sql: `VARBINARY(${LIMITS.key})`,
    holdsAll: true,
    fits: key => Buffer.byteLength(key) <= length,
    literal: key => Buffer.from(key),
  };
}

function textKey(length: number, collation: string): KeyType {
  return {
    sql: `VARCHAR(${LIMITS.key}) CHARACTER SET utf8mb4 COLLATE ${collation}`,
    holdsAll: true,
    // The length counts code points. A text with few enough UTF-16 units need not be counted.
    fits: key => key.length <= length || [...key].length <= length,
    literal: key => key,
  };
}
