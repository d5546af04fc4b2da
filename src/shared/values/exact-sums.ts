/** What the statement of a cold read returned: values plus quarantined sums. */
import { AnswerMissingError } from '../errors.ts';
import { itemOf } from '../item.ts';
import type { Rows } from '../mysql/database.ts';
import type { LiveKey } from '../redis/live-keys.ts';

/** Replaces a sum beyond 2^53-1: no updates in Redis bring it back into range, so the script refuses it. */
const OUT_OF_RANGE = 1e300;

/**
 * Value plus quarantined sum of a row. They are added as BigInt, since a mapped column may hold more than
 * 2^53-1.
 * @throws AnswerMissingError if the database changed the requested key
 */
function exactSum({ name, value, quarantined }: Rows[number]): number {
  if (value === null) throw missing(String(name));
  const sum = Number(BigInt(value) + BigInt(quarantined));
  return Number.isSafeInteger(sum) ? sum : OUT_OF_RANGE;
}

/**
 * The sum of each key. The statement returns a row for every key. If one is missing, the database changed the key.
 * @throws AnswerMissingError
 */
export function exactSums(keys: readonly LiveKey[], rows: Rows): (readonly [LiveKey, number])[] {
  if (keys.length === 0) return [];
  const values = new Map(rows.map(row => [itemOf(String(row.name), String(row.item_key)), exactSum(row)]));
  return keys.map(key => {
    const value = values.get(itemOf(key.name, key.key));
    if (value === undefined) throw missing(key.name);
    return [key, value] as const;
  });
}

function missing(name: string): AnswerMissingError {
  return new AnswerMissingError(`the value of a key of ${name}`);
}
