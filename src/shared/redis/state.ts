/** Reads a partition's state by the names of its fields. */

import type { Kind } from '../item.ts';
import type { RedisConnection } from './connections.ts';
import type { Keys } from './keys.ts';
import { type State, type StateField, stateFields } from './layout.ts';

/** An absent field is 0 or ''. If the epoch is '', there is no state. */
export async function readState<Field extends StateField>(
  redis: RedisConnection,
  keys: Keys,
  partition: number,
  fields: readonly Field[],
): Promise<Pick<State, Field>> {
  const values = await redis.hmget(keys.state(partition), ...fields);
  const read = (field: Field, at: number) =>
    stateFields[field].type === 'number' ? Number(values[at] ?? 0) : (values[at] ?? '');
  return Object.fromEntries(fields.map((field, at) => [field, read(field, at)])) as Pick<State, Field>;
}

/** An ended incarnation of Redis, with the numbers of its updates that were kept and that are lost. */
interface EndedIncarnation {
  incarnation: string;
  kept: number;
  lost: number;
}

/** @param ended the field `ended` of the state */
export function parseEnded(ended: string): EndedIncarnation[] {
  return [...ended.matchAll(/(\S+) (\S+) (\S+)/g)].map(([, incarnation, kept, lost]) => ({
    incarnation: incarnation!,
    kept: Number(kept),
    lost: Number(lost),
  }));
}

/** @param boards the field `boards` of the state */
export function parseBoards(
  boards: string,
): { board: string; kind: Kind; name: string; phase: string; epoch: string }[] {
  return [...boards.matchAll(/(\S+) (\S+) (\S+) (\S+) (\S+)/g)].map(([, board, phase, , , epoch]) => {
    return { board: board!, kind: board![0] as Kind, name: board!.slice(1), phase: phase!, epoch: epoch! };
  });
}
