/** load.lua, adopt.lua, inspect.lua, read.lua and the flush job of BullMQ as steps of the model. */
import type { Watermark } from '../../src/shared/partition/watermark.ts';
import { endLive, findLive, type Job, NO_JOB, NO_SUM, type RedisData, type State, setLive } from './redis.ts';
import { limits, OUT_OF_MEMORY, type World } from './world.ts';

export interface ColdValue {
  readonly kind: 'c' | 'p';
  readonly item: string;
  /** Value in MySQL, with the quarantined sum. */
  readonly value: number;
}

export type LoadReply =
  | { status: 'ok'; value: number }
  | { status: 'absent' | 'epoch' }
  | { status: 'again'; why: 'behind' | 'ahead' | 'doubtful' };

export function load(world: World, watermark: Watermark, key: ColdValue): LoadReply {
  if (world.redis.full) throw OUT_OF_MEMORY;
  const data = world.redis.data;
  const { state } = data;
  if (!state) return { status: 'absent' };
  if (state.epoch !== watermark.epoch) return { status: 'epoch' };
  const withFlight = compare(world, state, watermark);
  if (typeof withFlight === 'string') return { status: 'again', why: withFlight };
  if (key.kind === 'p' && !world.bugs.doubtIgnored && isDoubtful(data, state, key.item, withFlight))
    return { status: 'again', why: 'doubtful' };
  const missing = missingOf(world, state, key.kind, key.item, withFlight);
  const expected = key.value + missing;
  const live = findLive(data, key.kind, key.item);
  if (live !== undefined) return { status: 'ok', value: live };
  setLive(data, key.kind, key.item, { value: expected, usedAt: world.now });
  world.checker.onLoaded(world, watermark, key.kind, key.item, expected);
  return { status: 'ok', value: expected };
}

/** Whether MySQL lacks the batch in flight, or why the watermark and the state do not fit. */
export function compare(world: World, state: State, watermark: Watermark): boolean | 'behind' | 'ahead' {
  const { sequence, token } = watermark;
  if (state.token !== '' && state.sequence === sequence + 1) return true;
  const isSame = state.token === '' || state.token === token || world.bugs.coldReadNumbers === true;
  if (state.sequence === sequence && isSame) return false;
  return state.sequence > sequence ? 'ahead' : 'behind';
}

/** The part of a value that MySQL lacks. */
export function missingOf(
  world: World,
  state: State,
  kind: 'c' | 'p',
  item: string,
  withFlight: boolean,
): number {
  return (kind === 'c' ? countersOf : entriesOf)(world, state, item, withFlight);
}

/** The part of a counter that MySQL lacks. */
function countersOf(world: World, state: State, item: string, withFlight: boolean): number {
  const data = world.redis.data;
  const pending = data.counters.get(item)?.sum ?? 0;
  const { sum, number } = data.segmentCounters.get(item) ?? NO_SUM;
  const inFlight = withFlight && number >= state.flightFrom && number < state.flightTo;
  return pending + (number >= state.popped || inFlight ? sum : 0);
}

/** Whether the account may have entries in Redis that MySQL has already. */
export function isDoubtful(data: RedisData, state: State, item: string, withFlight: boolean): boolean {
  const missing = withFlight ? state.entryAcked : state.entryClaimed;
  if (missing >= state.doubtful) return false;
  const isPending = data.accounts.has(item) && state.entrySegmentEnd < state.doubtful;
  return isPending || (data.segmentAccounts.get(item)?.number ?? -1) >= missing;
}

/** The part of an account that MySQL lacks: a whole segment, none, or the sum along the chain of entries. */
function entriesOf(world: World, state: State, item: string, withFlight: boolean): number {
  const data = world.redis.data;
  const pending = data.accounts.get(item)?.sum ?? 0;
  const missing = withFlight ? state.entryAcked : state.entryClaimed;
  if (missing >= state.entrySegmentEnd) return pending;
  const segment = data.segmentAccounts.get(item) ?? NO_SUM;
  if (missing <= state.entrySegmentStart || world.bugs.wholeSegment) return pending + segment.sum;
  let sum = pending;
  for (let { number } = segment; number >= missing; number = data.entries.get(number)!.previous)
    sum += data.entries.get(number)!.amount;
  return sum;
}

