/** What apply.lua decides about an action of a caller. */
import type { HoldBug } from './bugs.ts';
import { type Entry, endId, type HoldRecord, heldId, NONE } from './record.ts';
import type { Redis } from './redis.ts';

export interface Action {
  readonly kind: 'entry' | 'hold' | 'post' | 'void';
  /** The id of the entry, or of the hold. */
  readonly id: string;
  readonly amount: number;
  /** A hold's; 0 for never. */
  readonly expiresIn: number;
}

export interface Answer {
  readonly answer:
    | 'accepted'
    | 'duplicate'
    | 'reused'
    | 'cold'
    | 'full'
    | 'below the floor'
    | 'above the hold'
    | 'no such hold'
    | 'ended'
    | 'late';
  /** The hold's record that decided. */
  readonly record?: HoldRecord;
}

type Decided = Answer & { readonly entry?: Omit<Entry, 'number'> };

export function decideAction(redis: Redis, action: Action): Decided {
  if (action.kind === 'entry') return decideEntry(redis, action);
  const { account } = redis;
  const isNew = action.kind === 'hold' && redis.bug === 'newUnseen';
  const record = redis.record(action.id) ?? (isNew ? NONE : undefined);
  if (!account || !record) return { answer: 'cold' };
  if (action.kind === 'hold') return decideHold(redis, action, record);
  return decideEnd(redis, action, record);
}

function decideEntry(redis: Redis, { id, amount }: Action): Decided {
  const known = redis.ids.get(id);
  if (known) return { answer: known.balance === amount ? 'duplicate' : 'reused' };
  if (!redis.account) return { answer: 'cold' };
  if (redis.isFull) return { answer: 'full' };
  if (amount < 0 && roomOf(redis) + amount < 0) return { answer: 'below the floor' };
  return { answer: 'accepted', entry: { kind: 'entry', id, balance: amount, held: 0 } };
}

function roomOf({ account, bug }: Redis): number {
  return account!.balance - (bug === 'balanceOnly' ? 0 : account!.held);
}

function decideHold(redis: Redis, { id, amount, expiresIn }: Action, before: HoldRecord): Decided {
  if (before.state !== 'n')
    return { answer: before.amount === amount ? 'duplicate' : 'reused', record: before };
  if (redis.isFull) return { answer: 'full' };
  if (roomOf(redis) - amount < 0) return { answer: 'below the floor' };
  const record: HoldRecord = { state: 'o', amount, more: expiresIn > 0 ? redis.clock + expiresIn : 0 };
  return {
    answer: 'accepted',
    record,
    entry: { kind: 'hold', id: heldId(id), balance: 0, held: amount, hold: id, record },
  };
}

function decideEnd(redis: Redis, { kind, id, amount }: Action, before: HoldRecord): Decided {
  const { bug, clock, isFull } = redis;
  if (before.state === 'n') return { answer: 'no such hold', record: before };
  const posted = kind === 'post' ? amount : 0;
  const record: HoldRecord = { state: kind === 'post' ? 'p' : 'v', amount: before.amount, more: posted };
  if (before.state !== 'o') {
    const isRepeated = before.state === record.state && before.more === posted;
    const isTaken = bug === 'voidPosted' && kind === 'void' && before.state === 'p';
    return { answer: isRepeated || isTaken ? 'duplicate' : 'ended', record: before };
  }
  if (isFull) return { answer: 'full' };
  if (before.more > 0 && before.more <= clock) {
    const expired: HoldRecord = { state: 'e', amount: before.amount, more: 0 };
    if (bug === 'expiryUnwritten') return { answer: 'ended', record: expired };
    return { answer: 'ended', record: expired, entry: end(id, expired, 0, bug) };
  }
  if (posted > before.amount) return { answer: 'above the hold' };
  return { answer: 'accepted', record, entry: end(id, record, posted, bug) };
}

function end(
  hold: string,
  record: HoldRecord,
  posted: number,
  bug: HoldBug | undefined,
): Omit<Entry, 'number'> {
  const held = bug === 'heldRest' && record.state === 'p' ? -posted : -record.amount;
  return { kind: 'end', id: endId(hold, record.state, bug), balance: 0 - posted, held, hold, record };
}
