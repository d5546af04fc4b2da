/** claim.lua, ack.lua, rewind.lua, trim.lua and rotate.lua as steps of the model, one function per script. */
import { trimCounterIds } from './counter-ids.ts';
import { endScores, note } from './ranks/scripts.ts';
import { type Entry, endLive, type RedisData, type State, type Sum } from './redis.ts';
import { limits, type World } from './world.ts';

/** The answer of `claim`. */
export interface Batch {
  readonly sequence: number;
  readonly token: string;
  readonly epoch: string;
  readonly counters: readonly (Sum & { readonly item: string })[];
  readonly entries: readonly Entry[];
  readonly reclaimed: boolean;
  readonly updates: number;
  /** Updates claimed so far, including this batch. */
  readonly claimed: number;
  /** Number of claimed updates that recoveries discarded. */
  readonly dropped: number;
  /** Counter keys claimed so far. */
  readonly popped: number;
  /** More updates are pending beyond this batch's segment. */
  readonly more: boolean;
}

/** The pages of a batch that a caller of `claim` has so far. */
export interface Before {
  readonly cursor: string;
  readonly counters: readonly (Sum & { readonly item: string })[];
  readonly entries: readonly Entry[];
  /** Counters and entries before the next page. */
  readonly keysBefore: number;
  readonly entriesBefore: number;
  /** Taken from the first page. */
  readonly more: boolean;
}

const NOTHING = { cursor: '', counters: [], entries: [], keysBefore: 0, entriesBefore: 0 };

/**
 * Returns a page of the oldest pending updates or of the batch in flight; the last page returns the whole
 * batch.
 * @param random the caller's part of a new token
 */
export function claim(world: World, random: string, before?: Before): Before | Batch | undefined {
  const data = world.redis.data;
  const { state } = data;
  if (!state) return undefined;
  if (!world.bugs.lostWakeUp) state.armedUntil = 0;
  const newToken = world.bugs.oldToken ? random : `${random}.${++world.redis.time}`;
  const reclaimed = state.token !== '';
  if (!reclaimed) cutSegments(data, state, newToken);
  const [from, to, entryFrom, entryTo] = reclaimed
    ? [state.flightFrom, state.flightTo, state.entryAcked, state.entryClaimed]
    : [
        state.popped,
        Math.max(state.popped, Math.min(state.segmentEnd, state.popped + limits.batchKeys)),
        state.entryClaimed,
        Math.max(
          state.entryClaimed,
          Math.min(state.entrySegmentEnd, state.entryClaimed + limits.batchEntries),
        ),
      ];
  if (from === to && entryFrom === entryTo && !reclaimed) return undefined;
  const cursor = [state.epoch, state.sequence, state.token, state.segment, from, entryFrom].join(' ');
  const goesOn = before && (world.bugs.pagesUnmarked || before.cursor === cursor);
  const more = state.pushed > state.segmentEnd || state.entryNext > state.entrySegmentEnd;
  const start = goesOn ? before : { ...NOTHING, more };
  const at = from - state.segmentStart + start.keysBefore;
  // A page is limited by its number of items, and possibly earlier by its bytes.
  const fits = 1 + world.random.below(limits.page);
  const room = Math.max(0, Math.min(limits.page, to - from - start.keysBefore));
  const order = data.segmentOrder.slice(at, at + Math.min(fits, room));
  const counters = [
    ...start.counters,
    ...order.map(({ item }) => ({ item, ...data.segmentCounters.get(item)! })),
  ];
  const gone = from < state.segmentEnd ? Math.min(limits.page, from - state.segmentStart) : 0;
  for (const { item } of data.segmentOrder.slice(0, gone)) data.segmentCounters.delete(item);
  data.segmentOrder = data.segmentOrder.slice(gone);
  state.segmentStart += gone;
  const next = entryFrom + start.entriesBefore;
  const isBehindKeys = start.keysBefore + order.length >= to - from;
  const stop = isBehindKeys ? Math.max(next, Math.min(entryTo, next + fits - order.length)) : next;
  const entries = [...start.entries, ...entriesBetween(data, next, stop)];
  const [keysAsked, entriesAsked] = world.bugs.cutPages
    ? [room, Math.max(0, Math.min(entryTo - next, limits.page - room))]
    : [order.length, stop - next];
  const keysBefore = start.keysBefore + keysAsked;
  const entriesBefore = start.entriesBefore + entriesAsked;
  if (keysBefore < to - from || entriesBefore < entryTo - entryFrom)
    return { cursor, counters, entries, keysBefore, entriesBefore, more: start.more };

  if (!reclaimed) {
    state.flightOldest = Math.min(
      to > from ? data.segmentOrder[from - state.segmentStart]!.time : Infinity,
      entries[0]?.time ?? Infinity,
    );
    state.flightUpdates = counters.reduce((sum, { count }) => sum + count, entries.length);
    Object.assign(state, { flightFrom: from, flightTo: to, popped: to, entryClaimed: entryTo });
    state.sequence++;
    state.token = newToken;
    state.claimed += state.flightUpdates;
    for (const { uids } of counters) world.checker.onTaken(data, uids);
    world.checker.onTaken(
      data,
      entries.flatMap(({ uid }) => (uid < 0 ? [] : uid)),
    );
  }
  counters.sort((a, b) => (a.item < b.item ? -1 : 1));
  const { sequence, token, epoch, flightUpdates, flightTo, claimed, dropped } = state;
  const batch = { sequence, token, epoch, counters, entries, reclaimed, claimed, dropped };
  return { ...batch, updates: flightUpdates, popped: flightTo, more: start.more };
}

