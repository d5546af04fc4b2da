/** The updates of a producer, and all checks that need no server. */
import { type Definitions, kindOfValue } from '../config/definitions.ts';
import { InvalidUpdateError, shown, UnknownNameError } from '../errors.ts';
import { exactNumber, kindOf } from '../exact-json.ts';
import { itemOf, type Kind } from '../item.ts';
import { LIMITS } from '../limits.ts';
import { endId, heldId } from './hold.ts';
import { type CounterKey, checkKey, checkText } from './key.ts';
import { metadataText } from './metadata.ts';
import { isReservedId, openingId, writePayload } from './record.ts';

export interface CounterUpdate {
  counter: string;
  /** A list if the counter's target has several key columns. */
  key: CounterKey;
  /** Whole number, not zero; 1 by default. */
  by?: number | undefined;
  id?: string | undefined;
}

export interface PointsUpdate {
  points: string;
  account: string;
  /** Whole number, not zero; negative for a debit. */
  amount: number;
  id: string;
  reason?: string | undefined;
  /** A JSON object, up to 8 KiB; see `PointsOptions`. */
  metadata?: Record<string, unknown> | undefined;
}

/** Takes points from one account and gives them to another one of the same program. */
export interface TransferUpdate {
  points: string;
  from: string;
  to: string;
  /** Whole number above 0. */
  amount: number;
  /** Unique among the ids of `from` for ever. */
  id: string;
  reason?: string | undefined;
  /** A JSON object, up to 8 KiB; see `PointsOptions`. */
  metadata?: Record<string, unknown> | undefined;
}

/** Puts a number, of which the rule of the value's definition keeps the greatest, the least or the last. */
export interface ValueUpdate {
  value: string;
  /** A list if the value's target has several key columns. */
  key: CounterKey;
  /** Whole number. */
  is: number;
}

/** Keeps points of an account for one use: a post takes them, a void or the end of its time frees them. */
export interface HoldUpdate {
  points: string;
  account: string;
  /** Whole number above 0: how many points. */
  hold: number;
  /** Unique among the holds of the account for ever, 1 to 253 bytes. */
  id: string;
  /** After this many ms the hold ends by itself; never without. */
  expiresInMs?: number | undefined;
}

/** Takes the points of a hold, or a part of them; the rest is free again. */
export interface PostUpdate {
  points: string;
  account: string;
  /** Id of the hold. */
  post: string;
  /** Whole number above 0, at most what is held; all of it by default. */
  amount?: number | undefined;
  reason?: string | undefined;
  /** A JSON object, up to 8 KiB; see `PointsOptions`. */
  metadata?: Record<string, unknown> | undefined;
}

/** Ends a hold and frees its points. */
export interface VoidUpdate {
  points: string;
  account: string;
  /** Id of the hold. */
  void: string;
}

/** Updates that add up. */
export type SummedUpdate = CounterUpdate | PointsUpdate | TransferUpdate;
/** Updates of holds. */
export type HoldingUpdate = HoldUpdate | PostUpdate | VoidUpdate;
export type Update = SummedUpdate | HoldingUpdate | ValueUpdate;

/** An update that passed the checks. */
export interface CheckedUpdate {
  readonly kind: Kind;
  readonly name: string;
  readonly key: string;
  readonly item: string;
  /** What is added, or the number that a value is put to. */
  readonly amount: number;
  /** '' if there is none. */
  readonly id: string;
  /** Whether it waits when pending is full, instead of being refused. */
  readonly waits: boolean;
  /** The destination, if it is a transfer: `key` is the source, and `amount` is negative. */
  readonly to?: string | undefined;
  /** If it begins or ends a hold: then `amount` is what is held, or posted, 0 for all of it or a void. */
  readonly hold?: HoldCall | undefined;
  /** Lowest balance that a debit may lead to. Points only. */
  readonly floor: number;
  /** The entry as JSON, with sorted keys so that equal content is equal text. Points only. */
  readonly payload: string;
}

/** What a caller does to a hold. */
export interface HoldCall {
  readonly action: 'h' | 'p' | 'v';
  /** The id that the caller gave. */
  readonly id: string;
  /** 0 for never. */
  readonly expiresInMs: number;
}

