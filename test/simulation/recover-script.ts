/**
 * recover.lua as one step of the model: what it reads of the partition, and what it removes, page by page.
 */
import type { RedisSide } from '../../src/recovery/evidence.ts';
import { endLive, type Order, type RedisData, type State, type Sum } from './redis.ts';
import type { World } from './world.ts';

interface Seen {
  readonly epoch: string;
  readonly sequence: number;
  readonly token: string;
}

export interface RecoverMove extends Seen {
  readonly discards: boolean;
  readonly forgetsIds: boolean;
}

export type RecoverCall = { readonly cutoff: number; readonly most: number } & (
  | { readonly action: 'look'; readonly from: number }
  | { readonly action: 'discard' | 'forget'; readonly seen: Seen; readonly declared: number }
  | { readonly action: 'move'; readonly seen: Seen; readonly declared: number; readonly move: RecoverMove }
);

export interface RecoverReply {
  readonly matches: boolean;
  readonly side: RedisSide;
  /** Number of ids of acknowledged entries in Redis. */
  readonly ids: number;
  /** Old updates in the batch in flight; `updates` and `keys` are the pending ones that this call handled. */
  readonly inFlight: number;
  readonly updates: number;
  readonly keys: number;
  /** Updates discarded so far. */
  readonly discarded: number;
}

export function recover(world: World, call: RecoverCall): RecoverReply | undefined {
  const { data } = world.redis;
  const { state } = data;
  if (!state) return undefined;
  const repeated = call.action === 'move' && state.epoch === call.move.epoch && !world.bugs.oldEpoch;
  const matches =
    call.action === 'look' ||
    repeated ||
    (isSame(state, call.seen, world) && (world.bugs.discardUndeclared || isDeclared(data, state, call)));
  let [updates, keys] = [0, 0];
  let discarded = discardedBefore(state);
  if (call.action === 'look') [updates, keys] = look(data, state, call.from, call);
  else if (matches && !repeated) {
    if (call.action === 'forget') forget(data, state, call.most);
    if (call.action === 'discard') [updates, keys] = discard(world, state, call.cutoff, call.most);
    discarded = discardedBefore(state);
    if (call.action === 'move') {
      if (call.move.discards) {
        [updates, keys] = discard(world, state, call.cutoff, Infinity);
        discarded = discardedBefore(state);
        if (!world.bugs.flightKept) discarded += discardInFlight(world, state, call.cutoff);
      }
      if (call.move.forgetsIds) {
        forget(data, state, Infinity);
        data.idMarks = [];
      }
      const { epoch, sequence, token } = call.move;
      if (sequence !== state.sequence) state.doubtful = state.entryNext;
      if (epoch !== state.epoch && !world.bugs.epochOnly) endLive(data);
      Object.assign(state, { epoch, sequence, token, discarded: '' });
      world.checker.onRecovered();
    }
  }
  const inFlight = oldInFlight(data, state, call.cutoff).updates;
  return { matches, side: sideOf(state), ids: ids(data, state), inFlight, updates, keys, discarded };
}

function isSame(state: State, { epoch, sequence, token }: Seen, { bugs }: World): boolean {
  if (bugs.recoveryBlind) return state.epoch === epoch;
  return state.epoch === epoch && state.sequence === sequence && state.token === token;
}

/** Whether the call would discard no more than is declared. */
function isDeclared(data: RedisData, state: State, call: Exclude<RecoverCall, { action: 'look' }>): boolean {
  if (call.action === 'forget' || (call.action === 'move' && !call.move.discards)) return true;
  const most = call.action === 'move' ? Infinity : call.most;
  const [updates] = look(data, state, 0, { cutoff: call.cutoff, most });
  return discardedBefore(state) + updates + oldInFlight(data, state, call.cutoff).updates <= call.declared;
}

function sideOf(state: State): RedisSide {
  const { epoch, sequence, token, updates, claimed, dropped, flightUpdates } = state;
  const { pushed, popped, entryNext, entryClaimed } = state;
  const counts = { pendingKeys: pushed - popped, pendingEntries: entryNext - entryClaimed };
  return { epoch, sequence, token, updates, claimed, dropped, inFlight: flightUpdates, ...counts };
}

