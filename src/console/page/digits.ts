/** Numbers for people. A number that may exceed 2^53 comes as a decimal text and stays one. */
import type { Count } from '../answers.ts';

/** Digits in groups of three: `-12345678` is `−12,345,678`. Any other text is returned as it is. */
export function grouped(value: string | number): string {
  const [, sign, whole, rest] = /^([-+]?)(\d+)(\.\d+)?$/.exec(String(value)) ?? [];
  if (whole === undefined) return String(value);
  return `${sign === '-' ? '−' : sign}${whole.replace(/\B(?=(?:\d{3})+$)/g, ',')}${rest ?? ''}`;
}

/** With its sign, as an amount or a drift is read. */
export function signed(value: string): string {
  return /^[1-9]/.test(value) ? `+${grouped(value)}` : grouped(value);
}

/** A balance with what is held of it: `100 (30 held)`. */
export function withHeld(balance: string, held: string | undefined): string {
  return held === undefined ? grouped(balance) : `${grouped(balance)} (${grouped(held)} held)`;
}

/** A count with a time limit. */
export function counted({ count, atLeast }: Count): string {
  return atLeast ? `at least ${grouped(count)}` : grouped(count);
}

/** `1 update`, `2 updates`. */
export function many(count: number | string, one: string): string {
  return `${grouped(count)} ${one}${String(count) === '1' ? '' : 's'}`;
}

/** Updates a second: whole from 10 on. */
export function rate(perSecond: number): string {
  return grouped(perSecond >= 10 || perSecond === 0 ? Math.round(perSecond) : Number(perSecond.toFixed(1)));
}

const SPANS = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'min'],
] as const;

/** `0.4 s`, `12 s`, `3 min`, `2 h 5 min`. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${Number(seconds.toFixed(1))} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  const at = SPANS.findIndex(([span]) => seconds >= span);
  const [span, unit] = SPANS[at]!;
  const whole = Math.floor(seconds / span);
  const [smaller, smallerUnit] = SPANS[at + 1] ?? [1, 's'];
  const rest = Math.floor((seconds % span) / smaller);
  return rest > 0 && whole < 10 ? `${whole} ${unit} ${rest} ${smallerUnit}` : `${whole} ${unit}`;
}

const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytes(count: number): string {
  const power = count < 1 ? 0 : Math.min(SIZES.length - 1, Math.floor(Math.log2(count) / 10));
  const value = count / 1024 ** power;
  return `${value >= 100 || power === 0 ? Math.round(value) : value.toFixed(1)} ${SIZES[power]}`;
}