const COUNTER_FIELDS = new Set(['counter', 'key', 'by', 'id']);
const POINTS_FIELDS = new Set(['points', 'account', 'amount', 'id', 'reason', 'metadata']);
const VALUE_FIELDS = new Set(['value', 'key', 'is']);
const TRANSFER_FIELDS = new Set(['points', 'from', 'to', 'amount', 'id', 'reason', 'metadata']);
const HOLD_FIELDS = new Set(['points', 'account', 'hold', 'id', 'expiresInMs']);
const POST_FIELDS = new Set(['points', 'account', 'post', 'amount', 'reason', 'metadata']);
const VOID_FIELDS = new Set(['points', 'account', 'void']);
/** Longest time of a hold: beyond, clocks and columns are not exact. */
const LONGEST_HOLD_MS = 100 * 365 * 24 * 60 * 60 * 1000;

/** Whether an update of this form has an id of its own: a put has none, and the end of a hold names the hold. */
export function takesId(update: object): boolean {
  return !('value' in update || 'post' in update || 'void' in update);
}

/** @throws InvalidUpdateError, UnknownNameError */
export function checkUpdate(update: Update, definitions: Definitions): CheckedUpdate {
  if (typeof update !== 'object' || update === null) {
    throw new InvalidUpdateError(
      'INVALID_UPDATE',
      'An update must be an object with "counter", "points" or "value".',
    );
  }
  if (Number('counter' in update) + Number('points' in update) + Number('value' in update) !== 1) {
    throw new InvalidUpdateError(
      'INVALID_UPDATE',
      'An update must have exactly one of "counter", "points" and "value".',
    );
  }
  const fields = fieldsOf(update);
  for (const field in update) {
    if (!fields.has(field)) {
      throw new InvalidUpdateError(
        'INVALID_UPDATE',
        `An update has an unknown field ${shown(field)}; remove or rename it.`,
      );
    }
  }
  if ('value' in update) return checkValue(update.value, update.key, update.is, definitions);
  if ('counter' in update) return checkCounter(update.counter, update.key, update.by, update.id, definitions);
  if (isTransfer(update)) return checkTransfer(update, definitions);
  if ('hold' in update) return checkHold(update, definitions);
  if ('post' in update) return checkPost(update, definitions);
  if ('void' in update) return checkVoid(update, definitions);
  return checkPoints(update, definitions);
}

function isTransfer(update: Update): update is TransferUpdate {
  return 'points' in update && ('from' in update || 'to' in update);
}

function fieldsOf(update: Update): ReadonlySet<string> {
  if ('value' in update) return VALUE_FIELDS;
  if ('counter' in update) return COUNTER_FIELDS;
  if (isTransfer(update)) return TRANSFER_FIELDS;
  if ('hold' in update) return HOLD_FIELDS;
  if ('post' in update) return POST_FIELDS;
  return 'void' in update ? VOID_FIELDS : POINTS_FIELDS;
}

/** @throws InvalidUpdateError, UnknownNameError */
export function checkValue(
  name: string,
  given: CounterKey,
  is: unknown,
  definitions: Definitions,
): CheckedUpdate {
  checkName('value', name, definitions);
  const key = checkKey(given, name, definitions, 'value');
  return {
    kind: kindOfValue(name, definitions),
    name,
    key,
    item: itemOf(name, key),
    amount: checkNumber(is),
    id: '',
    waits: definitions.values[name]!.backpressure === 'wait',
    floor: 0,
    payload: '',
  };
}

/** @throws InvalidUpdateError, UnknownNameError */
export function checkCounter(
  name: string,
  given: CounterKey,
  by: number | undefined,
  id: string | undefined,
  definitions: Definitions,
): CheckedUpdate {
  checkName('counter', name, definitions);
  const key = checkKey(given, name, definitions);
  const amount = by === undefined ? 1 : checkAmount(by);
  if (id !== undefined) {
    checkText(id, 'INVALID_ID', 'id', LIMITS.id);
    checkNotReserved(id);
  }
  const waits = definitions.counters[name]!.backpressure === 'wait';
  return {
    kind: 'c',
    name,
    key,
    item: itemOf(name, key),
    amount,
    id: id ?? '',
    waits,
    floor: 0,
    payload: '',
  };
}

/** @throws InvalidUpdateError, UnknownNameError */
export function checkPoints(update: PointsUpdate, definitions: Definitions): CheckedUpdate {
  checkName('program', update.points, definitions);
  checkText(update.account, 'INVALID_ACCOUNT', 'account', LIMITS.account);
  return checkEntry(update, checkAmount(update.amount), undefined, definitions);
}