export function adopt(
  world: World,
  epochSeen: string,
  epoch: string,
  sequence: number,
  updates: number,
): boolean {
  const data = world.redis.data;
  if (data.state?.epoch === epoch && !world.bugs.liveKept) return true;
  if ((data.state?.epoch ?? '') !== epochSeen) return false;
  if (data.state?.epoch !== epoch && !world.bugs.epochOnly) endLive(data);
  if (!data.state) {
    data.state = {
      epoch,
      boards: '',
      sequence,
      token: '',
      updates,
      claimed: updates,
      pushed: 0,
      version: 0,
      popped: 0,
      poppedAcked: 0,
      entryNext: 1,
      entryClaimed: 1,
      entryAcked: 1,
      doubtful: 0,
      quarantined: 0,
      flightUpdates: 0,
      flightOldest: 0,
      pendingSince: 0,
      armedUntil: 0,
      flightFrom: 0,
      flightTo: 0,
      segment: '',
      segmentStart: 0,
      segmentEnd: 0,
      entrySegmentStart: 1,
      entrySegmentEnd: 1,
      run: '',
      incarnation: '',
      ended: `${epoch} ${updates} 0`,
      discarded: '',
      dropped: 0,
      rotated: 0,
    };
    return true;
  }
  data.state.epoch = epoch;
  if (data.state.token === '' && data.state.sequence < sequence) {
    data.state.sequence = sequence;
    data.state.doubtful = data.state.entryNext;
    world.checker.onNoticed();
  }
  return true;
}

/** Age of the oldest unacknowledged update, and what the sweep compares with the watermark. */
export function inspect(world: World) {
  const { state, order, segmentOrder, entries } = world.redis.data;
  if (!state) return undefined;
  const first = state.popped < state.segmentEnd ? segmentOrder[state.popped - state.segmentStart] : order[0];
  const times = [first?.time, entries.get(state.entryClaimed)?.time];
  if (!world.bugs.sweepPendingOnly && state.flightOldest > 0) times.push(state.flightOldest);
  const oldest = Math.min(...times.map(time => time ?? Infinity));
  const { epoch, sequence, token } = state;
  return { epoch, sequence, token, lagMs: oldest === Infinity ? 0 : world.now - oldest };
}

/** read.lua for one key: its live value, which becomes young. */
export function read(world: World, kind: 'c' | 'p', item: string): number | undefined {
  const data = world.redis.data;
  if (!data.state) return undefined;
  const value = findLive(data, kind, item);
  if (value === undefined) return undefined;
  const live = { value, usedAt: world.now };
  if (world.bugs.readCopies) data.liveYoung.set(kind + item, live);
  else setLive(data, kind, item, live);
  return value;
}

/** Adds the partition's job after a delay; an active job keeps it for later, a waiting one replaces it. */
export function addJob(world: World, delay: number, giver = ''): void {
  if (world.redis.full) throw OUT_OF_MEMORY;
  const data = world.redis.data;
  const due = world.now + delay;
  if (data.job.holder !== '') data.job = { ...data.job, again: due };
  else if (data.job.due === undefined) data.job = { ...NO_JOB, due, giver };
}

/** Gives a due job to a worker, or a job whose holder has stalled. */
export function takeJob(world: World, holder: string): Job | undefined {
  const data = world.redis.data;
  const { job } = data;
  const stalled = job.holder !== '' && job.lockedUntil < world.now;
  if (!stalled && (job.holder !== '' || job.due === undefined || job.due > world.now)) return undefined;
  data.job = { ...job, due: undefined, holder, lockedUntil: world.now + limits.jobLockMs };
  return data.job;
}

/** Ends the job, or puts it back for later; does nothing if the holder has lost the job. */
export function endJob(world: World, holder: string, retryIn: number | undefined, usedUp: boolean): void {
  const data = world.redis.data;
  const { job } = data;
  if (job.holder !== holder) return;
  const attempts = job.attempts + (usedUp ? 1 : 0);
  const failed = attempts >= limits.attempts;
  if (retryIn === undefined || failed)
    data.job = job.again === undefined ? NO_JOB : { ...NO_JOB, due: job.again };
  else data.job = { ...NO_JOB, due: world.now + retryIn, giver: holder, attempts };
}

/** A killed process loses the wake-up that it was about to add. */
export function loseWakeUp(world: World, giver: string): void {
  const { data } = world.redis;
  const { due = 0, giver: from, holder } = data.job;
  if (from === giver && holder === '' && due > world.now) data.job = NO_JOB;
}
