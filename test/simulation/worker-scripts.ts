/** claim.lua, ack.lua, rewind.lua and trim.lua as steps of the model: one function for each script. */
import { type Entry, liveKey, NO_SUM, type Order, type RedisData, type Sum } from './redis.ts';
import { limits, type World } from './world.ts';

/** What `claim` answers. */
export interface Batch {
  readonly sequence: number;
  readonly token: string;
  readonly epoch: string;
  readonly counters: readonly (Sum & { readonly item: string })[];
  readonly entries: readonly Entry[];
  readonly reclaimed: boolean;
  readonly updates: number;
  /** Updates claimed so far, this batch included. */
  readonly claimed: number;
}

export function claim(world: World, newToken: string): Batch | undefined {
  const data = world.redis.data;
  const { state } = data;
  if (!state) return undefined;
  if (!world.bugs.lostWakeUp) data.armedUntil = 0;
  if (state.token !== '') return batchInFlight(data, true);
  const order = data.order.slice(0, limits.batchKeys);
  const stop = Math.min(state.entryNext, state.entryClaimed + limits.batchEntries);
  const entries = entriesBetween(data, state.entryClaimed, stop);
  if (order.length === 0 && entries.length === 0) return undefined;
  const total = takeCounters(data, order) + entries.length;
  takeAccounts(data, entries);
  state.sequence++;
  state.token = newToken;
  state.claimed += total;
  state.popped += order.length;
  state.entryClaimed = stop;
  state.flightUpdates = total;
  state.flightOldest = Math.min(order[0]?.time ?? Infinity, entries[0]?.time ?? Infinity);
  const batch = batchInFlight(data, false);
  for (const { uids } of batch.counters) world.checker.onTaken(data, uids);
  world.checker.onTaken(
    data,
    batch.entries.map(entry => entry.uid),
  );
  return batch;
}

function batchInFlight(data: RedisData, reclaimed: boolean): Batch {
  const { sequence, token, epoch, entryAcked, entryClaimed, flightUpdates, claimed } = data.state!;
  const counters = [...data.flightCounters].map(([item, sum]) => ({ item, ...sum }));
  counters.sort((a, b) => (a.item < b.item ? -1 : 1));
  const entries = entriesBetween(data, entryAcked, entryClaimed);
  return { sequence, token, epoch, counters, entries, reclaimed, updates: flightUpdates, claimed };
}

export function entriesBetween(data: RedisData, from: number, to: number): Entry[] {
  const found: Entry[] = [];
  for (let number = from; number < to; number++) {
    const entry = data.entries.get(number);
    if (entry) found.push(entry);
  }
  return found;
}

function takeCounters(data: RedisData, order: readonly Order[]): number {
  let updates = 0;
  for (const { item } of order) {
    const sum = data.counters.get(item)!;
    data.flightCounters.set(item, sum);
    data.counters.delete(item);
    updates += sum.count;
  }
  data.flightOrder = order.slice();
  data.order = data.order.slice(order.length);
  return updates;
}

/** Entries stay where they are; only the sums that a cold read needs move. */
function takeAccounts(data: RedisData, entries: readonly Entry[]): void {
  for (const { item, amount, uid } of entries) {
    const { sum, count, uids } = data.accounts.get(item)!;
    const taken = data.flightAccounts.get(item) ?? NO_SUM;
    data.flightAccounts.set(item, {
      sum: taken.sum + amount,
      count: taken.count + 1,
      uids: [...taken.uids, uid],
    });
    if (count === 1) data.accounts.delete(item);
    else data.accounts.set(item, { sum: sum - amount, count: count - 1, uids: uids.filter(u => u !== uid) });
  }
}

export interface AckReply {
  readonly acknowledged: boolean;
  readonly pendingItems: number;
}

/** @param late items whose live value is wrong, with the amount that it is wrong by (read by a bug only) */
export function ack(
  world: World,
  token: string,
  quarantined: number,
  late: readonly { item: string; amount: number }[],
): AckReply {
  const data = world.redis.data;
  const { state } = data;
  if (!state || state.token !== token) return { acknowledged: false, pendingItems: 0 };
  if (state.entryClaimed > state.entryAcked) {
    for (let number = state.entryAcked; number < state.entryClaimed; number++) data.entries.delete(number);
    data.idMarks.push({ expires: world.now + limits.idempotencyWindowMs, upTo: state.entryClaimed });
  }
  data.flightCounters = new Map();
  data.flightOrder = [];
  data.flightAccounts = new Map();
  for (const { item, amount } of late) {
    const key = liveKey('p', state.epoch, item);
    const live = data.live.get(key);
    if (!world.bugs.lateArithmetic) data.live.delete(key);
    else if (live) data.live.set(key, { ...live, value: live.value - amount });
  }
  state.token = '';
  state.entryAcked = state.entryClaimed;
  state.poppedAcked = state.popped;
  state.flightUpdates = 0;
  state.flightOldest = 0;
  state.quarantined += quarantined;
  return {
    acknowledged: true,
    pendingItems: data.order.length + state.entryNext - state.entryClaimed,
  };
}

export function rewind(world: World, token: string, seen: number, sequence: number, epoch: string): boolean {
  const { state } = world.redis.data;
  if (!state || state.token !== token) return false;
  if (state.epoch === epoch) return true;
  if (state.sequence !== seen) return false;
  state.sequence = sequence;
  state.epoch = epoch;
  return true;
}

/** Forgets ids whose window has ended. */
export function trim(world: World): number {
  const data = world.redis.data;
  const { state } = data;
  let forgotten = 0;
  const forget = (name: string) => {
    data.ids.delete(name);
    forgotten++;
  };
  while (data.counterIds.length > 0 && data.counterIds[0]!.expires <= world.now)
    forget(data.counterIds.shift()!.name);
  if (!state) return forgotten;
  const first = state.entryNext - data.entryIds.length;
  let last = first;
  while (data.idMarks.length > 0 && data.idMarks[0]!.expires <= world.now) last = data.idMarks.shift()!.upTo;
  last = Math.max(last, Math.min(state.entryNext - limits.idempotencyLimit, state.entryAcked));
  for (const name of data.entryIds.splice(0, Math.max(0, last - first))) forget(name);
  return forgotten;
}
