/** The pure part of a micro-batch: which updates are summed, how they are encoded, what the answer means. */
import {
  BackpressureError,
  type BackpressureLimit,
  IdempotencyKeyReusedError,
  InsufficientPointsError,
  OutOfRangeError,
  type SluiceError,
} from '../shared/errors.ts';
import type { CheckedUpdate } from '../shared/update.ts';
import type { Mark } from './waiting.ts';

/** How many counter updates an entry counts for in a micro-batch: it takes Redis three to five times as long. */
export const ENTRY_WEIGHT = 4;

/** What a micro-batch has to know of an update. */
export interface Member {
  readonly update: CheckedUpdate;
  /** Not to be summed with others. */
  readonly alone: boolean;
  accept(value: number | null, duplicate: boolean, mark: Mark): void;
}

/** Updates that go to Redis as one: increments of one counter without ids, or a single update. */
export class Group<M extends Member> {
  readonly members: M[];
  amount: number;
  /** The most that any part of it, in any order, comes to. */
  magnitude: number;

  constructor(first: M) {
    this.members = [first];
    this.amount = first.update.amount;
    this.magnitude = Math.abs(first.update.amount);
  }

  /** Whether it took one more in: not where some order of them could leave the safe range. */
  take(member: M): boolean {
    const magnitude = this.magnitude + Math.abs(member.update.amount);
    if (!Number.isSafeInteger(magnitude)) return false;
    this.magnitude = magnitude;
    this.amount += member.update.amount;
    this.members.push(member);
    return true;
  }

  /** Gives every member the value right after it. */
  accept(token: string, mark: Mark): void {
    const duplicate = token.startsWith('d');
    const text = duplicate ? token.slice(1) : token;
    const isLive = text !== '-';
    let value = isLive ? Number(text) : 0;
    // A duplicate is alone in its group.
    if (this.members.length > 1) value -= this.amount;
    for (const member of this.members) {
      if (this.members.length > 1) value += member.update.amount;
      member.accept(isLive ? value : null, duplicate, mark);
    }
  }
}

/**
 * Sums increments of the same counter that carry no id, as long as no order of them could leave the safe range.
 * The groups stand in the order of their first members.
 */
export function groupUpdates<M extends Member>(batch: readonly M[]): Group<M>[] {
  const groups: Group<M>[] = [];
  // By name and by key: a key's hash is known, that of an item, which is put together from both, is not.
  const open = new Map<string, Map<string, Group<M>>>();
  for (const member of batch) {
    const { kind, id, name, key } = member.update;
    if (kind !== 'c' || id !== '' || member.alone) {
      groups.push(new Group(member));
      continue;
    }
    const ofName = open.get(name) ?? new Map<string, Group<M>>();
    open.set(name, ofName);
    if (ofName.get(key)?.take(member)) continue;
    const group = new Group(member);
    groups.push(group);
    ofName.set(key, group);
  }
  return groups;
}

/** The groups as apply.lua takes them. */
export function encodeGroups(groups: readonly Group<Member>[]): string {
  const values: (string | number)[] = [];
  for (const { members, amount } of groups) {
    const { kind, item, floor, id, payload } = members[0]!.update;
    values.push(kind, item, amount);
    if (kind === 'c') values.push(members.length, id);
    else values.push(floor, id, payload);
  }
  return JSON.stringify(values);
}

/** What a number, a kind and commas take beside the texts of an update. */
const BESIDE = 64;
/** The worst byte of a text in JSON: a control character is `\u0001`. */
const WORST = 6;
/** Characters of an update up to which it is not worth counting: a whole call of such ones is short enough. */
const SHORT = { c: 256, p: 1024 };

/** Bytes that an update takes in a call, or a bound of it if that is small. */
export function requestBytes({ kind, item, id, payload }: CheckedUpdate): number {
  const length = item.length + id.length + payload.length;
  if (length <= SHORT[kind]) return WORST * length + BESIDE;
  return Buffer.byteLength(JSON.stringify([item, id, payload])) + BESIDE;
}

export interface ApplyReply {
  readonly status: 'ok' | 'late' | 'absent';
  readonly time: number;
  readonly epoch: string;
  readonly armed: boolean;
  readonly pushed: number;
  readonly entries: number;
  readonly quarantined: number;
  readonly sequence: number;
  readonly segmentEnd: number;
  readonly incarnation: string;
  /** How many updates the partition has accepted in all. */
  readonly updates: number;
  /** Updates that this call found to be lost, as its caller had been answered a higher count. */
  readonly lost: number;
  readonly results: readonly string[];
}

export function parseReply(text: string): ApplyReply {
  const [status, time, epoch = '', armed, pushed, entries, quarantined, ...more] = text.split(' ');
  const [sequence, segmentEnd, incarnation = '', updates, lost, ...results] = more;
  return {
    status: status as ApplyReply['status'],
    time: Number(time),
    epoch,
    armed: armed === '1',
    pushed: Number(pushed),
    entries: Number(entries),
    quarantined: Number(quarantined),
    sequence: Number(sequence),
    segmentEnd: Number(segmentEnd),
    incarnation,
    updates: Number(updates),
    lost: Number(lost),
    results,
  };
}

const LIMITS: Readonly<Record<string, BackpressureLimit>> = {
  k: 'keys',
  e: 'entries',
  a: 'age',
  m: 'memory',
};

/** The error that a result token stands for, or undefined where the update was accepted. */
export function refusal(token: string, update: CheckedUpdate): SluiceError | undefined {
  switch (token[0]) {
    case 'r':
      return new IdempotencyKeyReusedError(update.name);
    case 'x':
      return new OutOfRangeError(update.name);
    case 'f':
      return new InsufficientPointsError(update.name, update.amount, Number(token.slice(1)), update.floor);
    case 'b':
      return new BackpressureError(update.name, LIMITS[token[1]!]!, Number(token.slice(2)));
    default:
      return undefined;
  }
}
