/** What requests of many updates share: ids by number, names that a key may use, results as answers. */
import type { ApplyResult } from '../producer/callers.ts';
import { takesId, type Update } from '../shared/updates/update.ts';
import type { Access } from './access.ts';
import { type Told, toldOf } from './problem.ts';
import type { UpdateBody } from './schemas.ts';

/** @throws RequestError if the key may not use the counter, program or value */
export function checkNames(access: Access, update: UpdateBody): void {
  const { counters, programs, values } = access.key;
  if (counters === undefined && programs === undefined && values === undefined) return;
  if ('value' in update) access.checkName('value', update.value);
  else if ('points' in update) access.checkName('program', update.points);
  else access.checkName('counter', update.counter);
}

export function withId(update: UpdateBody, id: string): Update {
  if (!takesId(update)) return update as Update;
  return ((update as { id?: string }).id === undefined ? { ...update, id } : update) as Update;
}

export type State = 'accepted' | 'persisted' | 'quarantined' | 'superseded' | 'unknown';

export type ShownResult =
  | { readonly error: Told }
  | {
      readonly value: number | null;
      /** Only after a hold, a post or a void. */
      readonly held?: number;
      readonly duplicate: boolean;
      readonly state: State;
    };

export function shownResult(result: ApplyResult, state: State = 'accepted'): ShownResult {
  if (!result.ok) return { error: toldOf(result.error) };
  const { value, held, duplicate } = result;
  return { value, ...(held === undefined ? {} : { held }), duplicate, state };
}
