/** Redis as transfers see it: the state of a partition, and each script on it as one step. */
import { creditId } from '../../../src/shared/updates/record.ts';
import type { TransferBug } from './bugs.ts';
import type { TransferRow, Watermark } from './mysql.ts';

/** A pending update of an account. */
export interface Entry {
  readonly kind: 'entry' | 'credit' | 'amendment';
  readonly account: string;
  readonly id: string;
  readonly amount: number;
  /** The destination of a debit that begins a transfer. */
  readonly to?: string;
  /** The transfer, if this is a credit. */
  readonly transfer?: string;
  /** The row in quarantine, if this is an amendment. */
  readonly row?: number;
  readonly number: number;
}

export interface Batch {
  readonly partition: number;
  readonly sequence: number;
  readonly token: string;
  readonly epoch: string;
  readonly entries: readonly Entry[];
}

const MOST_ENTRIES = 2;

export class Redis {
  epoch = 'e0';
  sequence = 0;
  token = '';
  pending: Entry[] = [];
  flight: Entry[] = [];
  /** Ids of accounts, and whether their entries are acknowledged. */
  ids = new Map<string, boolean>();
  /** Only for a bug: ids that a trim forgets, whatever has them by then. */
  marks = new Set<string>();
  live = new Map<string, number>();
  next = 1;
  acknowledged = 1;
  doubtful = 0;
  isFull = false;

  copy(): Redis {
    const copy = Object.assign(new Redis(), this);
    copy.pending = [...this.pending];
    copy.flight = [...this.flight];
    copy.ids = new Map(this.ids);
    copy.marks = new Set(this.marks);
    copy.live = new Map(this.live);
    return copy;
  }

  /** What MySQL has not, if it is where `fits` says. */
  get entries(): readonly Entry[] {
    return this.token ? [...this.flight, ...this.pending] : this.pending;
  }

  /** The test of load.lua: Redis has exactly what MySQL at this watermark has not. */
  fits(watermark: Watermark, bug?: TransferBug): boolean {
    if (bug === 'noFence') return true;
    if (this.epoch !== watermark.epoch && bug !== 'oldEpoch') return false;
    if (!this.token) return this.sequence === watermark.sequence;
    if (this.sequence === watermark.sequence + 1) return true;
    return this.sequence === watermark.sequence && this.token === watermark.token;
  }

  /** Whether Redis has lost what MySQL has, and no flush or alignment has found out. */
  isBehind({ sequence, token }: Watermark): boolean {
    return (
      this.sequence < sequence || (this.token !== '' && this.sequence === sequence && this.token !== token)
    );
  }

  /** Whether MySQL went back in time. */
  isAhead({ sequence }: Watermark): boolean {
    return this.sequence > sequence + (this.token ? 1 : 0);
  }

  /** apply.lua */
  apply(entry: Omit<Entry, 'number'>): 'accepted' | 'duplicate' | 'cold' | 'full' | 'refused' {
    const { account, id, amount } = entry;
    if (this.ids.has(`${account} ${id}`)) return 'duplicate';
    const live = this.live.get(account);
    if (live === undefined) return 'cold';
    if (this.isFull) return 'full';
    if (amount < 0 && live + amount < 0) return 'refused';
    this.#put(entry);
    return 'accepted';
  }

  /** The amendment of a drop. */
  amend(account: string, row: number, amount: number): void {
    if (this.pending.some(entry => entry.row === row) || this.flight.some(entry => entry.row === row)) return;
    this.#put({ kind: 'amendment', account, id: `amendment ${row}`, amount, row });
  }

  /** The script of the credits. @returns the ones that it accepted, or `again` */
  credit(rows: readonly TransferRow[], watermark: Watermark, bug?: TransferBug): 'again' | Entry[] {
    if (!this.fits(watermark, bug) || this.isFull) return 'again';
    return rows.flatMap(({ transfer, account, amount }) => {
      const id = creditId(transfer);
      if (this.ids.has(`${account} ${id}`)) return [];
      return [this.#put({ kind: 'credit', account, id, amount, transfer })];
    });
  }

  #put(entry: Omit<Entry, 'number'>): Entry {
    const numbered = { ...entry, number: this.next++ };
    this.ids.set(`${entry.account} ${entry.id}`, false);
    this.pending.push(numbered);
    const live = this.live.get(entry.account);
    if (live !== undefined) this.live.set(entry.account, live + entry.amount);
    return numbered;
  }

  /** claim.lua */
  claim(partition: number, newToken: string): Batch | undefined {
    if (!this.token) {
      if (this.pending.length === 0) return undefined;
      this.flight = this.pending.splice(0, MOST_ENTRIES);
      this.sequence++;
      this.token = newToken;
    }
    const { sequence, token, epoch, flight: entries } = this;
    return { partition, sequence, token, epoch, entries };
  }

  /** ack.lua */
  ack(token: string, reload: ReadonlySet<string>, bug?: TransferBug): void {
    if (this.token !== token) return;
    for (const { account, id, kind, number } of this.flight) {
      const name = `${account} ${id}`;
      if (bug === 'idsTrimmed') this.marks.add(name);
      if (kind === 'credit' && bug !== 'idsKept') this.ids.delete(name);
      else if (this.ids.has(name)) this.ids.set(name, true);
      this.acknowledged = number + 1;
    }
    this.token = '';
    this.flight = [];
    for (const account of reload) this.live.delete(account);
  }

  /** rewind.lua */
  rewind({ token, sequence }: Batch, to: number, epoch: string): boolean {
    if (this.token !== token || this.sequence !== sequence) return false;
    if (to !== sequence) this.doubtful = this.next;
    this.sequence = to;
    this.#begin(epoch);
    return true;
  }

  /** trim.lua, once the window of all that is acknowledged has ended. */
  trim(): void {
    for (const [id, isAcknowledged] of this.ids) if (isAcknowledged) this.ids.delete(id);
    for (const id of this.marks) this.ids.delete(id);
    this.marks.clear();
  }

  /** adopt.lua */
  adopt(seen: string, epoch: string, sequence: number): boolean {
    if (this.epoch !== seen) return false;
    if (!this.token && this.sequence < sequence) {
      this.sequence = sequence;
      this.doubtful = this.next;
    }
    this.#begin(epoch);
    return true;
  }

  /** The move of recover.lua, which forgets the ids of entries that MySQL may have lost. */
  recover(epoch: string): void {
    this.trim();
    this.#begin(epoch);
  }

  #begin(epoch: string): void {
    this.epoch = epoch;
    this.live.clear();
  }

  /** load.lua */
  load(account: string, value: number, watermark: Watermark): void {
    if (!this.fits(watermark) || this.acknowledged < this.doubtful || this.live.has(account)) return;
    const entries = this.sequence === watermark.sequence + 1 ? this.entries : this.pending;
    let live = value;
    for (const entry of entries) if (entry.account === account) live += entry.amount;
    this.live.set(account, live);
  }
}
