/**
 * A value that is kept instead of summed, and which of two is kept. Any order of the same puts gives the same
 * value: each rule takes the greatest by some measure, so a put may also be applied twice.
 */
import { readBalance } from './balance.ts';
import { isValueKind, type Kind, type ValueKind } from './item.ts';

export interface KeptValue {
  readonly value: number;
  /** Grows with each put of a `last` value; 0 for the other kinds. */
  readonly version: number;
}

/** A key without a value, as a live value in Redis. */
const NONE = '~';

/** `value`, or `value@version` for `last`. */
export function keptText(kind: ValueKind, { value, version }: KeptValue): string {
  return kind === '=' ? `${value}@${version}` : String(value);
}

/** Null for a key without a value. The value is NaN if the text is none of Sluice's. */
export function readKept(text: string): KeptValue | null {
  if (text === NONE) return null;
  const [, value, version = '0'] = /^(-?\d+)(?:@(\d+))?$/.exec(text) ?? [];
  return { value: value === undefined ? Number.NaN : Number(value), version: Number(version) };
}

/**
 * A live value of any kind, as a script answers it. Null for a kept value that was never put; of an account the
 * balance alone.
 */
export function readLive(kind: Kind, text: string): number | null {
  if (kind === 'p') return readBalance(text).balance;
  if (!isValueKind(kind)) return Number(text);
  return readKept(text)?.value ?? null;
}

/**
 * Whether the second of two values replaces the first. Of the same version, as an edited put has that Redis brings again,
 * the greater one is kept, so that here too the order does not matter.
 */
function replaces(kind: ValueKind, one: KeptValue, other: KeptValue): boolean {
  if (kind === '=' && other.version !== one.version) return other.version > one.version;
  return kind === '<' ? other.value < one.value : other.value > one.value;
}

export function keptOf(kind: ValueKind, one: KeptValue, other: KeptValue): KeptValue {
  return replaces(kind, one, other) ? other : one;
}
