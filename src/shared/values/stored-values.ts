/** What the statement of a cold read returned: values in the database, with those in quarantine. */
import { balanceText } from '../balance.ts';
import { AnswerMissingError } from '../errors.ts';
import { isValueKind, itemOf, type ValueKind } from '../item.ts';
import { type KeptValue, keptOf, keptText, readKept } from '../kept-value.ts';
import type { Rows } from '../mysql/database.ts';
import type { LiveKey } from '../redis/live-keys.ts';

/** Replaces a value beyond 2^53-1: no updates in Redis bring a sum back into range, so the script refuses it. */
const OUT_OF_RANGE = 1e300;

/** A number, or for an account or a kept value its text, '' if there is none. */
export type StoredValue = number | string;

/**
 * Value plus quarantined sum of a row. They are added as BigInt, since a mapped column may hold more than
 * 2^53-1.
 * @throws AnswerMissingError if the database changed the requested key
 */
function exactSum({ name, value, quarantined, held }: Rows[number]): StoredValue {
  if (value === null) throw missing(String(name));
  const sum = Number(BigInt(value) + BigInt(quarantined));
  const balance = Number.isSafeInteger(sum) ? sum : OUT_OF_RANGE;
  return Number(held) === 0 ? balance : balanceText({ balance, held: Number(held) });
}

/** The one that is kept of the value in the database and those in quarantine. */
function exactlyKept(kind: ValueKind, row: Rows[number]): string {
  if (Number(row.isChanged) === 1) throw missing(String(row.name));
  const stored = row.value === null ? null : kept(row.value, row.version);
  const waiting = row.quarantined === null ? null : readKept(String(row.quarantined));
  if (!stored || !waiting) return stored || waiting ? keptText(kind, (stored ?? waiting)!) : '';
  return keptText(kind, keptOf(kind, stored, waiting));
}

function kept(value: unknown, version: unknown): KeptValue {
  const number = Number(value);
  return { value: Number.isSafeInteger(number) ? number : OUT_OF_RANGE, version: Number(version ?? 0) };
}

/**
 * The value of each key. The statement returns a row for every key. If one is missing, the database changed the key.
 * @throws AnswerMissingError
 */
export function storedValues(keys: readonly LiveKey[], rows: Rows): (readonly [LiveKey, StoredValue])[] {
  if (keys.length === 0) return [];
  const { kind } = keys[0]!;
  const read = (row: Rows[number]) => (isValueKind(kind) ? exactlyKept(kind, row) : exactSum(row));
  const values = new Map(rows.map(row => [itemOf(String(row.name), String(row.item_key)), read(row)]));
  return keys.map(key => {
    const value = values.get(itemOf(key.name, key.key));
    if (value === undefined) throw missing(key.name);
    return [key, value] as const;
  });
}

function missing(name: string): AnswerMissingError {
  return new AnswerMissingError(`the value of a key of ${name}`);
}
