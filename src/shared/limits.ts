/**
 * Length limits of texts, in one place. Checks of updates, columns in statements ({LIMITS.key} in SQL files),
 * sizes of statements and `sluice plan` use these numbers. The columns of tables are set by migrations, which
 * never change once they have shipped. So a higher limit needs a new migration; `integration/limits.test.ts`
 * checks that.
 */

/** Bytes of UTF-8, except as noted. */
export const LIMITS = {
  /** Name of a counter or program. */
  name: 64,
  /** Counter key. */
  key: 2048,
  account: 255,
  /** Id of an update. */
  id: 255,
  /** Id of a hold: that of its end has two bytes more. */
  hold: 253,
  /** Name of a transfer. */
  transfer: 64,
  /** Reason of an entry. */
  reason: 255,
  /** Metadata as JSON. */
  metadata: 8192,
  /** Levels of nested metadata. */
  depth: 20,
  /** Error code of an update in quarantine. */
  code: 64,
  /** Operator of an operation, and its reason: characters, each. */
  operator: 255,
  /** Address of whoever asked for an operation: characters. */
  address: 64,
} as const;

/** Whether a text has more than `limit` bytes of UTF-8. A UTF-16 unit has at most 3, so few are counted. */
export function isLonger(text: string, limit: number): boolean {
  return text.length * 3 > limit && Buffer.byteLength(text) > limit;
}
