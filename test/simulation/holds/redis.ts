/** Redis as holds see it: the state of one partition with one account, and each script on it as one step. */
import type { HoldBug } from './bugs.ts';
import { type Action, type Answer, decideAction } from './decide.ts';
import type { Found, Outcome, Watermark } from './mysql.ts';
import { type Entry, endId, type HoldRecord, heldId, NONE } from './record.ts';

export interface Batch {
  readonly sequence: number;
  readonly token: string;
  readonly epoch: string;
  readonly entries: readonly Entry[];
}

/** The live value of the account. */
export interface Account {
  readonly balance: number;
  readonly held: number;
}

/** What `ids` has of an entry that may be pending. */
export interface Known {
  readonly balance: number;
  readonly record: HoldRecord | undefined;
  readonly number: number;
}

export interface Call extends Action {
  readonly caller: string;
  readonly number: number;
}

/** A row of a hold past its time. */
export interface Due {
  readonly hold: string;
  readonly amount: number;
  readonly expires: number;
}

const MOST_ENTRIES = 2;

export class Redis {
  epoch = 'e0';
  sequence = 0;
  token = '';
  clock = 1000;
  pending: readonly Entry[] = [];
  flight: readonly Entry[] = [];
  ids = new Map<string, Known>();
  /** Numbers and ids that a trim forgets once they are acknowledged. */
  entryIds: readonly (readonly [number, string])[] = [];
  /** Live values: `account`, and records of holds by the hold's id. */
  young = new Map<string, Account | HoldRecord>();
  old = new Map<string, Account | HoldRecord>();
  callers = new Map<string, readonly [number, Answer]>();
  next = 1;
  claimed = 1;
  acknowledged = 1;
  doubtful = 0;
  isFull = false;
  readonly bug: HoldBug | undefined;

  constructor(bug: HoldBug | undefined) {
    this.bug = bug;
  }

  copy(): Redis {
    const copy = Object.assign(new Redis(this.bug), this);
    copy.ids = new Map(this.ids);
    copy.young = new Map(this.young);
    copy.old = new Map(this.old);
    copy.callers = new Map(this.callers);
    return copy;
  }

  get entries(): readonly Entry[] {
    return [...this.flight, ...this.pending];
  }

  /** fits-watermark.lua: Redis has exactly what MySQL at this watermark has not. */
  fits(watermark: Watermark): boolean {
    if (this.epoch !== watermark.epoch) return false;
    if (!this.token) return this.sequence === watermark.sequence;
    if (this.sequence === watermark.sequence + 1) return true;
    return this.sequence === watermark.sequence && this.token === watermark.token;
  }

  /** Whether MySQL went back in time. */
  isAhead({ sequence }: Watermark): boolean {
    return this.sequence > sequence + (this.token ? 1 : 0);
  }

  get account(): Account | undefined {
    return this.live('account') as Account | undefined;
  }

  live(field: string): Account | HoldRecord | undefined {
    return this.young.get(field) ?? this.old.get(field);
  }

  record(hold: string): HoldRecord | undefined {
    return this.live(hold) as HoldRecord | undefined;
  }

  isRepeated({ caller, number }: Call): boolean {
    return (this.callers.get(caller)?.[0] ?? 0) >= number;
  }

  /** apply.lua */
  apply(call: Call): Answer {
    const [last, reply] = this.callers.get(call.caller) ?? [0, undefined];
    if (last === call.number) return reply!;
    if (last > call.number) return { answer: 'late' };
    const { entry, ...answer } = decideAction(this, call);
    if (entry) this.#put(entry, true);
    this.callers.set(call.caller, [call.number, answer]);
    return answer;
  }

  /** The amendment of a drop. */
  amend(row: number, balance: number): void {
    if (this.entries.some(entry => entry.row === row)) return;
    this.#put({ kind: 'amendment', id: `amendment ${row}`, balance, held: 0, row }, true);
  }

  /** credit.lua for holds past their time. @returns what it accepted, or `again` */
  expire(rows: readonly Due[], watermark: Watermark): 'again' | readonly Entry[] {
    const { bug } = this;
    if ((bug !== 'noFence' && !this.fits(watermark)) || this.isFull) return 'again';
    return rows.flatMap(({ hold, amount, expires }) => {
      const id = endId(hold, 'e', bug);
      if (this.ids.has(id) || (expires > this.clock && bug !== 'ownClock')) return [];
      const record: HoldRecord = { state: 'e', amount, more: 0 };
      const entry = { kind: 'end', id, balance: 0, held: -amount, hold, record } as const;
      return [this.#put(entry, false)];
    });
  }

  #put(entry: Omit<Entry, 'number'>, isCall: boolean): Entry {
    const { bug } = this;
    const numbered = { ...entry, number: this.next++ };
    const { id, balance, held, number, hold, record } = numbered;
    this.ids.set(id, { balance, record, number });
    if (hold === undefined || bug === 'idsKept') this.entryIds = [...this.entryIds, [number, id]];
    this.pending = [...this.pending, numbered];
    const { account } = this;
    if (account) this.#use('account', { balance: account.balance + balance, held: account.held + held });
    if (hold !== undefined && record && (isCall || this.record(hold)) && (isCall || bug !== 'recordStays'))
      this.#use(hold, record);
    return numbered;
  }

