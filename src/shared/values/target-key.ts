/**
 * Key columns of mapped tables: the types that distinguish keys byte by byte, as Sluice does, and the texts
 * that such a column returns unchanged.
 */

import { LIMITS } from '../limits.ts';
import type { KeyLiteral } from '../mysql/statement-size.ts';

/** A key column's row in information_schema, and the format that the definitions give it. */
export interface KeyColumn {
  readonly dataType: string;
  /** `bigint unsigned`, `varchar(40)` */
  readonly columnType: string;
  readonly collation: string | null;
  /** Characters, or bytes for VARBINARY. */
  readonly length: number | null;
  readonly format?: 'uuid' | undefined;
}

export interface KeyType {
  /** The column's type in JSON_TABLE. */
  readonly sql: string;
  /** Whether that type returns every key unchanged. An integer type only returns keys that fit. */
  readonly holdsAll: boolean;
  /** Whether a row can hold exactly this key. */
  readonly fits: (key: string) => boolean;
  /** The value of a fitting key for mysql2, such that the column's index is used and nothing is rounded. */
  readonly literal: (key: string) => KeyLiteral;
  /** Literal of a text that the column showed, to continue after it; its bytes may not be UTF-8. */
  readonly cursor: (shown: Buffer) => KeyLiteral;
  /** SQL of the column's value for a column of JSON_TABLE. */
  readonly valueOf: (json: string) => string;
  /** SQL of the text that the column shows, as bytes. */
  readonly textOf: (column: string) => string;
  /** SQL condition that leaves out rows that no key can name and that cannot be a cursor. */
  readonly isNamed: (column: string) => string;
}

/** What most types have in common. */
const plain = {
  valueOf: (json: string) => json,
  textOf: (column: string) => `CAST(${column} AS BINARY)`,
  isNamed: (column: string) => `${column} IS NOT NULL`,
};

const INTEGER_BITS: Readonly<Record<string, number>> = {
  tinyint: 8,
  smallint: 16,
  mediumint: 24,
  int: 32,
  bigint: 64,
};
/** Binary collations in which trailing blanks count, of MySQL and of MariaDB. */
const EXACT_COLLATIONS = new Set(['utf8mb4_0900_bin', 'utf8mb4_nopad_bin']);

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const UUID_BYTES = 16;
/** The dates that both servers document. */
const DATE = /^[1-9]\d{3}-\d\d-\d\d$/;
const TIME = /^(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d$/;

/** Whether a column holds whole numbers only. */
export function isWhole(columnType: string): boolean {
  const [dataType] = columnType.split(/[( ]/);
  return Object.hasOwn(INTEGER_BITS, dataType!) || /^decimal\(\d+,0\)/.test(columnType);
}

function isInteger(dataType: string): boolean {
  return Object.hasOwn(INTEGER_BITS, dataType);
}

/** The type, or the end of a sentence that says why the column does not distinguish keys as Sluice does. */
export function keyTypeOf(column: KeyColumn): KeyType | string {
  const { dataType, columnType, collation, format } = column;
  if (format === 'uuid')
    return dataType === 'binary' && column.length === UUID_BYTES
      ? uuidKey()
      : `is ${columnType}; the format "uuid" is for BINARY(16)`;
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
  if (dataType === 'date') return dateKey();
  if (dataType === 'datetime') return dateTimeKey(Number(/\((\d)\)/.exec(columnType)?.[1] ?? 0));
  if (dataType === 'binary' && column.length === UUID_BYTES)
    return `is ${columnType}; if it holds UUIDs, give its format: {"column": "...", "format": "uuid"}`;
  return `is ${columnType}; only integer types, DATE, DATETIME, VARBINARY, VARCHAR with an exact collation, and BINARY(16) with the format "uuid" give a key back unchanged`;
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
    cursor: shown => BigInt(String(shown)),
    ...plain,
  };
}

function binaryKey(length: number): KeyType {
  return {
    sql: `VARBINARY(${LIMITS.key})`,
    holdsAll: true,
    fits: key => Buffer.byteLength(key) <= length,
    literal: key => Buffer.from(key),
    cursor: shown => shown,
    ...plain,
  };
}

function textKey(length: number, collation: string): KeyType {
  return {
    sql: `VARCHAR(${LIMITS.key}) CHARACTER SET utf8mb4 COLLATE ${collation}`,
    holdsAll: true,
    // The length counts code points. A text with few enough UTF-16 units need not be counted.
    fits: key => key.length <= length || [...key].length <= length,
    literal: key => key,
    cursor: String,
    ...plain,
  };
}

function dateKey(): KeyType {
  return temporalKey('DATE', isDate);
}

/** @param digits of the fraction of a second */
function dateTimeKey(digits: number): KeyType {
  const length = digits === 0 ? 19 : 20 + digits;
  return temporalKey(`DATETIME(${digits})`, key => {
    const fraction = key.slice(19);
    return (
      key.length === length &&
      isDate(key.slice(0, 10)) &&
      key[10] === ' ' &&
      TIME.test(key.slice(11, 19)) &&
      (digits === 0 || /^\.\d+$/.test(fraction))
    );
  });
}

/** The type in JSON_TABLE is a text, since MySQL 8.0 and MariaDB turn JSON into times in different ways. */
function temporalKey(type: string, fits: (key: string) => boolean): KeyType {
  return {
    sql: 'VARCHAR(26) CHARACTER SET utf8mb4',
    holdsAll: false,
    fits,
    literal: key => key,
    cursor: String,
    valueOf: json => `CAST(${json} AS ${type})`,
    textOf: plain.textOf,
    // MySQL refuses a comparison with '0000-00-00' or '2026-02-31', which other writers may have stored.
    isNamed: column =>
      `${column} >= '1000-01-01' AND MONTH(${column}) > 0 AND DAY(${column}) BETWEEN 1 AND DAY(LAST_DAY(${column}))`,
  };
}

/** Whether the text is a day of the calendar, as a DATE shows it. */
function isDate(text: string): boolean {
  if (!DATE.test(text)) return false;
  const time = Date.parse(`${text}T00:00:00Z`);
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text);
}

function uuidKey(): KeyType {
  const bytesOf = (key: string) => Buffer.from(key.replaceAll('-', ''), 'hex');
  return {
    sql: `VARBINARY(${LIMITS.key})`,
    holdsAll: true,
    fits: key => UUID.test(key),
    literal: bytesOf,
    cursor: shown => bytesOf(String(shown)),
    valueOf: json => `UNHEX(REPLACE(${json}, '-', ''))`,
    // From the last dash to the first, so that the earlier positions stay.
    textOf: column =>
      `CAST(${[9, 13, 17, 21].reduceRight((text, at) => `INSERT(${text}, ${at}, 0, '-')`, `LOWER(HEX(${column}))`)} AS BINARY)`,
    isNamed: plain.isNamed,
  };
}