/** @throws InvalidUpdateError, UnknownNameError */
export function checkTransfer(update: TransferUpdate, definitions: Definitions): CheckedUpdate {
  const { points, from, to } = update;
  checkName('program', points, definitions);
  checkText(from, 'INVALID_ACCOUNT', 'account "from"', LIMITS.account);
  checkText(to, 'INVALID_ACCOUNT', 'account "to"', LIMITS.account);
  if (from === to)
    throw new InvalidUpdateError(
      'INVALID_ACCOUNT',
      'A transfer must name two accounts; "from" and "to" are the same.',
    );
  const amount = checkPositive(update.amount, 'transfer');
  return checkEntry({ ...update, account: from }, -amount, to, definitions);
}

/** @param to the destination of a transfer */
function checkEntry(
  update: Omit<PointsUpdate, 'amount'>,
  amount: number,
  to: string | undefined,
  definitions: Definitions,
): CheckedUpdate {
  const { id, reason } = update;
  if (id === undefined || id === null) {
    throw new InvalidUpdateError(
      'MISSING_ID',
      'A points update needs an id, unique in its account for ever; pass one with { id }.',
    );
  }
  checkText(id, 'INVALID_ID', 'id', LIMITS.id);
  checkNotReserved(id);
  if (reason !== undefined) checkText(reason, 'INVALID_REASON', 'reason', LIMITS.reason);
  return uncheckedEntry(update, amount, to, definitions);
}

function uncheckedEntry(
  { points: name, account, id, reason, metadata }: Omit<PointsUpdate, 'amount'>,
  amount: number,
  to: string | undefined,
  definitions: Definitions,
): CheckedUpdate {
  const payload = writePayload({
    program: name,
    account,
    id,
    amount,
    reason: reason ?? null,
    metadata: metadata === undefined ? null : metadataText(metadata),
    other: to,
  });
  return {
    kind: 'p',
    name,
    key: account,
    item: itemOf(name, account),
    amount,
    id,
    to,
    waits: definitions.points[name]!.backpressure === 'wait',
    floor: definitions.points[name]!.floor,
    payload,
  };
}

/** @throws InvalidUpdateError, UnknownNameError */
export function checkHold(update: HoldUpdate, definitions: Definitions): CheckedUpdate {
  const { points, account, hold, id, expiresInMs } = update;
  checkName('program', points, definitions);
  checkText(account, 'INVALID_ACCOUNT', 'account', LIMITS.account);
  const amount = checkPositive(hold, 'hold');
  if (id === undefined || id === null)
    throw new InvalidUpdateError(
      'MISSING_ID',
      'A hold needs an id, unique among the holds of its account for ever; pass one with { id }.',
    );
  checkHoldId(id);
  const time = expiresInMs === undefined ? 0 : exactNumber(expiresInMs);
  if (
    typeof time !== 'number' ||
    !Number.isInteger(time) ||
    time > LONGEST_HOLD_MS ||
    (expiresInMs !== undefined && time < 1)
  )
    throw new InvalidUpdateError(
      'INVALID_EXPIRY',
      `The "expiresInMs" of a hold must be a whole number of ms from 1 to ${LONGEST_HOLD_MS} (100 years), or left out for a hold that never expires.`,
    );
  const entry = uncheckedEntry({ points, account, id: heldId(id) }, amount, undefined, definitions);
  return { ...entry, hold: { action: 'h', id, expiresInMs: time } };
}

/** @throws InvalidUpdateError, UnknownNameError */
export function checkPost(update: PostUpdate, definitions: Definitions): CheckedUpdate {
  const { points, account, post, amount, reason, metadata } = update;
  checkName('program', points, definitions);
  checkText(account, 'INVALID_ACCOUNT', 'account', LIMITS.account);
  checkHoldId(post);
  const posted = amount === undefined ? 0 : checkPositive(amount, 'post');
  if (reason !== undefined) checkText(reason, 'INVALID_REASON', 'reason', LIMITS.reason);
  const entry = { points, account, id: endId(post), reason, metadata };
  return {
    ...uncheckedEntry(entry, posted, undefined, definitions),
    hold: { action: 'p', id: post, expiresInMs: 0 },
  };
}

