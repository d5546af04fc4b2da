/** A key's live value and score beside the value that they should have. */
import type { LiveKey } from '../redis/live-keys.ts';

export interface Comparison extends LiveKey {
  /** Undefined if the key is not live, NaN if its value is not a number. */
  readonly live: number | undefined;
  readonly expected: number;
  /** On the board of a ranked name; null if the key is not on it, undefined if there is nothing to compare. */
  readonly score?: number | null;
}

/** Whether the live value is wrong. */
export function drifts({ live, expected }: Comparison): boolean {
  return live !== undefined && live !== expected;
}

/** Whether the score is wrong. A key that was only read has value 0 and no score. */
export function misranks({ score, expected }: Comparison): boolean {
  return score !== undefined && (score ?? 0) !== expected;
}

/** @param found what load.lua replied to `compare` or `repair` */
export function comparisons(keys: readonly LiveKey[], found: readonly string[]): Comparison[] {
  return found.map((text, at) => {
    // A live value that another program wrote may contain blanks.
    const [, live, expected, score] = /^(.*) (\S+) (\S+)$/s.exec(text)!;
    return {
      ...keys[at]!,
      live: live === '-' ? undefined : wholeNumber(live!.slice(1)),
      expected: Number(expected),
      ...(score === '.' ? {} : { score: score === '-' ? null : Number(score) }),
    };
  });
}

function wholeNumber(text: string): number {
  return /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
}
