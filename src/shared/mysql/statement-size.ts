/**
 * How large a statement may be. MySQL refuses one over max_allowed_packet (64 MB by default, 16 MB on MariaDB), and a
 * batch in flight cannot shrink: so every statement with a list in it is cut by the bytes that travel, which are the
 * JSON text, its escapes and the escapes that the client adds to them.
 *
 * A single item cannot be cut. `LEAST_PACKET` is what the largest one needs, and a server that allows less is refused.
 */
import type { PoolConnection } from 'mysql2/promise';
import { LIMITS } from '../limits.ts';

/** A statement gains nothing from being longer than this, and holds up others that wait for the connection. */
const LONGEST_LIST = 1_000_000;
/** The text around the values, with the names of a mapped table at their longest. */
const TEXT = 8 * 1024;
/** Numbers, times, names of counters and programs, error codes: none of them is long. */
const SMALL_VALUES = 1024;
/** The worst byte of a text in JSON in a literal: a control character is `\\u0001`. */
const WORST_TEXT = 7;
/** The worst byte of JSON as a text in JSON in a literal: a quote is `\\\"`. */
const WORST_JSON = 4;

const LARGEST_COUNTER = WORST_TEXT * LIMITS.key;
const LARGEST_ENTRY =
  WORST_TEXT * (LIMITS.account + LIMITS.id + LIMITS.reason) + WORST_JSON * LIMITS.metadata;
/** In quarantine an item's key and id stand beside its JSON, as hexadecimal digits. */
const KEYS_AGAIN = 2 * (Math.max(LIMITS.key, LIMITS.account) + LIMITS.id);

/** Bytes that the values of the largest single item take in a statement. */
export const LARGEST_ITEM = SMALL_VALUES + Math.max(LARGEST_COUNTER, LARGEST_ENTRY) + KEYS_AGAIN;
/** The smallest max_allowed_packet that takes every single item. The server rounds down to 1,024. */
export const LEAST_PACKET = Math.ceil((LARGEST_ITEM + TEXT) / 1024) * 1024;

const packets = new WeakMap<object, number>();

/** Remembers what the server told about a connection. @param bytes max_allowed_packet of its session */
export function notePacket(connection: PoolConnection, bytes: number): void {
  packets.set(connection.connection, bytes);
}

/** Bytes that the values of one statement on this connection may take. */
export function roomFor(connection: PoolConnection): number {
  const packet = packets.get(connection.connection) ?? LEAST_PACKET;
  return Math.min(LONGEST_LIST, packet - TEXT);
}

/** What the client writes for each of the first 128 characters: as it is, or behind a backslash. */
const ASCII_BYTES = new Uint8Array(128).fill(1);
for (const character of '\0\b\t\n\r\x1a"\'\\') ASCII_BYTES[character.charCodeAt(0)] = 2;

/** Bytes of a text as a literal of a statement, quotes included. */
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

/** Bytes of a key as a literal: a number's digits, a text, or hexadecimal digits. */
function keyBytes(key: bigint | string | Buffer): number {
  if (typeof key === 'string') return literalBytes(key);
  return Buffer.isBuffer(key) ? 2 * key.length + 3 : key.toString().length;
}

/** Cuts a list of `count` items so that each part is within `room`; an item that is over it by itself is a part. */
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

export interface JsonPart<Row> {
  /** The rows as one JSON array. */
  readonly json: string;
  readonly rows: readonly Row[];
}

/**
 * The rows as JSON arrays, each short enough for a statement on this connection.
 * @param encode what JSON is to hold of a row
 * @param copies how often the array stands in the statement
 */
export function* jsonParts<Row>(
  connection: PoolConnection,
  rows: readonly Row[],
  encode: (row: Row) => unknown,
  copies = 1,
): Generator<JsonPart<Row>> {
  const texts = rows.map(row => JSON.stringify(encode(row)));
  // The two quotes that are counted with each stand for the comma behind it.
  for (const [from, to] of cut(rows.length, roomFor(connection), at => copies * literalBytes(texts[at]!))) {
    const isWhole = to - from === rows.length;
    const json = `[${(isWhole ? texts : texts.slice(from, to)).join(',')}]`;
    yield { json, rows: isWhole ? rows : rows.slice(from, to) };
  }
}

/** Keys in lists for `IN (?)`, each short enough for a statement on this connection, and of `most` keys at most. */
export function* keyLists<Key extends bigint | string | Buffer>(
  connection: PoolConnection,
  keys: readonly Key[],
  most: number,
): Generator<Key[]> {
  const room = roomFor(connection);
  const share = room / most;
  const COMMA = 2;
  for (const [from, to] of cut(keys.length, room, at => Math.max(share, keyBytes(keys[at]!) + COMMA)))
    yield keys.slice(from, to);
}
