/**
 * What Redis holds of one partition. The names are those of the keys and of the fields of the hash `state`; sums and
 * entries are never changed in place, so that a copy of the maps is a copy of everything.
 *
 * `uids` and `uid` are the checker's: which updates a sum is made of. No decision of the protocol reads them.
 */
import type { State as LayoutState, PartitionKey } from '../../src/shared/redis/layout.ts';
import { MOST_UPDATES } from './world.ts';

export interface Sum {
  readonly sum: number;
  readonly count: number;
  /** Of a counter, the number that it got when it became pending; of an account, that of its newest entry. */
  readonly number: number;
  readonly uids: readonly number[];
}

export interface Entry {
  readonly number: number;
  /** The account's entry before this one; 0 where none is known. */
  readonly previous: number;
  readonly time: number;
  readonly item: string;
  readonly amount: number;
  readonly id: string;
  /** -1 of an amendment. */
  readonly uid: number;
  /** The quarantined row that it drops, and the operation that decided that; absent if it drops none. */
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

/** Without what no decision of the model needs. */
export type State = Omit<Writable<LayoutState>, 'deployment' | 'claims' | 'barriers'>;
type Writable<Type> = { -readonly [Name in keyof Type]: Type[Name] };

/** The one flush job of the partition, as BullMQ keeps it. */
export interface Job {
  /** When it may be taken; undefined where no job waits. */
  readonly due: number | undefined;
  /** Who waits until then before it adds the job, and takes the wake-up along if it dies. */
  readonly giver: string;
  readonly holder: string;
  readonly lockedUntil: number;
  /** Added while it was active: it becomes the next one (`keepLastIfActive`). */
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

/** `segment:counters` is `segmentCounters`; of the lease only the end is of interest. */
type Modelled<Key> = Key extends `${infer Head}:${infer Tail}` ? `${Head}${Capitalize<Tail>}` : Key;

export interface RedisData extends Record<Modelled<Exclude<PartitionKey, 'armed' | 'traces'>>, unknown> {
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
  counterIds: { expires: number; name: string }[];
  idMarks: { expires: number; upTo: number }[];
  /** By `kind:epoch:item`. */
  live: Map<string, { value: number; expires: number }>;
  /** The last reply to each caller. */
  last: Map<string, { number: number; reply: string; expires: number }>;
  armedUntil: number;
  job: Job;
  /** The checker's: which updates this Redis has accepted, and which it has put into a batch. */
  readonly accepted: Uint8Array;
  readonly taken: Uint8Array;
  /** The checker's: updates that an accepted amendment drops. */
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
    counterIds: [],
    idMarks: [],
    live: new Map(),
    last: new Map(),
    armedUntil: 0,
    job: NO_JOB,
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
    counterIds: data.counterIds.slice(),
    idMarks: data.idMarks.slice(),
    live: new Map(data.live),
    last: new Map(data.last),
    armedUntil: data.armedUntil,
    job: data.job,
    accepted: data.accepted.slice(),
    taken: data.taken.slice(),
    dropped: data.dropped.slice(),
  };
}

export const NO_SUM: Sum = { sum: 0, count: 0, number: -1, uids: [] };

export function liveKey(kind: string, epoch: string, item: string): string {
  return `${kind}:${epoch}:${item}`;
}

/** The value of a live key that has not expired. */
export function liveValue(data: RedisData, now: number, key: string): number | undefined {
  const live = data.live.get(key);
  if (!live) return undefined;
  if (live.expires >= now) return live.value;
  data.live.delete(key);
  return undefined;
}
