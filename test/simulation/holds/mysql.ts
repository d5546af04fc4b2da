/** MySQL as holds see it: the tables, and how a batch, a release and a replay write them under the lock. */
import { type Decision, decideStepwise } from '../../../src/shared/partition/decision.ts';
import type { HoldBug } from './bugs.ts';
import { agrees, type Entry, type HoldRecord } from './record.ts';
import type { Account, Batch } from './redis.ts';

export interface Watermark {
  readonly sequence: number;
  readonly token: string;
  readonly epoch: string;
}

/** A row in quarantine. */
export interface Row {
  readonly id: number;
  readonly entry: Entry;
  readonly cause: 'held' | 'refused';
  /** Whether a drop has taken it. */
  readonly isTaken: boolean;
}

/** What the commit of a batch found, for its ack. */
export interface Outcome {
  readonly sequence: number;
  /** Live values to delete: the account, and records by the hold's id. */
  readonly reload: ReadonlySet<string>;
  /** Ids to forget. */
  readonly gone: ReadonlySet<string>;
}

/** A cold read. */
export interface Found {
  readonly watermark: Watermark;
  readonly account: Account | undefined;
  /** Rows by hold; undefined for none. */
  readonly records: ReadonlyMap<string, HoldRecord | undefined>;
}

/** What the ledger does with entries. */
export type Mood = 'takes' | 'refuses' | 'holds';

/** What the model gives to whoever writes. */
export interface Scene {
  readonly mood: Mood;
  readonly bug: HoldBug | undefined;
  newNumber(): number;
  /** Called for what a batch leaves out. @param isThere whether MySQL says the same already */
  leftOut(entry: Entry, isThere: boolean): void;
}

export const FIRST_BALANCE = 6;

export class Tables {
  watermark: Watermark = { sequence: 0, token: '', epoch: 'e0' };
  journal = new Map<string, Outcome>();
  balance = FIRST_BALANCE;
  /** Amounts by id. */
  ledger = new Map<string, number>();
  holds = new Map<string, HoldRecord>();
  quarantine: readonly Row[] = [];

  copy(): Tables {
    const copy = Object.assign(new Tables(), this);
    copy.journal = new Map(this.journal);
    copy.ledger = new Map(this.ledger);
    copy.holds = new Map(this.holds);
    return copy;
  }

  /** What a cold read finds of the account. */
  get account(): Account {
    let { balance } = this;
    let held = 0;
    for (const { entry } of this.quarantine) balance += entry.balance;
    for (const { state, amount } of this.holds.values()) if (state === 'o') held += amount;
    return { balance, held };
  }

  /** A cold read: the account, records of holds, or both. */
  read(fields: readonly string[]): Found {
    const holds = fields.filter(field => field !== 'account');
    return {
      watermark: this.watermark,
      account: fields.includes('account') ? this.account : undefined,
      records: new Map(holds.map(hold => [hold, this.holds.get(hold)])),
    };
  }

  has(id: string): boolean {
    return this.ledger.has(id) || this.quarantine.some(({ entry }) => entry.id === id);
  }

  add({ id, balance }: Entry): void {
    this.ledger.set(id, balance);
    this.balance += balance;
  }

  row(id: number): Row | undefined {
    return this.quarantine.find(row => row.id === id);
  }

  remove(id: number): void {
    this.quarantine = this.quarantine.filter(row => row.id !== id);
  }

  replace(row: Row): void {
    this.quarantine = this.quarantine.map(other => (other.id === row.id ? row : other));
  }

  /** The table of decisions, with the answers that it asks for. */
  decide(batch: Batch, inFlight: boolean): Decision {
    const steps = decideStepwise(batch, this.watermark);
    const facts = {
      recorded: () => this.journal.has(batch.token),
      inFlight: () => inFlight,
      oldestInJournal: () => Math.min(...[...this.journal.values()].map(({ sequence }) => sequence)),
    };
    let step = steps.next();
    while (!step.done) step = steps.next(facts[step.value]());
    return step.value;
  }
}

/** Writes a batch, and the move of its watermark. */
export function writeBatch(
  tables: Tables,
  scene: Scene,
  { sequence, token, epoch, entries }: Batch,
): Outcome {
  const reload = new Set<string>();
  const gone = new Set<string>();
  const { bug } = scene;
  const ends = entries.filter(({ kind }) => kind === 'end');
  const others = entries.filter(({ kind }) => kind !== 'end');
  for (const entry of bug === 'endFirst' ? [...ends, ...others] : entries) {
    if (write(tables, scene, entry)) continue;
    const { kind, id, hold, record } = entry;
    if (kind === 'hold' || kind === 'end')
      scene.leftOut(entry, bug !== 'lateFails' && agrees(record!, tables.holds.get(hold!)));
    reload.add('account');
    if (hold !== undefined) reload.add(hold);
    gone.add(id);
  }
  const outcome = { sequence, reload, gone };
  tables.watermark = { sequence, token, epoch };
  tables.journal.set(token, outcome);
  return outcome;
}

/** @returns whether it counts */
function write(tables: Tables, scene: Scene, entry: Entry): boolean {
  const { kind, hold, record, row } = entry;
  if (kind === 'hold') {
    if (tables.holds.has(hold!)) return false;
    tables.holds.set(hold!, record!);
    return true;
  }
  if (kind === 'end') return end(tables, scene, entry);
  if (kind === 'entry') {
    if (tables.has(entry.id)) return false;
    spend(tables, scene, entry);
    return true;
  }
  if (!tables.row(row!)?.isTaken) return false;
  tables.remove(row!);
  return true;
}

/** The row is always ended; only the debit of a post may be set aside. */
function end(tables: Tables, scene: Scene, entry: Entry): boolean {
  const { bug, mood } = scene;
  const record = entry.record!;
  const row = tables.holds.get(entry.hold!);
  const isOpen = row?.state === 'o' && (record.more <= row.amount || bug === 'postAbove');
  if (!isOpen && !(bug === 'endsAny' && row)) return false;
  const isPost = record.state === 'p';
  const staysOpen = bug === 'postQuarantined' && isPost && mood !== 'takes';
  if (!staysOpen) tables.holds.set(entry.hold!, { ...record, amount: row!.amount });
  if (isPost) spend(tables, scene, entry);
  return true;
}

function spend(tables: Tables, { mood, newNumber }: Scene, entry: Entry): void {
  const isBehindHeld = tables.quarantine.some(({ cause }) => cause === 'held');
  if (mood === 'takes' && !isBehindHeld) {
    tables.add(entry);
    return;
  }
  const cause = mood === 'refuses' && !isBehindHeld ? 'refused' : 'held';
  tables.quarantine = [...tables.quarantine, { id: newNumber(), entry, cause, isTaken: false }];
}

/** Writes held rows in their order, once the table takes rows. */
export function release(tables: Tables, { mood }: Scene): void {
  for (const row of tables.quarantine) {
    if (row.cause !== 'held') continue;
    if (mood === 'refuses') {
      tables.replace({ ...row, cause: 'refused' });
      continue;
    }
    tables.add(row.entry);
    tables.remove(row.id);
  }
}

/** @returns whether it changed anything */
export function replay(tables: Tables, { mood }: Scene, id: number): boolean {
  const row = tables.row(id);
  if (!row || row.isTaken || mood !== 'takes') return false;
  tables.add(row.entry);
  tables.remove(id);
  return true;
}
