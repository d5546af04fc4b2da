/**
 * What Redis holds for one partition. Names are those of the keys and of the fields of `state`. Sums and
 * entries are immutable, so a copy of the maps is a copy of everything.
 *
 * `uids` and `uid` are for the checker: the updates in a sum. No decision of the protocol reads them.
 */
import type { State as LayoutState, PartitionKey } from '../../src/shared/redis/layout.ts';
import { noCounterIds } from './counter-ids.ts';
import { copyRanks, noRanks, type Ranks } from './ranks/board.ts';
import { MOST_UPDATES } from './world.ts';

export interface Sum {
  readonly sum: number;
  readonly count: number;
  /** A counter's number since it became pending; an account's number of its newest entry. */
  readonly number: number;
  readonly uids: readonly number[];
}

export interface Entry {
  readonly number: number;
  /** Number of the account's entry before this one; 0 if unknown. */
  readonly previous: number;
  readonly time: number;
  readonly item: string;
  readonly amount: number;
  readonly id: string;
  /** -1 for an amendment. */
  readonly uid: number;
  /** The quarantined row that the amendment drops, and its operation. */
  readonly drops?: Drop | undefined;
}

export interface Drop {
  readonly row: number;
  readonly operation: number;
}

export interface Order {
  readonly time: number;
  readonly item: string;
}

export interface Live {
  readonly value: number;
  /** For the checker: time of the last use. */
  readonly usedAt: number;
}

/** Fields without which the model decides the same are left out. */
export type State = Omit<Writable<LayoutState>, 'deployment' | 'claims' | 'barriers'>;
type Writable<Type> = { -readonly [Name in keyof Type]: Type[Name] };

/** The partition's flush job, as BullMQ keeps it. */
export interface Job {
  /** When a worker may take it; undefined if no job waits. */
  readonly due: number | undefined;
  /** Process that will add the job at that time, and loses the wake-up if it dies before. */
  readonly giver: string;
  readonly holder: string;
  readonly lockedUntil: number;
  /** Set if the job was added while it was active: the next job then (`keepLastIfActive`). */
  readonly again: number | undefined;
  readonly attempts: number;
}

export const NO_JOB: Job = {
  due: undefined,
  giver: '',
  holder: '',
  lockedUntil: 0,
  again: undefined,
  attempts: 0,
};

/** `segment:counters` is `segmentCounters`; of the lease, only its end is modelled. */
type Modelled<Key> = Key extends `${infer Head}:${infer Tail}` ? `${Head}${Capitalize<Tail>}` : Key;

/** The head of the ids of counters, and their buckets: each has its ids, the oldest first. */
export interface CounterIds {
  buckets: Map<number, readonly CounterId[]>;
  count: number;
  first: number;
  last: number;
  kept: number;
  stored: number;
  open: number;
  expires: number;
  cursor: number;
}

export interface CounterId {
  readonly digest: string;
  readonly slice: number;
  readonly answer: string;
}

export interface RedisData
  extends Record<Modelled<Exclude<PartitionKey, 'armed' | 'traces' | 'ranksBuild'>>, unknown> {
  state: State | undefined;
  counters: Map<string, Sum>;
  accounts: Map<string, Sum>;
  order: Order[];
  entries: Map<number, Entry>;
  segmentCounters: Map<string, Sum>;
  segmentOrder: Order[];
  segmentAccounts: Map<string, Sum>;
  ids: Map<string, string>;
  entryIds: string[];
  counterIds: CounterIds;
  counterIdSlices: { expires: number; count: number }[];
  idMarks: { expires: number; upTo: number }[];
  /** Fields are kind and item. */
  liveYoung: Map<string, Live>;
  liveOld: Map<string, Live>;
  /** The last reply to each caller. */
  last: Map<string, { number: number; reply: string; expires: number }>;
  job: Job;
  ranks: Ranks;
  /** For the checker: the updates that this Redis has accepted, and those that it has put into a batch. */
  readonly accepted: Uint8Array;
  readonly taken: Uint8Array;
  /** For the checker: updates that an accepted amendment drops. */
  readonly dropped: Uint8Array;
}

export function emptyRedis(): RedisData {
  return {
    state: undefined,
    counters: new Map(),
    accounts: new Map(),
    order: [],
    entries: new Map(),
    segmentCounters: new Map(),
    segmentOrder: [],
    segmentAccounts: new Map(),
    ids: new Map(),
    entryIds: [],
    counterIds: noCounterIds(),
    counterIdSlices: [],
    idMarks: [],
    liveYoung: new Map(),
    liveOld: new Map(),
    last: new Map(),
    job: NO_JOB,
    ranks: noRanks(),
    accepted: new Uint8Array(MOST_UPDATES),
    taken: new Uint8Array(MOST_UPDATES),
    dropped: new Uint8Array(MOST_UPDATES),
  };
}

export function copyRedis(data: RedisData): RedisData {
  return {
    state: data.state && { ...data.state },
    counters: new Map(data.counters),
    accounts: new Map(data.accounts),
    order: data.order.slice(),
    entries: new Map(data.entries),
    segmentCounters: new Map(data.segmentCounters),
    segmentOrder: data.segmentOrder.slice(),
    segmentAccounts: new Map(data.segmentAccounts),
    ids: new Map(data.ids),
    entryIds: data.entryIds.slice(),
    counterIds: { ...data.counterIds, buckets: new Map(data.counterIds.buckets) },
    counterIdSlices: data.counterIdSlices.slice(),
    idMarks: data.idMarks.slice(),
    liveYoung: new Map(data.liveYoung),
    liveOld: new Map(data.liveOld),
    last: new Map(data.last),
    job: data.job,
    ranks: copyRanks(data.ranks),
    accepted: data.accepted.slice(),
    taken: data.taken.slice(),
    dropped: data.dropped.slice(),
  };
}

export const NO_SUM: Sum = { sum: 0, count: 0, number: -1, uids: [] };

/** findLive of live.lua, for one item. */
export function findLive(data: RedisData, kind: string, item: string): number | undefined {
  return (data.liveYoung.get(kind + item) ?? data.liveOld.get(kind + item))?.value;
}

/** Sets a live value, in `liveYoung` wherever it was. */
export function setLive(data: RedisData, kind: string, item: string, live: Live): void {
  data.liveYoung.set(kind + item, live);
  data.liveOld.delete(kind + item);
}

/** new-epoch.lua. */
export function endLive(data: RedisData): void {
  data.liveYoung = new Map();
  data.liveOld = new Map();
}
