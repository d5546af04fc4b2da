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
const PLAIN = /^\s*\{(?:\s*"[^"\\]*"\s*:\s*(?:"[^"\\]*"|0|-?[1-9]\d{0,14})\s*[,}])+\s*$/;

/** `JSON.parse` takes a third of the time. Undefined if the text is not plain or repeats a key. */
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