/** Updates that an interrupted run discarded; 0 if the epoch has changed since. */
function discardedBefore({ discarded, epoch }: State): number {
  const [of, count] = discarded.split(' ');
  return of === epoch ? Number(count) : 0;
}

interface Old {
  readonly items: string[];
  readonly sums: Sum[];
  readonly updates: number;
}

/** The counters that became pending until `cutoff`; they are the first ones of `order`. */
function old(hash: Map<string, Sum>, order: readonly Order[], cutoff: number): Old {
  const end = order.findIndex(({ time }) => time > cutoff);
  const items = order.slice(0, end < 0 ? order.length : end).map(({ item }) => item);
  const sums = items.map(item => hash.get(item)!);
  return { items, sums, updates: sums.reduce((sum, { count }) => sum + count, 0) };
}

function between(data: RedisData, state: State, from: number, to: number): Order[] {
  return data.segmentOrder.slice(from - state.segmentStart, to - state.segmentStart);
}

function pending(data: RedisData, state: State, number: number, limit: number) {
  if (number < state.segmentEnd)
    return {
      hash: data.segmentCounters,
      order: between(data, state, number, Math.min(state.segmentEnd, number + limit)),
    };
  const at = number - Math.max(state.popped, state.segmentEnd);
  return { hash: data.counters, order: data.order.slice(at, at + limit) };
}

function look(
  data: RedisData,
  state: State,
  from: number,
  { cutoff, most }: { cutoff: number; most: number },
): [updates: number, keys: number] {
  let [updates, keys] = [0, 0];
  for (;;) {
    const { hash, order } = pending(data, state, state.popped + from + keys, most - keys);
    const found = old(hash, order, cutoff);
    updates += found.updates;
    keys += found.items.length;
    if (found.items.length === 0 || keys >= most) return [updates, keys];
  }
}

/** Old counters of the batch in flight, which are its first ones. */
function oldInFlight(data: RedisData, state: State, cutoff: number): Old {
  const none = { items: [], sums: [], updates: 0 };
  if (state.token === '') return none;
  return old(data.segmentCounters, between(data, state, state.flightFrom, state.flightTo), cutoff);
}

function discard(world: World, state: State, cutoff: number, limit: number): [updates: number, keys: number] {
  const { data } = world.redis;
  let [updates, keys] = [0, 0];
  for (;;) {
    const { hash, order } = pending(data, state, state.popped, limit - keys);
    const found = old(hash, order, cutoff);
    if (hash === data.counters && found.items.length > 0) {
      data.order = data.order.slice(found.items.length);
      for (const item of found.items) data.counters.delete(item);
    }
    for (const { uids } of found.sums) world.checker.restores.onDiscarded(uids);
    updates += found.updates;
    keys += found.items.length;
    state.popped += found.items.length;
    if (found.items.length === 0 || keys >= limit) break;
  }
  if (state.token === '' && state.popped >= state.segmentEnd) {
    data.segmentCounters = new Map();
    data.segmentOrder = [];
  }
  state.claimed += updates;
  state.dropped += updates;
  state.discarded = `${state.epoch} ${discardedBefore(state) + updates}`;
  return [updates, keys];
}

function discardInFlight(world: World, state: State, cutoff: number): number {
  const { items, sums, updates } = oldInFlight(world.redis.data, state, cutoff);
  for (const { uids } of sums) world.checker.restores.onDiscarded(uids);
  state.flightUpdates -= updates;
  state.dropped += updates;
  state.flightFrom += items.length;
  return updates;
}

function ids({ entryIds }: RedisData, { entryNext, entryAcked }: State): number {
  return entryIds.length - (entryNext - entryAcked);
}

/** Forgets ids of acknowledged entries: the ledger knows those that it has, the others may be sent again. */
function forget(data: RedisData, state: State, limit: number): void {
  for (const name of data.entryIds.splice(0, Math.max(0, Math.min(ids(data, state), limit))))
    data.ids.delete(name);
}
