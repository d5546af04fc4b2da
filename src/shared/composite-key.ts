/**
 * The key of a counter whose table has a key of several columns: a list of parts for callers, one text
 * everywhere else. The text is the JSON array of the parts' texts, such as `["42","2026-11-28"]`. It decides
 * the partition, and Redis, quarantine and commands show it. Only one list of texts has a given text.
 */

/** One part as callers write it: 42 and "42" are the same part. */
export type KeyPart = string | number | bigint;

/** The one text of a list of parts. */
export function joinKey(parts: readonly string[]): string {
  return JSON.stringify(parts);
}

/** The parts of a text that `joinKey` made; undefined for any other text. */
export function splitKey(key: string): string[] | undefined {
  if (!key.startsWith('["')) return undefined;
  let parts: unknown;
  try {
    parts = JSON.parse(key);
  } catch {
    return undefined;
  }
  if (!Array.isArray(parts) || !parts.every(part => typeof part === 'string')) return undefined;
  return joinKey(parts) === key ? parts : undefined;
}

/** A key for people: a composite key as its text, any other text in quotes. */
export function shownKey(key: string): string {
  return splitKey(key) ? key : JSON.stringify(key);
}