/** Pending updates become a segment if the one before is used up. */
function cutSegments(data: RedisData, state: State, name: string): void {
  const cutsCounters = state.popped >= state.segmentEnd && state.pushed > state.popped;
  const cutsEntries = state.entryClaimed >= state.entrySegmentEnd && state.entryNext > state.entryClaimed;
  if (cutsCounters) {
    data.segmentCounters = data.counters;
    data.segmentOrder = data.order;
    data.counters = new Map();
    data.order = [];
    state.segmentStart = state.popped;
    state.segmentEnd = state.pushed;
  }
  if (cutsEntries) {
    data.segmentAccounts = data.accounts;
    data.accounts = new Map();
    state.entrySegmentStart = state.entryClaimed;
    state.entrySegmentEnd = state.entryNext;
  }
  if (cutsCounters || cutsEntries) state.segment = name;
}

export function entriesBetween(data: RedisData, from: number, to: number): Entry[] {
  const found: Entry[] = [];
  for (let number = from; number < to; number++) {
    const entry = data.entries.get(number);
    if (entry) found.push(entry);
  }
  return found;
}

export interface AckReply {
  readonly acknowledged: boolean;
  readonly pendingItems: number;
}

/** @param late items whose live value is wrong, with the difference (only a bug reads it) */
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
  if (state.popped >= state.segmentEnd) {
    data.segmentCounters = new Map();
    data.segmentOrder = [];
  }
  if (state.entryClaimed >= state.entrySegmentEnd) data.segmentAccounts = new Map();
  for (const { item, amount } of late) {
    if (!world.ranked?.bugs.ackUnnoted) note(world, item);
    const hashes = world.bugs.ackYoung ? [data.liveYoung] : [data.liveYoung, data.liveOld];
    for (const hash of hashes) {
      const live = hash.get(`p${item}`);
      if (!world.bugs.lateArithmetic) hash.delete(`p${item}`);
      else if (live) hash.set(`p${item}`, { ...live, value: live.value - amount });
    }
  }
  state.token = '';
  state.entryAcked = state.entryClaimed;
  state.poppedAcked = state.popped;
  state.flightUpdates = 0;
  state.flightOldest = 0;
  state.quarantined += quarantined;
  return {
    acknowledged: true,
    pendingItems: state.pushed - state.popped + state.entryNext - state.entryClaimed,
  };
}

export function rewind(world: World, token: string, seen: number, sequence: number, epoch: string): boolean {
  const { state } = world.redis.data;
  if (!state || state.token !== token) return false;
  if (state.epoch === epoch && !world.bugs.liveKept) return true;
  if (state.sequence !== seen) return false;
  if (sequence !== state.sequence) {
    state.doubtful = state.entryNext;
    world.checker.onNoticed();
  }
  state.sequence = sequence;
  if (world.bugs.liveKept) return true;
  state.epoch = epoch;
  if (!world.bugs.epochOnly) endLive(world.redis.data);
  return true;
}

/** Ends the live values that nobody used since the last rotation. */
export function rotate(world: World): void {
  const { data } = world.redis;
  const { state } = data;
  if (!state) return;
  const isFirst = state.rotated === 0;
  if (!isFirst && world.now < state.rotated + world.liveTtlMs) return;
  state.rotated = world.now;
  if (isFirst) return;
  endScores(world, data.liveOld.keys());
  world.checker.onEnded(world, world.bugs.youngEnds ? data.liveYoung : data.liveOld);
  data.liveOld = world.bugs.youngEnds ? data.liveOld : data.liveYoung;
  data.liveYoung = new Map();
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
  trimCounterIds(world);
  if (!state) return forgotten;
  const first = state.entryNext - data.entryIds.length;
  let last = first;
  while (data.idMarks.length > 0 && data.idMarks[0]!.expires <= world.now) last = data.idMarks.shift()!.upTo;
  last = Math.max(last, Math.min(state.entryNext - limits.idempotencyLimit, state.entryAcked));
  for (const name of data.entryIds.splice(0, Math.max(0, last - first))) forget(name);
  return forgotten;
}
