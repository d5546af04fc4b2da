/**
 * How long texts may be, in one place. Checks of updates, columns of statements ({LIMITS.key} in SQL files),
 * sizes of statements and the plan take their numbers from here. The tables get theirs from migrations, and one
 * that has shipped never changes. So a limit that grows needs a new migration; `integration/limits.test.ts`
 * fails without it.
 */

/** Bytes of UTF-8, if nothing else is said. */
export const LIMITS = {
  /** Name of a counter or program. */
  name: 64,
  /** Counter key. */
  key: 512,
  account: 255,
  /** Id of an update. */
  id: 255,
  /** Reason of an entry. */
  reason: 255,
  /** Metadata as JSON. */
  metadata: 8192,
  /** Levels of nested metadata. */
  depth: 20,
  /** Error code of an update in quarantine. */
  code: 64,
  /** Who started an operation, and why: characters, each. */
  operator: 255,
} as const;

/** Whether a text has more bytes of UTF-8. Only one longer than a third of the limit in UTF-16 can. */
export function isLonger(text: string, limit: number): boolean {
  return text.length * 3 > limit && Buffer.byteLength(text) > limit;
}
