/** A key's live value and score beside the value that they should have. */
import { isValueKind, type Kind } from '../item.ts';
import { readLive } from '../kept-value.ts';
import type { LiveKey } from '../redis/live-keys.ts';

export interface Comparison extends LiveKey {
  /** Undefined if the key is not live, NaN if its value is not a number, null if a kept value was never put. */
  readonly live: number | null | undefined;
  readonly expected: number | null;
  /** On the board of a ranked name; null if the key is not on it, undefined if there is nothing to compare. */
  readonly score?: number | null;
}

/** Whether the live value is wrong. */
export function drifts({ live, expected }: Comparison): boolean {
  return live !== undefined && live !== expected;
}

/** Whether the score is wrong. A key that was only read has no score; its value is 0, or none. */
export function misranks({ kind, score, expected }: Comparison): boolean {
  if (score === undefined) return false;
  return (score ?? (isValueKind(kind) ? null : 0)) !== expected;
}

/** @param found what load.lua replied to `compare` or `repair` */
export function comparisons(keys: readonly LiveKey[], found: readonly string[]): Comparison[] {
  return found.map((text, at) => {
    // A live value that another program wrote may contain blanks.
    const [, live, expected, score] = /^(.*) (\S+) (\S+)$/s.exec(text)!;
    const { kind } = keys[at]!;
    return {
      ...keys[at]!,
      live: live === '-' ? undefined : liveNumber(kind, live!.slice(1)),
      expected: readLive(kind, expected!),
      ...(score === '.' ? {} : { score: score === '-' ? null : Number(score) }),
    };
  });
}

function liveNumber(kind: Kind, text: string): number | null {
  if (isValueKind(kind)) return readLive(kind, text);
  return /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
}
