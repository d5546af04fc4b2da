/** The pure part of a micro-batch: sums updates, keeps one of several puts, encodes them for apply.lua, reads the reply. */
import { hash } from 'node:crypto';
import { readBalance } from '../shared/balance.ts';
import {
  BackpressureError,
  type BackpressureLimit,
  HoldEndedError,
  HoldExceededError,
  IdempotencyKeyReusedError,
  InsufficientPointsError,
  OutOfRangeError,
  type SluiceError,
  UnknownHoldError,
} from '../shared/errors.ts';
import { isValueKind } from '../shared/item.ts';
import { keptOf } from '../shared/kept-value.ts';
import { HOLD_STATUSES } from '../shared/updates/hold.ts';
import type { CheckedUpdate } from '../shared/updates/update.ts';
import type { Lack, Mark } from './waiting.ts';

/** Counter updates that one entry counts as: it takes Redis three to five times as long. */
export const ENTRY_WEIGHT = 4;

export function weightOfUpdate({ kind }: CheckedUpdate): number {
  return kind === 'p' ? ENTRY_WEIGHT : 1;
}

/** Counter updates that take Redis as long as these groups, each of which is one update there. */
export function weightOf(groups: readonly Group<Member>[]): number {
  return groups.reduce((sum, { members }) => sum + weightOfUpdate(members[0]!.update), 0);
}

/** An update, as far as a micro-batch needs it. */
export interface Member {
  readonly update: CheckedUpdate;
  /** Whether it must not be summed with others. */
  readonly alone: boolean;
  /** @param held points of the account that are held */
  accept(value: number | null, duplicate: boolean, mark: Mark, held?: number): void;
}

/** Updates sent as one: increments of one counter without ids, puts of one value, or a single update. */
export class Group<M extends Member> {
  readonly members: M[];
  /** Whether it is of a counter, has no id, and is the only such group of its item. */
  readonly isPlain: boolean;
  amount: number;
  /** Sum of the absolute amounts: a bound for each partial sum in any order. */
  magnitude: number;

  constructor(first: M, isPlain = false) {
    this.members = [first];
    this.isPlain = isPlain;
    this.amount = first.update.amount;
    this.magnitude = Math.abs(first.update.amount);
  }

  /**
   * Adds the update unless some order of the group could leave the safe range. Of puts, one is kept.
   * @returns whether it did
   */
  take(member: M): boolean {
    const { kind, amount } = member.update;
    if (isValueKind(kind)) {
      const version = this.members.push(member);
      this.amount = keptOf(kind, { value: this.amount, version: 0 }, { value: amount, version }).value;
      return true;
    }
    const magnitude = this.magnitude + Math.abs(member.update.amount);
    if (!Number.isSafeInteger(magnitude)) return false;
    this.magnitude = magnitude;
    this.amount += member.update.amount;
    this.members.push(member);
    return true;
  }

  /** Accepts each member with the value right after it; each put with the value right after all. */
  accept(token: string, mark: Mark): void {
    const duplicate = token.startsWith('d');
    const text = duplicate ? token.slice(1) : token;
    const isLive = text !== '-';
    const live = isLive ? readBalance(text) : { balance: 0, held: 0 };
    let value = live.balance;
    // Only groups without ids have several members, so a duplicate is alone.
    const isSum = this.members.length > 1 && !isValueKind(this.members[0]!.update.kind);
    if (isSum) value -= this.amount;
    for (const member of this.members) {
      if (isSum) value += member.update.amount;
      member.accept(isLive ? value : null, duplicate, mark, live.held);
    }
  }
}

/**
 * Sums increments without ids of the same counter, as long as no order of them could leave the safe range, and
 * keeps one put of the same value.
 * Groups are in the order of their first members.
 */
export function groupUpdates<M extends Member>(batch: readonly M[]): Group<M>[] {
  const groups: Group<M>[] = [];
  // By name, then by key: V8 has cached the hash of a key, but not that of an item, a new string each time.
  const open = new Map<string, Map<string, Group<M>>>();
  for (const member of batch) {
    const { kind, id, name, key } = member.update;
    if (kind === 'p' || id !== '' || member.alone) {
      groups.push(new Group(member));
      continue;
    }
    const named = kind === 'c' ? name : kind + name;
    const ofName = open.get(named) ?? new Map<string, Group<M>>();
    open.set(named, ofName);
    const known = ofName.get(key);
    if (known?.take(member)) continue;
    const group = new Group(member, kind === 'c' && known === undefined);
    groups.push(group);
    ofName.set(key, group);
  }
  return groups;
}

