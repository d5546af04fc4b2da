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
  /** The digits of `live` and `held` where JavaScript rounds them: another program wrote such a number. */
  readonly exactLive?: string;
  readonly exactHeld?: string;
  /** On the board of a ranked name; null if the key is not on it, undefined if there is nothing to compare. */
  readonly score?: number | null;
}

/** Whether the live value is wrong. */
export function drifts({ live, expected, held, expectedHeld }: Comparison): boolean {
  return live !== undefined && (live !== expected || held !== expectedHeld);
}

type Live = Pick<Comparison, 'live' | 'held' | 'exactLive' | 'exactHeld'>;

/** All digits of the live value; null if it is cold, no number, or says that a kept value was never put. */
export function liveDigits({ live, exactLive }: Live): string | null {
  return live === undefined || live === null || Number.isNaN(live) ? null : (exactLive ?? String(live));
}

/** All digits of what the account holds live. */
export function heldDigits({ held = 0, exactHeld }: Live): string {
  return exactHeld ?? String(held);
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
      ...(isLive ? roundedDigits(kind, live!.slice(1)) : {}),
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

function roundedDigits(kind: Kind, text: string): Pick<Comparison, 'exactLive' | 'exactHeld'> {
  const numbers = kind === 'p' ? /^(-?\d+)(?:\/(\d+))?$/ : /^(-?\d+)(?:@\d+)?$/;
  const [, live = '0', held = '0'] = numbers.exec(text) ?? [];
  return {
    ...(Number.isSafeInteger(Number(live)) ? {} : { exactLive: live }),
    ...(Number.isSafeInteger(Number(held)) ? {} : { exactHeld: held }),
  };
}
