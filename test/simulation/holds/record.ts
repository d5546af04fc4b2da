/** What is known of a hold: its live record, and the entries that begin and end it. */

import type { HoldBug } from './bugs.ts';

export const HOLDS = ['h0', 'h1'] as const;

/** Posted, voided, expired. */
export type End = 'p' | 'v' | 'e';

export interface HoldRecord {
  /** Also: no such hold, or open. */
  readonly state: 'n' | 'o' | End;
  readonly amount: number;
  /** When an open hold expires, 0 for never; how much of a posted hold is taken. */
  readonly more: number;
}

export const NONE: HoldRecord = { state: 'n', amount: 0, more: 0 };

/** An update of the account, with what it adds to the balance and to the held points. */
export interface Entry {
  readonly kind: 'entry' | 'hold' | 'end' | 'amendment';
  readonly id: string;
  readonly balance: number;
  readonly held: number;
  readonly number: number;
  /** The hold that it begins or ends, and the record of it afterwards. */
  readonly hold?: string;
  readonly record?: HoldRecord;
  /** The row in quarantine, if this is an amendment. */
  readonly row?: number;
}

/** All ends of a hold share one id. */
export function endId(hold: string, end: HoldRecord['state'], bug: HoldBug | undefined): string {
  return bug === 'ownIds' ? `1 ${end} ${hold}` : `1 ${hold}`;
}

export function heldId(hold: string): string {
  return `2 ${hold}`;
}

export function isSame(one: HoldRecord, other: HoldRecord): boolean {
  return one.state === other.state && one.amount === other.amount && one.more === other.more;
}

/** Whether both say the same to who asked for it: the same hold, or the same end of a hold. */
export function agrees(asked: HoldRecord, found: HoldRecord | undefined): boolean {
  if (!found) return false;
  if (asked.state === 'o') return asked.amount === found.amount;
  return asked.state === found.state && asked.more === found.more;
}

export function show({ state, amount, more }: HoldRecord): string {
  return state === 'n' ? state : `${state}${amount}/${more}`;
}
