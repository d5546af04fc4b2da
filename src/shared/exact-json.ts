/**
 * JSON that keeps numbers as they are written. JavaScript rounds 1546130668394913822 to ...913800 and 1e400 to infinity when
 * it parses them; here such a number becomes what `JSON.rawJSON` makes, which `JSON.stringify` writes back as it was.
 */
import { isSafeNumber, parse } from 'lossless-json';

/** A JSON value by its text, as `JSON.rawJSON` makes it. */
export interface RawJson {
  readonly rawJSON: string;
}

declare global {
  // Part of Node since 21; TypeScript does not know them yet.
  interface JSON {
    rawJSON(text: string): RawJson;
    isRawJSON(value: unknown): value is RawJson;
  }
}

/** An object names one key twice, with different values: either could be meant. */
export class DuplicateKeyError extends Error {
  readonly key: string;
  constructor(key: string) {
    super(`the key ${JSON.stringify(key.length > 80 ? `${key.slice(0, 80)}...` : key)} stands twice`);
    this.key = key;
  }
}

/**
 * The text's value. A number that JavaScript would write in another way than the text does is a `RawJson`.
 * @throws DuplicateKeyError, SyntaxError if the text is not JSON, RangeError if it is nested thousands of levels deep
 */
export function parseExact(text: string, number = asWritten): unknown {
  return parsePlain(text) ?? parse(text, null, { parseNumber: number, onDuplicateKey: refuseKey });
}

function refuseKey({ key }: { key: string }): never {
  throw new DuplicateKeyError(key);
}

/** A flat object of strings without escapes and whole numbers that JavaScript writes as they are: nearly every line. */
const PLAIN = /^\s*\{(?:\s*"[^"\\]*"\s*:\s*(?:"[^"\\]*"|0|-?[1-9]\d{0,14})\s*[,}])+\s*$/;

/** Node's own parser takes a third of the time. Undefined if the text is not plain, or a key stands twice. */
function parsePlain(text: string): unknown {
  if (!PLAIN.test(text)) return undefined;
  const value = JSON.parse(text) as Record<string, string | number>;
  let quotes = 0;
  for (const key in value) quotes += typeof value[key] === 'string' ? 4 : 2;
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at + 1)) quotes--;
  return quotes === 0 ? value : undefined;
}

function asWritten(literal: string): number | RawJson {
  const number = Number(literal);
  return String(number) === literal ? number : JSON.rawJSON(literal);
}

/** For `parseExact` where numbers are worth their value: `5.0` is 5; what JavaScript cannot hold stays a `RawJson`. */
export function byValue(literal: string): number | RawJson {
  return isSafeNumber(literal) ? Number(literal) : JSON.rawJSON(literal);
}

/** A `RawJson` that holds a number which JavaScript holds exactly becomes that number; all else stays as it is. */
export function exactNumber(value: unknown): unknown {
  return JSON.isRawJSON(value) && /^[-\d]/.test(value.rawJSON) ? byValue(value.rawJSON) : value;
}

/** What a value is, in the words of JSON, for messages. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return JSON.isRawJSON(value) ? `the number ${cut(value.rawJSON)}` : `of type ${typeof value}`;
}

function cut(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}...` : text;
}
