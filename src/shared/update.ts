/** What a producer may ask for, and the check of everything that needs no server. */
import type { Definitions } from './definitions.ts';
import { InvalidUpdateError, shown, UnknownNameError } from './errors.ts';
import { itemOf, type Kind } from './keys.ts';

/** Longest key, account, id and reason in UTF-8 bytes; longest metadata as JSON in bytes, and its deepest nesting. */
export const LIMITS = { key: 512, account: 255, id: 255, reason: 255, metadata: 8192, depth: 20 } as const;

export interface CounterUpdate {
  counter: string;
  key: string;
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
  /** A JSON object, up to 8 KiB. */
  metadata?: Record<string, unknown> | undefined;
}

export type Update = CounterUpdate | PointsUpdate;

/** An update that passed the checks, in the form that `apply` takes. */
export interface CheckedUpdate {
  readonly kind: Kind;
  readonly name: string;
  readonly key: string;
  readonly item: string;
  readonly amount: number;
  /** '' where there is none. */
  readonly id: string;
  /** Whether it waits for room under backpressure. */
  readonly waits: boolean;
  /** Points only. */
  readonly floor: number;
  /** Points only: the entry as JSON, with keys sorted so that equal content is equal text. */
  readonly payload: string;
}

const COUNTER_FIELDS = new Set(['counter', 'key', 'by', 'id']);
const POINTS_FIELDS = new Set(['points', 'account', 'amount', 'id', 'reason', 'metadata']);

/**
 * @throws InvalidUpdateError, UnknownNameError
 */
export function checkUpdate(update: Update, definitions: Definitions): CheckedUpdate {
  if (typeof update !== 'object' || update === null) {
    throw new InvalidUpdateError('INVALID_UPDATE', 'An update must be an object with "counter" or "points".');
  }
  if ('counter' in update === 'points' in update) {
    throw new InvalidUpdateError('INVALID_UPDATE', 'An update must name either "counter" or "points".');
  }
  const fields = 'counter' in update ? COUNTER_FIELDS : POINTS_FIELDS;
  for (const field in update) {
    if (!fields.has(field)) {
      throw new InvalidUpdateError(
        'INVALID_UPDATE',
        `An update has an unknown field ${shown(field)}; remove or rename it.`,
      );
    }
  }
  return 'counter' in update
    ? checkCounter(update.counter, update.key, update.by, update.id, definitions)
    : checkPoints(update, definitions);
}

/** @throws InvalidUpdateError, UnknownNameError */
export function checkCounter(
  name: string,
  key: string,
  by: number | undefined,
  id: string | undefined,
  definitions: Definitions,
): CheckedUpdate {
  checkName('counter', name, definitions);
  checkText(key, 'INVALID_KEY', 'counter key', LIMITS.key);
  const amount = by === undefined ? 1 : checkAmount(by);
  if (id !== undefined) checkText(id, 'INVALID_ID', 'id', LIMITS.id);
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
  const { points: name, account, id, reason, metadata } = update;
  checkName('program', name, definitions);
  checkText(account, 'INVALID_ACCOUNT', 'account', LIMITS.account);
  const amount = checkAmount(update.amount);
  if (id === undefined || id === null) {
    throw new InvalidUpdateError(
      'MISSING_ID',
      'A points update needs an id, unique in its account for ever; pass one with { id }.',
    );
  }
  checkText(id, 'INVALID_ID', 'id', LIMITS.id);
  if (reason !== undefined) checkText(reason, 'INVALID_REASON', 'reason', LIMITS.reason);
  const payload = JSON.stringify([name, account, id, amount, reason ?? null, checkMetadata(metadata)]);
  return {
    kind: 'p',
    name,
    key: account,
    item: itemOf(name, account),
    amount,
    id,
    waits: definitions.points[name]!.backpressure === 'wait',
    floor: definitions.points[name]!.floor,
    payload,
  };
}

/** @throws UnknownNameError */
export function checkName(kind: 'counter' | 'program', name: string, definitions: Definitions): void {
  const known = kind === 'counter' ? definitions.counters : definitions.points;
  if (typeof name !== 'string' || !Object.hasOwn(known, name))
    throw new UnknownNameError(kind, name, Object.keys(known));
}

/**
 * Refuses what is not text that UTF-8 can carry unchanged, is empty, or is too long.
 * @throws InvalidUpdateError
 */
export function checkText(text: string, code: InvalidUpdateError['code'], what: string, limit: number): void {
  if (typeof text !== 'string')
    throw new InvalidUpdateError(code, `The ${what} must be a string, not ${typeof text}.`);
  if (text.length === 0) throw new InvalidUpdateError(code, `The ${what} must not be empty.`);
  // Only a string longer than a third of the limit in UTF-16 can be over it in UTF-8.
  if (text.length * 3 > limit && Buffer.byteLength(text) > limit) {
    throw new InvalidUpdateError(code, `The ${what} is longer than ${limit} bytes of UTF-8; shorten it.`);
  }
  if (!text.isWellFormed())
    throw new InvalidUpdateError(code, `The ${what} holds a lone surrogate, which UTF-8 cannot carry.`);
}

function checkAmount(amount: number): number {
  if (typeof amount !== 'number' || !Number.isSafeInteger(amount) || amount === 0) {
    const shown = typeof amount === 'number' ? String(amount) : typeof amount;
    throw new InvalidUpdateError(
      'INVALID_AMOUNT',
      `The amount must be a safe integer other than 0, not ${shown}.`,
    );
  }
  return amount;
}

function checkMetadata(metadata: Record<string, unknown> | undefined): unknown {
  if (metadata === undefined) return null;
  let text: string | undefined;
  try {
    if (typeof metadata === 'object' && metadata !== null && !Array.isArray(metadata))
      text = JSON.stringify(metadata);
  } catch {
    // A cycle or a bigint: said below.
  }
  if (text === undefined)
    throw new InvalidUpdateError('INVALID_METADATA', 'The metadata must be an object that JSON can carry.');
  if (!text.isWellFormed() || /(?<!\\)(?:\\\\)*\\ud[89a-f]/i.test(text)) {
    throw new InvalidUpdateError(
      'INVALID_METADATA',
      'The metadata holds a lone surrogate, which UTF-8 cannot carry.',
    );
  }
  if (Buffer.byteLength(text) > LIMITS.metadata) {
    throw new InvalidUpdateError(
      'INVALID_METADATA',
      `The metadata is longer than ${LIMITS.metadata} bytes as JSON; shorten it.`,
    );
  }
  const parsed = JSON.parse(text);
  if (isDeeper(parsed, LIMITS.depth)) {
    throw new InvalidUpdateError(
      'INVALID_METADATA',
      `The metadata is nested deeper than ${LIMITS.depth} levels, which not every database takes; flatten it.`,
    );
  }
  return parsed === null || typeof parsed !== 'object' || Array.isArray(parsed)
    ? { value: parsed }
    : sorted(parsed);
}

/** Stops below the deepest level that is allowed: what a caller nests without end must not exhaust the stack. */
function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some(inner => isDeeper(inner, levels - 1));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([k, v]) => [k, sorted(v)]),
  );
}
