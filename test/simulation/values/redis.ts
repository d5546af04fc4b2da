/** Redis as values see it: the state of one partition, and each script on it as one step. */
import type { ValueBug } from './bugs.ts';
import { ITEMS, type Item, type Kept, keep, keepAll, kindOf, type Put, type Puts } from './kept.ts';
import type { Watermark } from './mysql.ts';

/** A drop or an edit of a row in quarantine, as an update. */
export interface Amendment {
  readonly item: Item;
  readonly row: number;
  readonly operation: number;
  /** The new number; a drop has none. */
  readonly to?: number;
}

export interface Batch {
  readonly sequence: number;
  readonly token: string;
  readonly epoch: string;
  readonly puts: Puts;
  readonly amendments: readonly Amendment[];
  readonly claimed: number;
}

/** A producer's call: puts of different keys. */
export interface Call {
  readonly producer: string;
  readonly number: number;
  readonly puts: readonly {
    readonly item: Item;
    readonly value: number;
    readonly values: readonly number[];
  }[];
}

/** A live value; undefined for a key without one. */
type Live = Pick<Kept, 'value' | 'version'> | undefined;

const MOST_KEYS = 2;
const MICROSECONDS = 20;

export class Redis {
  epoch = 'e0';
  sequence = 0;
  token = '';
  clock = 10_000;
  /** The version of the partition's last put. */
  version = 0;
  updates = 0;
  claimed = 0;
  pending = new Map<Item, Kept>();
  /** What is claimed next. */
  segment: Puts = [];
  flight: Puts = [];
  amendments: readonly Amendment[] = [];
  amending: readonly Amendment[] = [];
  live = new Map<Item, Live>();
  /** The last call of each producer. */
  callers = new Map<string, number>();

  copy(): Redis {
    const copy = Object.assign(new Redis(), this);
    copy.pending = new Map(this.pending);
    copy.live = new Map(this.live);
    copy.callers = new Map(this.callers);
    return copy;
  }

  /** Puts that MySQL has not, if it does not have the batch in flight. */
  get waiting(): Puts {
    return [...this.flight, ...this.segment, ...this.pending];
  }

  /** Whether Redis has lost what MySQL has, and no flush or alignment has found out. */
  isBehind({ sequence, token }: Watermark): boolean {
    return (
      this.sequence < sequence || (this.token !== '' && this.sequence === sequence && this.token !== token)
    );
  }

  /** Whether MySQL has neither more nor less than Redis acknowledged or has in flight. */
  fits(watermark: Watermark): boolean {
    if (this.epoch !== watermark.epoch || this.isBehind(watermark)) return false;
    return this.sequence <= watermark.sequence + (this.token ? 1 : 0);
  }

  isAccepted({ producer, number }: Call): boolean {
    return (this.callers.get(producer) ?? 0) >= number;
  }

  /** apply.lua @param rankOf gives each put its place @returns puts by item, or undefined for a repetition */
  apply(call: Call, rankOf: (version: number, isLast: boolean) => number, bug?: ValueBug): Puts | undefined {
    const last = this.callers.get(call.producer) ?? 0;
    if (last === call.number || (last > call.number && bug !== 'lateCall')) return undefined;
    this.callers.set(call.producer, call.number);
    return call.puts.map(({ item, value, values }) => {
      const live = this.live.get(item);
      const version = kindOf(item) === '=' ? this.#version(live?.version ?? 0, bug) : 0;
      const puts: Put[] = values.map((one, at) => ({
        value: one,
        rank: rankOf(version, at === values.length - 1),
      }));
      const updates = bug === 'microCount' ? 1 : puts.length;
      const put = { value, version, updates, puts };
      this.updates += puts.length;
      this.#pend(item, put, bug);
      if (this.live.has(item) || bug === 'coldPut')
        this.live.set(item, keep(item, live && { ...put, ...live }, put));
      return [item, put] as const;
    });
  }