  #use(field: string, value: Account | HoldRecord): void {
    this.young.set(field, value);
    this.old.delete(field);
  }

  /** claim.lua */
  claim(newToken: string): Batch | undefined {
    if (!this.token) {
      if (this.pending.length === 0) return undefined;
      this.flight = this.pending.slice(0, MOST_ENTRIES);
      this.pending = this.pending.slice(MOST_ENTRIES);
      this.claimed = this.flight.at(-1)!.number + 1;
      this.sequence++;
      this.token = newToken;
    }
    const { sequence, token, epoch, flight: entries } = this;
    return { sequence, token, epoch, entries };
  }

  /** ack.lua */
  ack(token: string, { reload, gone }: Outcome): void {
    if (this.token !== token) return;
    this.acknowledged = this.claimed;
    this.token = '';
    for (const { id, hold } of this.flight)
      if (hold !== undefined && !this.#keepsId(gone.has(id))) this.ids.delete(id);
    this.flight = [];
    for (const field of reload) {
      this.young.delete(field);
      this.old.delete(field);
    }
  }

  /** Only for bugs: MySQL knows what it has, and what it left out is not there. */
  #keepsId(isLeftOut: boolean): boolean {
    return this.bug === (isLeftOut ? 'endId' : 'idsKept');
  }

  /** rewind.lua */
  rewind({ token, sequence }: Batch, to: number, epoch: string): boolean {
    if (this.token !== token || this.sequence !== sequence) return false;
    this.sequence = to;
    this.#begin(epoch, to !== sequence);
    return true;
  }

  /** trim.lua, once the window of all that is acknowledged has ended. */
  trim(): void {
    for (const [number, id] of this.entryIds) if (number < this.acknowledged) this.ids.delete(id);
    this.entryIds = this.entryIds.filter(([number]) => number >= this.acknowledged);
  }

  /** Lets the old live values end; the young ones become old. */
  rotate(): void {
    this.old = this.young;
    this.young = new Map();
  }

  endLive(fields: readonly string[]): void {
    const { account } = this;
    for (const field of fields) {
      this.young.delete(field);
      this.old.delete(field);
    }
    if (account && this.bug === 'heldKey') this.#use('account', { balance: account.balance, held: 0 });
  }

  /** adopt.lua */
  adopt(seen: string, epoch: string, sequence: number): boolean {
    if (this.epoch !== seen) return false;
    const isBehind = !this.token && this.sequence < sequence;
    if (isBehind) this.sequence = sequence;
    this.#begin(epoch, isBehind);
    return true;
  }

  /** The move of recover.lua, which forgets the ids of entries that MySQL may have lost. */
  recover(epoch: string): void {
    this.trim();
    this.#begin(epoch, false);
  }

  /** Whatever is pending is in doubt: its hold may be lost, or its end be there. */
  #begin(epoch: string, isBehind: boolean): void {
    if (isBehind || this.bug !== 'behindAlone') this.doubtful = this.next;
    this.epoch = epoch;
    const kept = this.bug === 'recordsSurvive' ? [...this.young, ...this.old] : [];
    this.young = new Map(kept.filter(([field]) => field !== 'account'));
    this.old = new Map();
  }

  /** load.lua @param found of each field what MySQL has */
  load({ watermark, account, records }: Found): void {
    if (!this.fits(watermark)) return;
    const withFlight = this.sequence === watermark.sequence + 1;
    const missing = withFlight ? this.acknowledged : this.claimed;
    // Until the acknowledgement, `ids` has what the flush has left out.
    const settled = this.bug === 'doubtEnds' ? missing : this.acknowledged;
    const isDoubtful = settled < this.doubtful && this.bug !== 'loadsDoubt';
    for (const [hold, row] of records)
      if (!this.record(hold) && (!isDoubtful || this.bug === 'recordSure'))
        this.#use(hold, this.#recordOf(hold, row));
    if (!account || this.account || isDoubtful) return;
    let { balance, held } = account;
    for (const entry of this.entries) {
      if (entry.number < missing) continue;
      balance += entry.balance;
      if (entry.number >= this.claimed || this.bug !== 'heldPending') held += entry.held;
    }
    this.#use('account', { balance, held });
  }

  #recordOf(hold: string, row: HoldRecord | undefined): HoldRecord {
    const { bug, ids } = this;
    const ends = (['p', 'v', 'e'] as const).map(end => ids.get(endId(hold, end, bug))?.record);
    const end = ends.find(Boolean);
    if (bug === 'rowAlone') return row ?? NONE;
    if (row && row.state !== 'o') return row;
    const held = row ?? ids.get(heldId(hold))?.record;
    if (!held) return NONE;
    return end ?? held;
  }
}