/** Characters of base 64 in the digest of a counter's id: 84 bits. DIGEST in counter-ids.lua is the same. */
const DIGEST = 14;

/** What Redis remembers of a counter's id, which is unique for its key only. */
export function digestOf(item: string, id: string): string {
  return id === '' ? '' : `;${hash('sha256', `${item.length}:${item}${id}`, 'base64').slice(0, DIGEST)}`;
}

/** @returns the JSON that apply.lua takes; see there */
export function encodeGroups(groups: readonly Group<Member>[]): string {
  if (groups.length > 0 && groups.every(({ isPlain }) => isPlain))
    return JSON.stringify([
      groups.map(({ members }) => members[0]!.update.item),
      groups.map(({ amount }) => amount),
      groups.map(({ members }) => members.length),
    ]);
  const values: (string | number | (string | number)[])[] = [];
  for (const { members, amount } of groups) {
    const { kind, item, floor, id, payload, hold } = members[0]!.update;
    values.push(kind, item, amount);
    if (hold) values.push([floor, hold.action, hold.expiresInMs], hold.id, payload);
    else if (kind === 'p') values.push(floor, id, payload);
    else if (isValueKind(kind)) values.push(members.length, id === '' ? '' : '0');
    else values.push(members.length, digestOf(item, id));
  }
  return JSON.stringify(values);
}

/** Bytes of an update's numbers, kind, digest and commas. */
const OVERHEAD_BYTES = 80;
/** Most bytes that one byte of text takes in JSON: a control character is `\u0001`. */
const ESCAPED_BYTES = 6;
/** Characters of an update up to which a bound will do: a whole call of such updates is short enough. */
const SHORT = { c: 256, p: 1024, '>': 256, '<': 256, '=': 256 };

/** Bytes of an update in a call, or an upper bound if it is short. */
export function requestBytes({ kind, item, id, payload }: CheckedUpdate): number {
  const length = item.length + id.length + payload.length;
  if (length <= SHORT[kind]) return ESCAPED_BYTES * length + OVERHEAD_BYTES;
  return Buffer.byteLength(JSON.stringify([item, id, payload])) + OVERHEAD_BYTES;
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
  /** Updates that the partition has accepted in total. */
  readonly updates: number;
  /** Updates that this call found lost: its caller had been answered a higher count. */
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

/** Results of updates that a producer acts on by itself. */
export const OUT_OF_RANGE = 'x';
export const NOT_LOADED = 'n';

/** What an update lacks to be decided, by its result; undefined if it was decided. */
export function lackOf(token: string): Lack | undefined {
  switch (token) {
    case NOT_LOADED:
      return 'account';
    case 'nh':
      return 'hold';
    case 'nb':
      return 'nothing';
    default:
      return undefined;
  }
}

const BACKPRESSURE_LIMITS: Readonly<Record<string, BackpressureLimit>> = {
  k: 'keys',
  e: 'entries',
  a: 'age',
  m: 'memory',
};

/** The error that a result token stands for; undefined if the update was accepted. */
export function refusal(token: string, update: CheckedUpdate): SluiceError | undefined {
  switch (token[0]) {
    case 'r':
      return new IdempotencyKeyReusedError(update.name);
    case OUT_OF_RANGE:
      return new OutOfRangeError(update.name);
    case 'f': {
      const { balance, held } = readBalance(token.slice(1));
      return new InsufficientPointsError(update.name, Math.abs(update.amount), balance, held, update.floor);
    }
    case 'h':
      return holdRefusal(token.slice(1), update);
    case 'b':
      return new BackpressureError(update.name, BACKPRESSURE_LIMITS[token[1]!]!, Number(token.slice(2)));
    default:
      return undefined;
  }
}

/** @param token how the hold stands: its record without its amount, or `m` and what it has */
function holdRefusal(token: string, { name, amount, hold }: CheckedUpdate): SluiceError {
  const { id } = hold!;
  if (token === 'n') return new UnknownHoldError(name, id);
  const number = Number(token.slice(1));
  if (token[0] === 'm') return new HoldExceededError(name, id, amount, number);
  const status = HOLD_STATUSES[token[0] as 'p' | 'v' | 'e'];
  return new HoldEndedError(name, id, status, number);
}
