/** What the scripts do with the board of the ranked name, one function per script. */
import type { Watermark } from '../../../src/shared/partition/watermark.ts';
import type { State } from '../redis.ts';
import { compare, missingOf } from '../shared-scripts.ts';
import { token, type World } from '../world.ts';
import type { Ranks } from './board.ts';

/** Whether the item belongs to the ranked name. */
export function isRanked({ ranked }: World, item: string): boolean {
  return ranked !== undefined && item.startsWith(ranked.prefix);
}

/** Whether the board is of the state's epoch. */
export function isReady({ redis: { data }, ranked }: World): boolean {
  const { ranks, state } = data;
  return ranks.phase === 'ready' && (ranks.epoch === state?.epoch || ranked!.bugs.oldBoard === true);
}

export function isExact(world: World): boolean {
  return (
    isReady(world) && (world.redis.data.ranks.noted.size === 0 || world.ranked!.bugs.notedExact === true)
  );
}

/** The part of apply.lua that goes with the change of what is pending. */
export function touch(world: World, item: string, amount: number, live: number | undefined): void {
  if (!isRanked(world, item)) return;
  const { bugs, apart } = world.ranked!;
  if (bugs.boardApart) apart.push(() => addScore(world, item, amount, live));
  else addScore(world, item, amount, live);
}

function addScore(world: World, item: string, amount: number, live: number | undefined): void {
  const { ranks, state } = world.redis.data;
  const { bugs } = world.ranked!;
  if (ranks.phase === 'none' || (ranks.epoch !== state!.epoch && !bugs.oldBoard)) return;
  const scores = ranks.phase === 'ready' ? ranks.board : ranks.next;
  const score = scores.get(item);
  if (bugs.liveToBoard) {
    if (live !== undefined) scores.set(item, live);
  } else if (score !== undefined) scores.set(item, score + amount);
  else {
    if (createsAbsent(world)) scores.set(item, amount);
    else if (!bugs.unnoted) note(world, item);
    // Whatever others had written before, the score must have it.
    ranks.seen.set(item, world.ranked!.written.get(item) ?? 0);
  }
}

/** Whether MySQL has nothing of a key that is neither on the board nor noted. */
function createsAbsent(world: World): boolean {
  const { phase } = world.redis.data.ranks;
  const { bugs, isMapped } = world.ranked!;
  return (phase === 'ready' || phase === 'close') && (!isMapped || bugs.mappedFromZero === true);
}

/** Notes a key whose score is unknown or wrong, so that it is loaded from MySQL. */
export function note(world: World, item: string): void {
  const { ranks, state } = world.redis.data;
  if (isRanked(world, item) && ranks.phase !== 'none' && ranks.epoch === state!.epoch) ranks.noted.add(item);
}

/** load.lua with `repair`: the value in MySQL is not what Redis has, since others have written it. */
export function repair(world: World, { watermark, rows: [row] }: Page): void {
  const { data } = world.redis;
  const { state, ranks } = data;
  const { item, value, writes } = row!;
  const { kind, bugs } = world.ranked!;
  const withFlight = state && fits(world, state, watermark);
  if (withFlight === undefined) return;
  data.liveYoung.delete(kind + item);
  data.liveOld.delete(kind + item);
  const score = value + missingOf(world, state!, kind, item, withFlight);
  if (isReady(world)) {
    ranks.seen.set(item, writes);
    if (bugs.repairUnnoted) return;
    ranks.board.set(item, score);
    ranks.noted.delete(item);
  } else if ((ranks.next.get(item) ?? score) !== score) {
    ranks.seen.set(item, writes);
    if (!bugs.repairUnnoted) note(world, item);
  }
}

/** A live value ends, and its score stays. */
export function endScores(world: World, fields: Iterable<string>): void {
  if (!world.ranked?.bugs.endsWithLive) return;
  for (const field of fields) world.redis.data.ranks.board.delete(field.slice(1));
}

/** @param again also if the board is ready */
export function begin(world: World, again = false): void {
  const { state, ranks } = world.redis.data;
  if (!state) return;
  const isNone = ranks.phase === 'none' || ranks.epoch !== state.epoch;
  if (!isNone && !(again && ranks.phase === 'ready')) return;
  const { epoch, pushed, entryNext, updates } = state;
  Object.assign(ranks, {
    phase: world.ranked!.bugs.noMark ? 'walk' : 'wait',
    epoch,
    build: token(world, 'r'),
    mark: { pushed, entryNext, updates },
    cursor: world.ranked!.order[0],
    left: 0,
    next: new Map(),
    noted: new Set(),
  });
}

export function drop(world: World): void {
  Object.assign(world.redis.data.ranks, {
    phase: 'none',
    board: new Map(),
    next: new Map(),
    noted: new Set(),
  });
}

function isWritten(world: World, state: State, { mark }: Ranks): boolean {
  const { bugs } = world.ranked!;
  if (bugs.markByUpdates) return state.claimed - state.flightUpdates >= mark.updates;
  if (bugs.markUnacked) return state.popped >= mark.pushed && state.entryClaimed >= mark.entryNext;
  const counters = state.token === '' ? state.popped : state.flightFrom;
  if (bugs.waitForAll) return counters === state.pushed && state.entryAcked === state.entryNext;
  return counters >= mark.pushed && state.entryAcked >= mark.entryNext;
}

