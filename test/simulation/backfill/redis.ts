/** One partition in Redis as a backfill sees it, each script as one step. Live values are left out. */
import type { Mark } from '../../../src/producer/waiting.ts';
import { isValueKind, type Kind } from '../../../src/shared/item.ts';
import { keptOf } from '../../../src/shared/kept-value.ts';
import type { Watermark } from './mysql.ts';

/** An update as Redis has accepted it; if it is accepted twice, these are two. */
export interface Update {
  readonly key: string;
  readonly amount: number;
  /** '' for none. */
  readonly id: string;
  /** Puts of a `last` value are ordered by it. */
  readonly version: number;
  readonly isOpening: boolean;
}

export type Wish = Omit<Update, 'version'>;

/** Updates of a key that are written together. */
export interface Pending {
  readonly key: string;
  readonly updates: readonly Update[];
  readonly value: number;
  readonly version: number;
}

export interface Call {
  readonly caller: string;
  readonly number: number;
  readonly seen: Pick<Mark, 'incarnation' | 'updates'>;
  readonly wishes: readonly Wish[];
}

export interface Batch {
  readonly partition: number;
  readonly sequence: number;
  readonly token: string;
  readonly epoch: string;
  readonly rows: readonly Pending[];
}

/** What the model gives to a script. */
export interface Scene {
  readonly now: number;
  readonly kind: Kind;
  fresh(kind: string): string;
  newVersion(): number;
}

/** Ids live so many steps after they are accepted, or for points after they are acknowledged. */
export const WINDOW = 90;
const SLICES = 3;
const IDS_OF_SLICE = 2;
const MOST_IDS = 5;
const MOST_ROWS = 2;

export class Redis {
  readonly partition: number;
  epoch = 'e0';
  sequence = 0;
  token = '';
  /** Number of the server process, and of the one that the state has met. */
  run = 1;
  met = 1;
  incarnation = 'i0';
  updates = 0;
  /** Incarnations that ended, and how many of their updates were kept. */
  ended: readonly { readonly incarnation: string; readonly kept: number }[] = [];
  pushed = 0;
  acked = 0;
  quarantined = 0;
  pending: readonly Pending[] = [];
  flight: readonly Pending[] = [];
  callers = new Map<string, { readonly number: number; readonly mark: Mark }>();
  /** Ids of counters by name, with their slices. */
  counterIds = new Map<string, number>();
  slices: readonly { readonly expires: number; readonly ids: number }[] = [];
  first = 0;
  last = 0;
  open = 0;
  expires = 0;
  /** Ids of entries by name, and when they may be forgotten. */
  entryIds = new Map<string, number>();

  constructor(partition: number) {
    this.partition = partition;
  }

  copy(): Redis {
    const copy = Object.assign(new Redis(this.partition), this);
    copy.callers = new Map(this.callers);
    copy.counterIds = new Map(this.counterIds);
    copy.entryIds = new Map(this.entryIds);
    return copy;
  }

  /** Whether it has lost what MySQL has. */
  isBehind({ sequence, token }: Watermark): boolean {
    if (this.sequence !== sequence) return this.sequence < sequence;
    return this.token !== '' && this.token !== token;
  }

  /** apply.lua @returns undefined if nothing is accepted: a late copy, or a partition without a state */
  apply(call: Call, scene: Scene): Mark | undefined {
    if (this.epoch === '') return undefined;
    const last = this.callers.get(call.caller);
    if (last && last.number >= call.number) return last.number === call.number ? last.mark : undefined;
    this.#meet(call, scene);
    for (const wish of call.wishes) if (!this.#knows(wish, scene.kind)) this.#accept(wish, scene);
    const mark = this.#mark(scene.now);
    this.callers.set(call.caller, { number: call.number, mark });
    return mark;
  }

  #mark(time: number): Mark {
    const { partition, epoch, pushed, quarantined, sequence, incarnation, updates } = this;
    const counts = { pushed, entries: pushed, quarantined, sequence, segmentEnd: pushed, updates };
    return { partition, epoch, time, incarnation, ...counts };
  }

