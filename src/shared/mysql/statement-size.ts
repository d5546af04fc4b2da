/**
 * Limits the size of statements. MySQL refuses statements over max_allowed_packet (64 MB by default, 16 MB on
 * MariaDB), and a batch in flight cannot shrink. So every list is split by its bytes on the wire: the JSON
 * text, its escapes, and the escapes that the client adds.
 *
 * A single item cannot be split. The largest one needs `LEAST_PACKET`, and a server that allows less is
 * refused.
 */
import type { PoolConnection } from 'mysql2/promise';
import { LIMITS } from '../limits.ts';

/** Bytes. Longer statements are not faster, and keep the connection busy for longer. */
const LONGEST_LIST = 1_000_000;
/** Bytes around the values, with the longest names of a mapped table. */
const TEXT = 8 * 1024;
/** Bytes of numbers, times, names and error codes together. */
const SMALL_VALUES = 1024;
/** Bytes per byte of a text in JSON in a literal, at most: a control character becomes `\\u0001`. */
const WORST_TEXT = 7;
/** Bytes per byte of JSON as a text in JSON in a literal, at most: a quote becomes `\\\"`. */
const WORST_JSON = 4;

const LARGEST_COUNTER = WORST_TEXT * LIMITS.key;
const LARGEST_ENTRY =
  WORST_TEXT * (2 * LIMITS.account + LIMITS.id + LIMITS.reason) + WORST_JSON * LIMITS.metadata;
/** A quarantine row also has the key and the id beside the JSON, as hexadecimal digits. */
const KEYS_AGAIN = 2 * (Math.max(LIMITS.key, LIMITS.account) + LIMITS.id);

/** Bytes that the values of the largest single item take in a statement. */
export const LARGEST_ITEM = SMALL_VALUES + Math.max(LARGEST_COUNTER, LARGEST_ENTRY) + KEYS_AGAIN;
/** The smallest max_allowed_packet that fits every item. The server rounds down to a multiple of 1,024. */
export const LEAST_PACKET = Math.ceil((LARGEST_ITEM + TEXT) / 1024) * 1024;

/** Bytes of a text as a literal for each unit of its length, at most. */
const MOST_BYTES = 3;

const packets = new WeakMap<object, number>();

/** @param bytes max_allowed_packet of the connection's session */
export function notePacket(connection: PoolConnection, bytes: number): void {
  packets.set(connection.connection, bytes);
}

/** Bytes that the values of one statement on this connection may have. */
export function roomFor(connection: PoolConnection): number {
  const packet = packets.get(connection.connection) ?? LEAST_PACKET;
  return Math.min(LONGEST_LIST, packet - TEXT);
}

/** Bytes between two values. */
const COMMA = 2;
/** Bytes that the client writes for each of the first 128 characters: 1, or 2 with a backslash. */
const ASCII_BYTES = new Uint8Array(128).fill(1);
for (const character of '\0\b\t\n\r\x1a"\'\\') ASCII_BYTES[character.charCodeAt(0)] = 2;

/** Bytes of a text as a literal in a statement, with its quotes. */
export function literalBytes(text: string): number {
  let bytes = 2;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) bytes += ASCII_BYTES[unit]!;
    else if (unit < 0x800) bytes += 2;
    else if (unit >= 0xd800 && unit < 0xdc00 && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00) {
      bytes += 4;
      at++;
    } else bytes += 3;
  }
  return bytes;
}

/** A key as the client writes it: digits, a text, or hexadecimal digits. */
export type KeyLiteral = bigint | string | Buffer;

/** Bytes of a key as a literal; of a composite key with its parentheses and commas. */
function keyBytes(key: KeyLiteral | readonly KeyLiteral[]): number {
  if (Array.isArray(key)) return key.reduce((sum: number, part) => sum + keyBytes(part) + COMMA, 0);
  if (typeof key === 'string') return literalBytes(key);
  return Buffer.isBuffer(key) ? 2 * key.length + 3 : String(key).length;
}

/** Splits a list of `count` items into parts of at most `room` bytes. A larger item is a part of its own. */
export function* cut(
  count: number,
  room: number,
  bytesAt: (at: number) => number,
): Generator<[from: number, to: number]> {
  let from = 0;
  let bytes = 0;
  for (let at = 0; at < count; at++) {
    const more = bytesAt(at);
    if (bytes + more > room && at > from) {
      yield [from, at];
      from = at;
      bytes = 0;
    }
    bytes += more;
  }
  if (from < count) yield [from, count];
}

/**
 * A JSON text as the value of a `?`. JSON has no raw control characters, so only two characters need an
 * escape in single quotes. The client would also escape each double quote, one by one: that took a worker
 * longer than to make the JSON, and MySQL had to take the escapes out again.
 */
class JsonValue {
  readonly text: string;

  /** @param text from JSON.stringify */
  constructor(text: string) {
    this.text = text;
  }

  /** Bytes in the statement, with the quotes. */
  get bytes(): number {
    return Buffer.byteLength(this.toSqlString());
  }

  /** Called by the client. */
  toSqlString(): string {
    return `'${this.text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  }
}

export interface JsonPart<Row> {
  /** The rows as one JSON array. */
  readonly json: JsonValue;
  readonly rows: readonly Row[];
}

/**
 * Splits rows into JSON arrays, each short enough for a statement on this connection.
 * @param encode the JSON value of a row
 * @param copies how often the statement contains the array
 */
export function* jsonParts<Row>(
  connection: PoolConnection,
  rows: readonly Row[],
  encode: (row: Row) => unknown,
  copies = 1,
): Generator<JsonPart<Row>> {
  const texts = rows.map(row => JSON.stringify(encode(row)));
  for (const [from, to] of partsOf(connection, texts, copies))
    yield { json: arrayOf(texts, from, to), rows: to - from === rows.length ? rows : rows.slice(from, to) };
}

/**
 * The same without the rows, in the order of their texts. It is that of their first values, and costs a third
 * of sorting the rows: V8 compares new texts faster than slices of an answer.
 */
export function* sortedJson<Row>(
  connection: PoolConnection,
  rows: readonly Row[],
  encode: (row: Row) => readonly unknown[],
): Generator<JsonValue> {
  const texts = rows.map(row => JSON.stringify(encode(row))).sort();
  for (const [from, to] of partsOf(connection, texts, 1)) yield arrayOf(texts, from, to);
}

function partsOf(
  connection: PoolConnection,
  texts: readonly string[],
  copies: number,
): Iterable<[from: number, to: number]> {
  const room = roomFor(connection);
  const length = texts.reduce((sum, text) => sum + text.length, texts.length);
  // Most lists are so short that their bytes need not be counted.
  if (copies * MOST_BYTES * length <= room) return texts.length === 0 ? [] : [[0, texts.length]];
  return cut(texts.length, room, at => copies * new JsonValue(texts[at]!).bytes);
}

function arrayOf(texts: readonly string[], from: number, to: number): JsonValue {
  return new JsonValue(`[${(to - from === texts.length ? texts : texts.slice(from, to)).join(',')}]`);
}

/** Splits keys into lists for `IN (?)`, each short enough for this connection and of at most `most` keys. */
export function* keyLists<Key extends KeyLiteral | readonly KeyLiteral[]>(
  connection: PoolConnection,
  keys: readonly Key[],
  most: number,
): Generator<Key[]> {
  const room = roomFor(connection);
  const share = room / most;
  for (const [from, to] of cut(keys.length, room, at => Math.max(share, keyBytes(keys[at]!) + COMMA)))
    yield keys.slice(from, to);
}