  #version(live: number, bug: ValueBug | undefined): number {
    if (bug === 'clockOnly') return this.clock;
    const last = bug === 'stateUnseen' ? 0 : this.version + 1;
    this.version = Math.max(this.clock, last, bug === 'liveUnseen' ? 0 : live + 1);
    return this.version;
  }

  #pend(item: Item, put: Kept, bug: ValueBug | undefined): void {
    const before = this.pending.get(item);
    let kept = keep(item, before, put);
    if (bug === 'pendingNewest') kept = { ...kept, value: put.value, version: put.version };
    if (before && bug === 'pendingCount') kept = { ...kept, updates: before.updates };
    this.pending.set(item, kept);
  }

  /** The amendment of a drop or an edit: the live value changes with its flush. */
  amend(amendment: Amendment, amount: number, bug?: ValueBug): void {
    this.amendments = [...this.amendments, amendment];
    this.updates++;
    const live = this.live.get(amendment.item);
    if (bug === 'dropDifference' && live && amendment.to === undefined)
      this.live.set(amendment.item, { ...live, value: live.value - amount });
  }

  /** claim.lua */
  claim(newToken: string): Batch | undefined {
    if (!this.token) {
      if (this.segment.length === 0) {
        this.segment = [...this.pending];
        this.pending = new Map();
      }
      if (this.segment.length === 0 && this.amendments.length === 0) return undefined;
      this.flight = this.segment.slice(0, MOST_KEYS);
      this.segment = this.segment.slice(MOST_KEYS);
      this.amending = this.amendments.slice(0, 1);
      this.amendments = this.amendments.slice(1);
      this.claimed += countOf(this.flight) + this.amending.length;
      this.sequence++;
      this.token = newToken;
    }
    const { sequence, token, epoch, flight: puts, amending: amendments, claimed } = this;
    return { sequence, token, epoch, puts, amendments, claimed };
  }

  /** ack.lua */
  ack(token: string, reload: ReadonlySet<Item>): void {
    if (this.token !== token) return;
    this.token = '';
    this.flight = [];
    this.amending = [];
    for (const item of reload) this.live.delete(item);
  }

  /** rewind.lua */
  rewind({ token, sequence }: Batch, to: number, epoch: string, bug?: ValueBug): boolean {
    if (this.token !== token || this.sequence !== sequence) return false;
    this.sequence = to;
    this.epoch = epoch;
    if (bug !== 'rewindLive') this.live.clear();
    return true;
  }

  /** adopt.lua */
  adopt(seen: string, epoch: string, sequence: number, bug?: ValueBug): boolean {
    if (this.epoch !== seen) return false;
    if (!this.token && this.sequence < sequence) this.sequence = sequence;
    this.epoch = epoch;
    if (bug !== 'adoptLive') this.live.clear();
    return true;
  }

  /** load.lua @param stored what MySQL keeps, with quarantine */
  load(item: Item, stored: Kept | undefined, watermark: Watermark, bug?: ValueBug): void {
    if (!this.fits(watermark) || this.live.has(item)) return;
    const value = keepAll(item, this.#over(item, stored, this.sequence > watermark.sequence, bug));
    this.live.set(item, value ?? (bug === 'absentZero' ? { value: 0, version: 0 } : undefined));
  }

  *#over(
    item: Item,
    stored: Kept | undefined,
    withFlight: boolean,
    bug: ValueBug | undefined,
  ): Generator<Kept> {
    if (stored) yield stored;
    const flight = withFlight && bug !== 'loadFlight' ? this.flight : [];
    const segment = bug === 'loadSegment' ? [] : this.segment;
    for (const [other, put] of [...flight, ...segment, ...this.pending]) if (other === item) yield put;
  }

  tick(): void {
    this.clock += MICROSECONDS;
  }

  /** Counts that do not agree, or undefined. */
  miscounted(): string | undefined {
    const pending = countOf([...this.segment, ...this.pending]) + this.amendments.length;
    if (this.updates - this.claimed === pending) return undefined;
    return `${pending} updates wait, not ${this.updates - this.claimed}`;
  }

  /** Live values that may be checked now. */
  *lives(): Generator<readonly [Item, Live]> {
    for (const item of ITEMS) if (this.live.has(item)) yield [item, this.live.get(item)];
  }
}

function countOf(puts: Puts): number {
  return puts.reduce((sum, [, { updates }]) => sum + updates, 0);
}
