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
import type { Mark, Waiting } from './apply.ts';

/** Updates that go to Redis as one: increments of one counter without ids, or a single update. */
export class Group {
  readonly members: Waiting[];
  amount: number;

  constructor(first: Waiting) {
    this.members = [first];
    this.amount = first.update.amount;
  }

  /** Gives every member the value right after it. */
  settle(token: string, mark: Mark): void {
    const duplicate = token.startsWith('d');
    const text = duplicate ? token.slice(1) : token;
    if (text === '-') {
      for (const member of this.members) member.settle({ value: null, duplicate, mark });
      return;
    }
    let value = Number(text) - this.amount;
    if (this.members.length === 1) value = Number(text) - this.members[0]!.update.amount;
    for (const member of this.members) {
      value += member.update.amount;
      member.settle({ value, duplicate, mark });
    }
  }
}

/**
 * Sums increments of the same counter that carry no id, as long as no order of them could leave the safe range.
 * The groups stand in the order of their first members.
 */
export function groupUpdates(batch: readonly Waiting[]): Group[] {
  const groups: Group[] = [];
  const open = new Map<string, { group: Group; magnitude: number }>();
  for (const waiting of batch) {
    const { kind, id, item, amount } = waiting.update;
    const mergeable = kind === 'c' && id === '' && !waiting.alone;
    const known = mergeable ? open.get(item) : undefined;
    if (known && Number.isSafeInteger(known.magnitude + Math.abs(amount))) {
      known.magnitude += Math.abs(amount);
      known.group.amount += amount;
      known.group.members.push(waiting);
    } else {
      const group = new Group(waiting);
      groups.push(group);
      if (mergeable) open.set(item, { group, magnitude: Math.abs(amount) });
    }
  }
  return groups;
}

/** Six arguments of apply.lua for each group. */
export function encodeGroups(groups: readonly Group[]): (string | number)[] {
  const args: (string | number)[] = [];
  for (const { members, amount } of groups) {
    const { kind, item, floor, id, payload } = members[0]!.update;
    args.push(kind, item, amount, kind === 'c' ? members.length : floor, id, payload);
  }
  return args;
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
  readonly incarnation: string;
  /** How many updates the partition has accepted in all. */
  readonly updates: number;
  /** Updates that this call found to be lost, as its caller had been answered a higher count. */
  readonly lost: number;
  readonly results: readonly string[];
}

export function parseReply(text: string): ApplyReply {
  const [status, time, epoch = '', armed, pushed, entries, quarantined, sequence, ...more] = text.split(' ');
  const [incarnation = '', updates, lost, ...results] = more;
  return {
    status: status as ApplyReply['status'],
    time: Number(time),
    epoch,
    armed: armed === '1',
    pushed: Number(pushed),
    entries: Number(entries),
    quarantined: Number(quarantined),
    sequence: Number(sequence),
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