/** Values of MySQL with the quarantined sums, and the watermark with which they were read. */
export interface Page {
  readonly watermark: Watermark;
  readonly rows: readonly Row[];
}

interface Row {
  readonly item: string;
  readonly value: number;
  /** For the checker: how often others had written it. */
  readonly writes: number;
}

/** Whether MySQL lacks the batch in flight; undefined if the page is not of the state's time. */
function fits(world: World, state: State, watermark: Watermark): boolean | undefined {
  const { bugs } = world.ranked!;
  if (state.epoch !== watermark.epoch) return undefined;
  if (bugs.noWatermark) return state.token !== '';
  const found = compare(world, state, watermark);
  return typeof found === 'string' ? undefined : found;
}

/** Where a build was when a page was read. */
export type Place = Pick<Ranks, 'phase' | 'epoch' | 'build' | 'cursor'>;

/** How far the build is; begins the walk once everything below the mark is acknowledged. */
export function lookAt(world: World) {
  const { state, ranks } = world.redis.data;
  if (!state) return undefined;
  const { bugs } = world.ranked!;
  const isKept = ranks.phase === 'ready' ? bugs.oldBoard : bugs.noEpoch;
  const isOver = ranks.epoch !== state.epoch && !isKept;
  if (ranks.phase === 'wait' && !isOver && isWritten(world, state, ranks)) ranks.phase = 'walk';
  const { phase, epoch, build, cursor } = ranks;
  const place: Place = { phase: isOver ? 'none' : phase, epoch, build, cursor };
  const { notes } = world.ranked!;
  const from = ranks.noted.size > notes ? world.choices.below(ranks.noted.size - notes) : 0;
  return { place, noted: [...ranks.noted].slice(from, from + notes) };
}

/** Where a walk goes on after a page: an empty one ends a part. */
export function after(world: World, place: Place, last: string | undefined): string {
  const { order } = world.ranked!;
  const part = place.cursor[0] as 'q' | 't';
  return last === undefined ? (order[order.indexOf(part) + 1] ?? '') : part + last;
}

/** Writes the scores of a page of the walk, and moves the cursor. */
export function writePage(world: World, place: Place, page: Page, cursor: string): 'ok' | 'again' | 'moved' {
  const { state, ranks } = world.redis.data;
  const withFlight = state && fits(world, state, page.watermark);
  if (withFlight === undefined) return 'again';
  if (!isAt(world, place)) return 'moved';
  for (const row of page.rows) setScore(world, ranks.next, row, withFlight);
  Object.assign(ranks, { phase: 'walk', cursor });
  if (cursor !== '') return 'ok';
  ranks.phase = 'close';
  ranks.left = ranks.noted.size;
  swapAtLast(world, ranks);
  return 'ok';
}

function isAt(world: World, place: Place): boolean {
  const { state, ranks } = world.redis.data;
  const { bugs } = world.ranked!;
  if (ranks.epoch !== place.epoch || (ranks.epoch !== state!.epoch && !bugs.noEpoch)) return false;
  if (bugs.noCursor) return true;
  if (ranks.phase !== 'walk' || (ranks.build !== place.build && !bugs.earlierBuild)) return false;
  return bugs.ownCursor || ranks.cursor === place.cursor;
}

/** Loads keys that are still noted, onto the board or onto the next one. */
export function loadNoted(world: World, page: Page): 'ok' | 'again' | 'moved' {
  const { state, ranks } = world.redis.data;
  const { bugs } = world.ranked!;
  const withFlight = state && fits(world, state, page.watermark);
  if (withFlight === undefined) return 'again';
  if (ranks.epoch !== state!.epoch && !bugs.noEpoch) return 'moved';
  if (ranks.phase !== 'close' && ranks.phase !== 'ready') return 'moved';
  const scores = ranks.phase === 'ready' ? ranks.board : ranks.next;
  for (const row of page.rows)
    if (ranks.noted.has(row.item) || bugs.goneNote) setScore(world, scores, row, withFlight);
  ranks.left = Math.max(0, ranks.left - page.rows.length);
  swapAtLast(world, ranks);
  return 'ok';
}

function setScore(world: World, scores: Map<string, number>, row: Row, withFlight: boolean): void {
  const { ranks, state } = world.redis.data;
  const { kind, bugs } = world.ranked!;
  const { item, value, writes } = row;
  if (!bugs.keptScore || !scores.has(item))
    scores.set(item, value + missingOf(world, state!, kind, item, withFlight));
  // A second note may be later than what was read before the first one was gone.
  if (ranks.noted.delete(item)) ranks.seen.set(item, writes);
}

/** The next board takes its place once the last noted key is tried. */
function swapAtLast(world: World, ranks: Ranks): void {
  const { bugs } = world.ranked!;
  if (ranks.phase !== 'close' || (ranks.noted.size > 0 && (ranks.left > 0 || bugs.swapWaits))) return;
  ranks.phase = 'ready';
  if (bugs.noEpoch) ranks.epoch = world.redis.data.state!.epoch;
  ranks.board = ranks.next;
  ranks.next = new Map();
  if (bugs.swapForgets) ranks.noted.clear();
}
