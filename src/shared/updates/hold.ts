/**
 * Holds: points of an account that are kept for one use (docs/decisions/0029-holds.md). The texts here are those of
 * hold.lua.
 */

/** What an entry does to a hold: holds, posts, voids or expires it. */
type HoldAction = 'h' | 'p' | 'v' | 'e';

/** How a hold stands, as `sluice_holds` says it. */
export const HOLD_STATUSES = { o: 'open', p: 'posted', v: 'voided', e: 'expired' } as const;
export type HoldStatus = (typeof HOLD_STATUSES)[keyof typeof HOLD_STATUSES];

/** How a hold stands. */
export interface Hold {
  /** Points that it holds, or held. */
  readonly amount: number;
  readonly status: HoldStatus;
  /** How many of them were taken; 0 unless it is posted. */
  readonly posted: number;
  /** When it ends by itself, Unix time in ms by Redis' clock; null for never. Null too once it has ended. */
  readonly expiresAt: number | null;
}

/** What the record of an entry says about its hold. */
export interface RecordedHold {
  readonly action: HoldAction;
  /** What it adds to the held points: below 0 at the end of a hold. */
  readonly held: number;
  /** When a new hold expires, ms of Redis' clock; 0 for never, and for an end. */
  readonly expiresAt: number;
}

/** After the NUL that begins reserved ids. All ends of a hold share one id. */
const END = '\0\x01';
const HELD = '\0\x02';

/** The id of a new hold, in Redis. */
export function heldId(hold: string): string {
  return HELD + hold;
}

/** The id of each end of a hold, in Redis and in the ledger. */
export function endId(hold: string): string {
  return END + hold;
}

/** The hold that an entry begins or ends, by the entry's id; undefined for any other entry. */
export function holdOf(id: string): string | undefined {
  return id.startsWith(END) || id.startsWith(HELD) ? id.slice(END.length) : undefined;
}

/** The part of a record's amounts after the balance: `50h1700000000000`, `-50p`. Undefined for a plain amount. */
export function readHeld(text: string): RecordedHold | undefined {
  const [, held, action, expiresAt] = /^(-?\d+)([hpve])(\d*)$/.exec(text) ?? [];
  return held === undefined
    ? undefined
    : { action: action as HoldAction, held: Number(held), expiresAt: Number(expiresAt) };
}

/** A hold's record, as it is live in Redis. */
export function holdRecord({ amount, status, posted, expiresAt }: Hold): string {
  const letter = status === 'open' ? 'o' : status[0];
  return `${letter}${amount}/${status === 'open' ? (expiresAt ?? 0) : posted}`;
}

/** Null if there is no such hold. */
export function readHoldRecord(text: string): Hold | null {
  const [, letter, amount, more] = /^([opve])(\d+)\/(\d+)$/.exec(text) ?? [];
  if (letter === undefined) return null;
  const status = HOLD_STATUSES[letter as keyof typeof HOLD_STATUSES];
  const isOpen = status === 'open';
  return {
    amount: Number(amount),
    status,
    posted: isOpen ? 0 : Number(more),
    expiresAt: isOpen && more !== '0' ? Number(more) : null,
  };
}
