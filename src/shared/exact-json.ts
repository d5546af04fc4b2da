/**
 * JSON that keeps numbers as they are written. `JSON.parse` rounds 1546130668394913822 to ...913800 and 1e400
 * to infinity. Here such a number becomes a raw JSON object, which `JSON.stringify` writes back unchanged.
 */
import { isSafeNumber, parse } from 'lossless-json';

/** A JSON value as text, made by `JSON.rawJSON`. */
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

/** An object has one key twice: either value could be meant. */
export class DuplicateKeyError extends Error {
  readonly key: string;
  constructor(key: string) {
    super(`the key ${JSON.stringify(key.length > 80 ? `${key.slice(0, 80)}...` : key)} occurs twice`);
    this.key = key;
  }
}

/**
 * Parses the text. A number that JavaScript would write differently becomes a `RawJson`.
 * @param number makes a value of a number's text
 * @throws DuplicateKeyError, SyntaxError if the text is not JSON, RangeError if it is nested thousands of
 * levels deep
 */
export function parseExact(text: string, number = asWritten): unknown {
  return parsePlain(text) ?? parse(text, null, { parseNumber: number, onDuplicateKey: refuseKey });
}

function refuseKey({ key }: { key: string }): never {
  throw new DuplicateKeyError(key);
}

/** Nearly every line: a flat object of strings without escapes and whole numbers that JavaScript keeps. */
const OBJECT = String.raw`\{(?:\s*"[^"\\]*"\s*:\s*(?:"[^"\\]*"|0|-?[1-9]\d{0,14})\s*[,}])+`;
const PLAIN = new RegExp(`^\\s*${OBJECT}\\s*$`);
/** One element of a list of them, with what ends it. */
const ELEMENT = new RegExp(`\\s*${OBJECT}\\s*[,\\]]`, 'y');

/** `JSON.parse` takes a third of the time. Undefined if the text is not plain or repeats a key. */
function parsePlain(text: string): unknown {
  if (!PLAIN.test(text) && !isPlainList(text)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The patterns also match some texts that are not JSON; the other parser says what is wrong.
    return undefined;
  }
  let quotes = 0;
  for (const one of Array.isArray(value) ? value : [value])
    for (const key in one) quotes += typeof one[key] === 'string' ? 4 : 2;
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at + 1)) quotes--;
  return quotes === 0 ? value : undefined;
}

/** Element by element: one pattern for the whole list would keep its way back for each. */
function isPlainList(text: string): boolean {
  if (!text.startsWith('[')) return false;
  let end = 1;
  for (;;) {
    ELEMENT.lastIndex = end;
    if (!ELEMENT.test(text)) return false;
    end = ELEMENT.lastIndex;
    if (text[end - 1] === ']') return text.length === end || text.slice(end).trim() === '';
  }
}

function asWritten(literal: string): number | RawJson {
  const number = Number(literal);
  return String(number) === literal ? number : JSON.rawJSON(literal);
}

/** For `parseExact`: `5.0` becomes 5. A number that JavaScript cannot hold stays a `RawJson`. */
export function byValue(literal: string): number | RawJson {
  return isSafeNumber(literal) ? Number(literal) : JSON.rawJSON(literal);
}

/** Turns a `RawJson` into a number if JavaScript can hold it exactly; returns any other value unchanged. */
export function exactNumber(value: unknown): unknown {
  return JSON.isRawJSON(value) && /^[-\d]/.test(value.rawJSON) ? byValue(value.rawJSON) : value;
}

/** The type of a value in the words of JSON, for messages. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return JSON.isRawJSON(value) ? `the number ${cut(value.rawJSON)}` : `of type ${typeof value}`;
}

function cut(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}...` : text;
}
