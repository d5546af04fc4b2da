/** A key's live value and score beside the value that they should have. */
import { readBalance } from '../balance.ts';
import { isValueKind, type Kind } from '../item.ts';
import { readLive } from '../kept-value.ts';
import type { LiveKey } from '../redis/live-keys.ts';

export interface Comparison extends LiveKey {
  /** Undefined if the key is not live, NaN if its value is not a number, null if a kept value was never put. */
  readonly live: number | null | undefined;
  readonly expected: number | null;
  /** Points that the account holds, live and as it should be; undefined for none. */
  readonly held?: number | undefined;
  readonly expectedHeld?: number | undefined;
  /** On the board of a ranked name; null if the key is not on it, undefined if there is nothing to compare. */
  readonly score?: number | null;
}

/** Whether the live value is wrong. */
export function drifts({ live, expected, held, expectedHeld }: Comparison): boolean {
  return live !== undefined && (live !== expected || held !== expectedHeld);
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
    const isLive = live !== '-';
    const heldOf = (text: string) => (kind === 'p' && readBalance(text).held) || undefined;
    return {
      ...keys[at]!,
      held: isLive ? heldOf(live!.slice(1)) : undefined,
      expectedHeld: heldOf(expected!),
      live: isLive ? liveNumber(kind, live!.slice(1)) : undefined,
      expected: readLive(kind, expected!),
      ...(score === '.' ? {} : { score: score === '-' ? null : Number(score) }),
    };
  });
}

function liveNumber(kind: Kind, text: string): number | null {
  if (isValueKind(kind)) return readLive(kind, text);
  const isNumber = kind === 'p' ? /^-?\d+(\/\d+)?$/.test(text) : /^-?\d+$/.test(text);
  return isNumber ? readLive(kind, text) : Number.NaN;
}
