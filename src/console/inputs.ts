/** What the console's routes take: schemas of parameters and bodies that several routes share. */
import * as z from 'zod';
import { keyOf } from '../http/counters.ts';
import { digits, one, parameter } from '../http/parameters.ts';
import { RequestError } from '../http/request-error.ts';
import { text as anyText, instant } from '../replay/filter.ts';
import { type Definitions, definitionOf, kindOfValue } from '../shared/config/definitions.ts';
import { UnknownNameError } from '../shared/errors.ts';
import { isValueKind, type Kind, ROW_KINDS, type RowKind } from '../shared/item.ts';
import { isLonger, LIMITS } from '../shared/limits.ts';
import type { LiveKey } from '../shared/redis/live-keys.ts';
import { checkKey, checkText } from '../shared/updates/key.ts';
import type { ShownKind } from './answers.ts';
import type { Asker } from './route.ts';

const SHOWN = ['counter', 'points', 'value'] as const satisfies readonly ShownKind[];

/** A text of at most `limit` bytes. A lone surrogate would be sent as another character. */
export function text(limit: number) {
  return z
    .string()
    .refine(
      given => given !== '' && given.isWellFormed() && !isLonger(given, limit),
      `must be a text of 1 to ${limit} bytes of UTF-8`,
    );
}

/** One parameter of a query, with such a text. */
export function oneText(limit: number) {
  return one.pipe(text(limit));
}

export const limit = (most: number) => digits(1, most).optional();

/** A number of a row, in a query or a path. */
const rowNumber = z
  .string()
  .regex(/^\d{1,15}$/, 'must be a whole number from 0 to 999999999999999')
  .transform(Number);
export const number = one.pipe(rowNumber);
export const idParams = z.strictObject({ id: rowNumber });

/** Why an operator does something, for the audit record. */
export const reason = z
  .string()
  .refine(
    given => given.trim() !== '' && given.length <= LIMITS.operator && given.isWellFormed(),
    `must be 1 to ${LIMITS.operator} characters that say why, without a lone surrogate`,
  );

/** A key as an address names it. */
const key = { kind: z.enum(SHOWN), name: text(LIMITS.name), key: text(LIMITS.key) };
export const keyBody = z.strictObject({ ...key, reason });
export const keyQuery = z.strictObject({
  kind: parameter(one, { enum: [...SHOWN] }).pipe(key.kind),
  name: one.pipe(key.name),
  key: one.pipe(key.key),
});
/** An account, as its ledger and its updates are found. */
export const accountQuery = { name: one.pipe(key.name), key: oneText(LIMITS.account) };

interface AskedKey {
  readonly kind: ShownKind;
  readonly name: string;
  readonly key: string;
}

/** The key, if its name is defined. @throws UnknownNameError, InvalidUpdateError */
export function liveKeyOf({ kind: shown, name, key }: AskedKey, definitions: Definitions): LiveKey {
  const kind = kindOf(shown, name, definitions);
  const definition = definitionOf(kind, name, definitions)!;
  if (kind === 'p') {
    checkText(key, 'INVALID_ACCOUNT', 'account', LIMITS.account);
    return { kind, name, key };
  }
  const what = isValueKind(kind) ? 'value' : 'counter';
  return { kind, name, key: checkKey(keyOf(key, definition.target), name, definitions, what) };
}

function kindOf(shown: ShownKind, name: string, definitions: Definitions): Kind {
  const groups = { counter: definitions.counters, points: definitions.points, value: definitions.values };
  const group = groups[shown];
  if (!Object.hasOwn(group, name))
    throw new UnknownNameError(shown === 'points' ? 'program' : shown, name, Object.keys(group));
  return shown === 'counter' ? 'c' : shown === 'points' ? 'p' : kindOfValue(name, definitions);
}

const filterText = one.pipe(anyText).optional();
const filterNumber = number.optional();

/** The criteria of a filter, as an address has them. */
export const filterQuery = {
  kind: one.pipe(z.enum(Object.values(ROW_KINDS) as [RowKind, ...RowKind[]])).optional(),
  name: filterText,
  key: filterText,
  keyPrefix: filterText,
  code: filterText,
  from: one.pipe(instant).optional(),
  until: one.pipe(instant).optional(),
  partition: filterNumber,
  sequence: filterNumber,
};

/** Leaves out what was not given. */
export function given<Fields extends object>(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Fields;
}

/** Who acts, for the audit record. */
export function authorOf({ name: operator, address }: Asker, reason: string) {
  return { operator, reason, address };
}

/** A refusal of something that is well-formed. */
export function refused(message: string): RequestError {
  return new RequestError('INVALID_REQUEST', message);
}
