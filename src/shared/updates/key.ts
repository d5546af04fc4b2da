/** Checks of counter keys that need no server. A worker checks the rest, against the columns of the table. */
import { joinKey, type KeyPart } from '../composite-key.ts';
import type { Definitions } from '../config/definitions.ts';
import { hasListKeys, keyColumnsOf, type Target } from '../config/target.ts';
import { InvalidUpdateError } from '../errors.ts';
import { exactNumber, kindOf } from '../exact-json.ts';
import { isLonger, LIMITS } from '../limits.ts';

/** Key of a counter or value: a text, or a list of parts if its target has several key columns. */
export type CounterKey = string | readonly KeyPart[];

/**
 * The one text of a key that a caller gave for a defined counter or value.
 * @throws InvalidUpdateError
 */
export function checkKey(
  given: CounterKey,
  name: string,
  definitions: Definitions,
  what: 'counter' | 'value' = 'counter',
): string {
  const { target } = definitions[`${what}s`][name]!;
  if (target !== undefined && hasListKeys(target)) return checkList(given, name, target, what);
  if (Array.isArray(given))
    throw new InvalidUpdateError(
      'INVALID_KEY',
      `The ${what} key must be a string; it is an array. Only a ${what} whose target has a list of key columns takes one, and ${JSON.stringify(name)} has none.`,
    );
  checkText(given as string, 'INVALID_KEY', `${what} key`, LIMITS.key);
  return given as string;
}

function checkList(given: unknown, name: string, target: Target, kind: 'counter' | 'value'): string {
  const columns = keyColumnsOf(target).map(({ column }) => column);
  const wanted = `a list of ${columns.length} parts, [${columns.join(', ')}]`;
  const owner = `The key of the ${kind} ${JSON.stringify(name)}`;
  if (!Array.isArray(given))
    throw new InvalidUpdateError('INVALID_KEY', `${owner} must be ${wanted}; it is ${kindOf(given)}.`);
  if (given.length !== columns.length)
    throw new InvalidUpdateError('INVALID_KEY', `${owner} must be ${wanted}; it has ${given.length} parts.`);
  // Not `map`, which skips the holes of an array.
  const key = joinKey(Array.from(given, (part, at) => partText(part, columns[at]!, kind)));
  if (isLonger(key, LIMITS.key))
    throw new InvalidUpdateError(
      'INVALID_KEY',
      `${owner} is longer than ${LIMITS.key} bytes of UTF-8 as JSON; shorten its parts.`,
    );
  return key;
}

/** The text of a part. A raw JSON number may be too large for JavaScript. @throws InvalidUpdateError */
function partText(given: unknown, column: string, kind: 'counter' | 'value'): string {
  const what = `part of the ${kind} key for the column ${column}`;
  if (typeof given === 'string') {
    // An empty text is a value like any other in a column of texts.
    if (given !== '') checkText(given, 'INVALID_KEY', what, LIMITS.key);
    return given;
  }
  const part = exactNumber(given);
  if (typeof part === 'bigint' || (typeof part === 'number' && Number.isSafeInteger(part)))
    return String(part);
  if (JSON.isRawJSON(part) && /^-?\d+$/.test(part.rawJSON)) return part.rawJSON;
  const found = typeof part === 'number' ? String(part) : kindOf(part);
  throw new InvalidUpdateError(
    'INVALID_KEY',
    `The ${what} must be a string, a whole number that JavaScript can hold, or a bigint; it is ${found}.`,
  );
}

/** Refuses a text that is empty, too long, or not well-formed Unicode. @throws InvalidUpdateError */
export function checkText(text: string, code: InvalidUpdateError['code'], what: string, limit: number): void {
  if (typeof text !== 'string')
    throw new InvalidUpdateError(code, `The ${what} must be a string; it is ${kindOf(text)}.`);
  if (text.length === 0) throw new InvalidUpdateError(code, `The ${what} must not be empty.`);
  if (isLonger(text, limit))
    throw new InvalidUpdateError(code, `The ${what} is longer than ${limit} bytes of UTF-8; shorten it.`);
  if (!text.isWellFormed())
    throw new InvalidUpdateError(
      code,
      `The ${what} contains a lone surrogate, which UTF-8 cannot represent.`,
    );
}