  /** A new process, or one that went back, begins a new incarnation. */
  #meet({ seen }: Call, scene: Scene): void {
    const wentBack = seen.incarnation === this.incarnation && seen.updates > this.updates;
    if (this.met === this.run && !wentBack) return;
    this.ended = [{ incarnation: this.incarnation, kept: this.updates }, ...this.ended];
    this.incarnation = scene.fresh('i');
    this.met = this.run;
  }

  #knows({ id, key }: Wish, kind: Kind): boolean {
    if (id === '' || isValueKind(kind)) return false;
    const name = `${key} ${id}`;
    if (kind === 'p') return this.entryIds.has(name);
    return (this.counterIds.get(name) ?? -1) >= this.first;
  }

  #accept(wish: Wish, { now, kind, newVersion }: Scene): void {
    const { key, amount, id, isOpening } = wish;
    const version = kind === '=' && !(isOpening && id !== '') ? newVersion() : 0;
    const update = { ...wish, version };
    const row = { key, updates: [update], value: amount, version };
    const before = kind === 'p' ? undefined : this.pending.find(one => one.key === key);
    if (before) this.pending = this.pending.map(one => (one === before ? joined(kind, before, row) : one));
    else {
      this.pending = [...this.pending, row];
      this.pushed++;
    }
    this.updates++;
    if (id === '' || isValueKind(kind)) return;
    if (kind === 'p') this.entryIds.set(`${key} ${id}`, Number.POSITIVE_INFINITY);
    else this.#remember(`${key} ${id}`, now);
  }

  /** write-counter-ids.lua */
  #remember(name: string, now: number): void {
    const left = this.expires - now - WINDOW;
    if (left < 0 || left > WINDOW / SLICES || this.open >= IDS_OF_SLICE) {
      if (this.open > 0) {
        this.slices = [...this.slices, { expires: this.expires, ids: this.open }];
        this.last++;
        this.open = 0;
      }
      this.expires = now + WINDOW + Math.floor(WINDOW / SLICES);
    }
    this.counterIds.set(name, this.last);
    this.open++;
    const kept = () => this.open + this.slices.reduce((sum, { ids }) => sum + ids, 0);
    while (kept() > MOST_IDS && this.#forgetSlice());
  }

  #forgetSlice(): boolean {
    if (this.slices.length === 0) return false;
    this.slices = this.slices.slice(1);
    this.first++;
    return true;
  }

  /** trim.lua */
  trim(now: number): void {
    while (this.slices.length > 0 && this.slices[0]!.expires <= now) this.#forgetSlice();
    if (this.slices.length === 0 && this.expires <= now) {
      this.counterIds.clear();
      Object.assign(this, { first: 0, last: 0, open: 0, expires: 0 });
    }
    for (const [name, until] of this.entryIds) if (until <= now) this.entryIds.delete(name);
  }

  /** claim.lua */
  claim(token: string): Batch | undefined {
    if (!this.token) {
      if (this.pending.length === 0) return undefined;
      this.flight = this.pending.slice(0, MOST_ROWS);
      this.pending = this.pending.slice(MOST_ROWS);
      this.sequence++;
      this.token = token;
    }
    const { partition, sequence, epoch, flight: rows } = this;
    return { partition, sequence, token: this.token, epoch, rows };
  }

  /** ack.lua */
  ack(token: string, quarantined: number, now: number): void {
    if (this.token !== token) return;
    for (const { updates } of this.flight)
      for (const { key, id } of updates)
        if (this.entryIds.has(`${key} ${id}`)) this.entryIds.set(`${key} ${id}`, now + WINDOW);
    this.acked += this.flight.length;
    this.quarantined += quarantined;
    this.token = '';
    this.flight = [];
  }

  /** rewind.lua */
  rewind({ token, sequence }: Batch, to: number, epoch: string): boolean {
    if (this.token !== token || this.sequence !== sequence) return false;
    this.sequence = to;
    this.epoch = epoch;
    return true;
  }

  /** adopt.lua */
  adopt(seen: string, epoch: string, sequence: number): boolean {
    if (this.epoch !== seen) return false;
    if (!this.token && this.sequence < sequence) this.sequence = sequence;
    this.epoch = epoch;
    return true;
  }
}

export function joined(kind: Kind, one: Pending, other: Pending): Pending {
  const updates = [...one.updates, ...other.updates];
  if (!isValueKind(kind)) return { key: one.key, updates, value: one.value + other.value, version: 0 };
  const { value, version } = keptOf(kind, one, other);
  return { key: one.key, updates, value, version };
}
