/** How the updates of a torture look in requests to the HTTP API, and which of them take the id of their request. */
import type { SummedUpdate } from '../../src/shared/updates/update.ts';
import type { Update } from './traffic.ts';

/** Values and ends of holds have none, and a hold keeps its own, which its ends name. */
function takesId(update: Update): update is SummedUpdate {
  return !('value' in update || 'hold' in update || isEnd(update));
}

export function isEnd(update: Update): update is Extract<Update, { post: string } | { void: string }> {
  return 'post' in update || 'void' in update;
}

export function withId(update: Update, id: string): Update {
  return takesId(update) ? { ...update, id } : update;
}

export function withoutId(update: Update) {
  if (!takesId(update)) return update;
  const { id: _, ...rest } = update;
  return rest;
}

/** Whether the greatest or the least put is kept. */
export function isBest(update: Update): boolean {
  return 'value' in update && (update.value === 'best' || update.value === 'least');
}

/** The request for one update. The id is in a header; an end names its hold. */
export function singleOf(update: Update): { path: string; body: unknown } {
  if ('value' in update) {
    const { value, ...body } = update;
    return { path: `/v1/values/${value}`, body };
  }
  if ('counter' in update) {
    const { counter, key, by } = update;
    return { path: `/v1/counters/${counter}`, body: { key, by } };
  }
  if ('hold' in update) {
    const { points, id: _, hold: amount, ...body } = update;
    return { path: `/v1/points/${points}/holds`, body: { ...body, amount } };
  }
  if ('post' in update) {
    const { points, post: hold, ...body } = update;
    return { path: `/v1/points/${points}/holds/post`, body: { ...body, hold } };
  }
  if ('void' in update) {
    const { points, void: hold, ...body } = update;
    return { path: `/v1/points/${points}/holds/void`, body: { ...body, hold } };
  }
  const { points, id: _, ...body } = update;
  return { path: `/v1/points/${points}/${'from' in update ? 'transfers' : 'entries'}`, body };
}
