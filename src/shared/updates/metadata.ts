/**
 * The metadata of an entry as the text that MySQL holds: JSON with sorted keys, so that equal content is
 * equal text, and with every number as the caller wrote it. A value that JSON would silently change or leave
 * out is refused.
 */
import { InvalidUpdateError } from '../errors.ts';
import { LIMITS } from '../limits.ts';

const TOO_LONG = `is longer than ${LIMITS.metadata} bytes as JSON; shorten it`;
const TOO_DEEP = `is nested deeper than ${LIMITS.depth} levels, or contains itself; flatten it`;
const LONE_SURROGATE = 'contains a lone surrogate, which UTF-8 cannot represent';
const SHOWN_PATH = 200;

/** @throws InvalidUpdateError naming the path, as in "metadata.items[2].price is NaN" */
export function metadataText(metadata: unknown): string {
  let text: string;
  try {
    const kept = new Reader().read(metadata, '', 0);
    if (typeof kept !== 'object' || kept === null || Array.isArray(kept) || JSON.isRawJSON(kept))
      throw new Unfit('must be an object that JSON can represent');
    text = JSON.stringify(kept);
    if (Buffer.byteLength(text) > LIMITS.metadata) throw new Unfit(TOO_LONG);
  } catch (error) {
    const { path, why } = unfit(error);
    const shown = path.length > SHOWN_PATH ? `${path.slice(0, SHOWN_PATH)}...` : path;
    throw new InvalidUpdateError('INVALID_METADATA', `metadata${shown.toWellFormed()} ${why}.`);
  }
  return text;
}

/** Why a value cannot be kept. Each level on the way out prepends its step to the path. */
class Unfit {
  readonly why: string;
  path = '';
  constructor(why: string) {
    this.why = why;
  }
}

/** Getters, `toJSON` methods and proxies of the caller may throw anything. */
function unfit(error: unknown): Unfit {
  return error instanceof Unfit ? error : new Unfit('cannot be read, as it throws an error; pass plain data');
}

/** Builds a value that `JSON.stringify` writes exactly. Stops once the text is certain to be too long. */
class Reader {
  #bytesLeft: number = LIMITS.metadata;

  read(given: unknown, key: string, depth: number): unknown {
    this.#take(1);
    const value = converted(given, key);
    switch (typeof value) {
      case 'string':
        return this.#text(value);
      case 'number':
        if (!Number.isFinite(value)) throw new Unfit(`is ${value}, which JSON cannot represent`);
        return Object.is(value, -0) ? JSON.rawJSON('-0') : value;
      case 'bigint':
        return JSON.rawJSON(String(value));
      case 'boolean':
        return value;
      case 'object':
        break;
      default:
        throw new Unfit(`is ${NOT_DATA[typeof value]}; leave it out, or pass null`);
    }
    if (value === null) return value;
    if (JSON.isRawJSON(value)) {
      this.#take(value.rawJSON.length - 1);
      return value.rawJSON.startsWith('"') ? this.#text(JSON.parse(value.rawJSON)) : value;
    }
    if (depth === LIMITS.depth) throw new Unfit(TOO_DEEP);
    return Array.isArray(value) ? this.#array(value, depth) : this.#object(value, depth);
  }

  #array(array: readonly unknown[], depth: number): unknown[] {
    const kept: unknown[] = [];
    for (let at = 0; at < array.length; at++) {
      if (!Object.hasOwn(array, at)) throw inside(`[${at}]`, new Unfit('is a hole in an array; pass null'));
      kept.push(this.#member(array, at, `[${at}]`, depth));
    }
    if (Object.keys(array).length > kept.length)
      throw new Unfit('is an array with properties beside its elements, which JSON leaves out');
    return kept;
  }

  #object(object: object, depth: number): Record<string, unknown> {
    const prototype = Object.getPrototypeOf(object);
    // The second test accepts plain objects of another realm, such as those of a test runner or `node:vm`.
    if (prototype !== null && Object.getPrototypeOf(prototype) !== null)
      throw new Unfit(`is an object of class ${className(prototype)}; pass a plain object or an array`);
    if (Object.getOwnPropertySymbols(object).some(name => Object.propertyIsEnumerable.call(object, name)))
      throw new Unfit('has a property named by a symbol, which JSON leaves out');
    const entries: [string, unknown][] = [];
    for (const key of Object.keys(object).sort()) {
      this.#text(key);
      entries.push([key, this.#member(object, key, segment(key), depth)]);
    }
    return Object.fromEntries(entries);
  }

  #member(holder: object, key: string | number, step: string, depth: number): unknown {
    try {
      return this.read((holder as Record<string | number, unknown>)[key], String(key), depth + 1);
    } catch (error) {
      throw inside(step, unfit(error));
    }
  }

  #text(text: string): string {
    this.#take(text.length);
    if (!text.isWellFormed()) throw new Unfit(LONE_SURROGATE);
    return text;
  }

  #take(bytes: number): void {
    this.#bytesLeft -= bytes;
    if (this.#bytesLeft < 0) throw new Unfit(TOO_LONG);
  }
}

const NOT_DATA: Readonly<Record<string, string>> = {
  undefined: 'undefined',
  function: 'a function',
  symbol: 'a symbol',
};

/** The result of the value's own `toJSON`, such as the ISO string of a Date. */
function converted(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON !== 'function') return value;
  const json: unknown = toJSON.call(value, key);
  // Mostly an invalid Date.
  if (json === null || json === undefined)
    throw new Unfit(`is an object of class ${className(value)} that becomes ${json} as JSON`);
  return json;
}

function inside(step: string, error: Unfit): Unfit {
  error.path = step + error.path;
  return error;
}

function segment(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

function className(value: object): string {
  const name: unknown = value.constructor?.name;
  return typeof name === 'string' && /^[\w$]{1,80}$/.test(name) ? name : 'unknown';
}