/** @throws InvalidUpdateError, UnknownNameError */
export function checkVoid(update: VoidUpdate, definitions: Definitions): CheckedUpdate {
  const { points, account, void: id } = update;
  checkName('program', points, definitions);
  checkText(account, 'INVALID_ACCOUNT', 'account', LIMITS.account);
  checkHoldId(id);
  const entry = uncheckedEntry({ points, account, id: endId(id) }, 0, undefined, definitions);
  return { ...entry, hold: { action: 'v', id, expiresInMs: 0 } };
}

/** @throws InvalidUpdateError */
export function checkHoldId(id: string): void {
  checkText(id, 'INVALID_ID', 'id of the hold', LIMITS.hold);
  checkNotReserved(id);
}

/** What a backfill sends: the name of its run is the id. */
export type OpeningUpdate = CounterUpdate | PointsUpdate | (ValueUpdate & { id?: string | undefined });

/**
 * An opening of a backfill: an update with a reserved id, which no caller's update can have. It states what
 * was before, so no floor stops it.
 * @param update its id is the name of the backfill
 * @throws InvalidUpdateError, UnknownNameError
 */
export function checkOpening(update: OpeningUpdate, definitions: Definitions): CheckedUpdate {
  // Its id says that it is older than any put; nobody remembers it, since to put it again changes nothing.
  if ('value' in update)
    return { ...checkValue(update.value, update.key, update.is, definitions), id: openingId(update.id!) };
  const id = openingId(update.id!);
  if ('counter' in update)
    return { ...checkCounter(update.counter, update.key, update.by, undefined, definitions), id };
  checkName('program', update.points, definitions);
  checkText(update.account, 'INVALID_ACCOUNT', 'account', LIMITS.account);
  const entry = { ...update, id };
  const checked = uncheckedEntry(entry, checkAmount(update.amount), undefined, definitions);
  return { ...checked, floor: Number.MIN_SAFE_INTEGER };
}

/** @throws InvalidUpdateError */
function checkNotReserved(id: string): void {
  if (isReservedId(id))
    throw new InvalidUpdateError(
      'INVALID_ID',
      'The id must not begin with the character NUL, which begins the ids that Sluice makes; use another id.',
    );
}

/** @throws UnknownNameError */
export function checkName(
  kind: 'counter' | 'program' | 'value',
  name: string,
  { counters, points, values }: Definitions,
): void {
  const known = { counter: counters, program: points, value: values }[kind];
  if (typeof name !== 'string' || !Object.hasOwn(known, name))
    throw new UnknownNameError(kind, name, Object.keys(known));
}

/**
 * A whole number other than 0 within plus or minus 2^53-1. A raw JSON number may be written as 5.0 or 1e3.
 * @throws InvalidUpdateError
 */
export function checkAmount(given: unknown): number {
  const amount = exactNumber(given);
  if (typeof amount === 'number' && Number.isSafeInteger(amount) && amount !== 0) return amount;
  const found = typeof given === 'number' ? String(given) : kindOf(given);
  throw new InvalidUpdateError(
    'INVALID_AMOUNT',
    `The amount must be a whole number other than 0, from -(2^53-1) to 2^53-1; it is ${found}${typeof given === 'bigint' ? '; pass Number(amount)' : ''}.`,
  );
}

/**
 * The number of a put: any whole number within plus or minus 2^53-1. A raw JSON number may be written as 5.0.
 * @throws InvalidUpdateError
 */
function checkNumber(given: unknown): number {
  const number = exactNumber(given);
  // Not -0, which Redis would write as a text of its own.
  if (typeof number === 'number' && Number.isSafeInteger(number)) return number + 0;
  const found = typeof given === 'number' ? String(given) : kindOf(given);
  throw new InvalidUpdateError(
    'INVALID_AMOUNT',
    `The number "is" of a put must be a whole number from -(2^53-1) to 2^53-1; it is ${found}${typeof given === 'bigint' ? '; pass Number(is)' : ''}.`,
  );
}

/** @param what the update: a `credit`, a `debit` or a `transfer` @throws InvalidUpdateError */
export function checkPositive(given: unknown, what: string): number {
  const amount = checkAmount(given);
  if (amount > 0) return amount;
  throw new InvalidUpdateError('INVALID_AMOUNT', `The amount of a ${what} must be above 0; it is ${amount}.`);
}
