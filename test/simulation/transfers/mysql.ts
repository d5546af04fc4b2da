/**
 * MySQL as transfers see it: what is committed, transactions of which others see nothing, and the locks of
 * the watermarks.
 */
import { type Decision, decideStepwise } from '../../../src/shared/partition/decision.ts';
import { creditId } from '../../../src/shared/updates/record.ts';
import type { TransferBug } from './bugs.ts';
import type { Batch, Entry } from './redis.ts';

export interface Watermark {
  readonly sequence: number;
  readonly token: string;
  readonly epoch: string;
}

export interface TransferRow {
  readonly transfer: string;
  readonly from: string;
  /** The account that the credit is for. */
  readonly account: string;
  readonly amount: number;
  readonly state: 'open' | 'aside';
}

export interface LedgerRow {
  readonly account: string;
  readonly id: string;
  readonly amount: number;
  readonly transfer?: string;
}

export interface QuarantineRow {
  readonly row: number;
  readonly entry: Entry;
  /** Whether a drop has taken it. */
  readonly isTaken: boolean;
}

/** What the commit of a batch found, for its ack. */
export interface Outcome {
  readonly sequence: number;
  /** Accounts of live values to delete. */
  readonly reload: ReadonlySet<string>;
}

/** What MySQL does with the credits or the debits of a partition. */
export type Mood = 'takes' | 'refuses' | 'holds';

export class Tables {
  watermarks: Watermark[] = [];
  journals: Map<string, Outcome>[] = [];
  balances = new Map<string, number>();
  entries: LedgerRow[] = [];
  transfers = new Map<string, TransferRow>();
  quarantine: QuarantineRow[] = [];

  copy(): Tables {
    const copy = new Tables();
    copy.watermarks = [...this.watermarks];
    copy.journals = this.journals.map(journal => new Map(journal));
    copy.balances = new Map(this.balances);
    copy.entries = [...this.entries];
    copy.transfers = new Map(this.transfers);
    copy.quarantine = [...this.quarantine];
    return copy;
  }

  add(row: LedgerRow): void {
    this.entries.push(row);
    this.balances.set(row.account, this.balances.get(row.account)! + row.amount);
  }

  has(account: string, id: string): boolean {
    return (
      this.entries.some(row => row.account === account && row.id === id) ||
      this.quarantine.some(({ entry }) => entry.account === account && entry.id === id)
    );
  }

  /** The value of a cold read. */
  valueOf(account: string): number {
    let value = this.balances.get(account)!;
    for (const { entry } of this.quarantine) if (entry.account === account) value += entry.amount;
    return value;
  }
}

type Change = (tables: Tables) => void;

export class Transaction {
  readonly locks = new Set<number>();
  readonly changes: Change[] = [];
  /** What this transaction sees, once it has written. */
  #view: Tables | undefined;
  readonly #committed: () => Tables;

  constructor(committed: () => Tables) {
    this.#committed = committed;
  }

  get sees(): Tables {
    return this.#view ?? this.#committed();
  }

  write(change: Change): void {
    this.#view ??= this.#committed().copy();
    change(this.#view);
    this.changes.push(change);
  }
}

/** The table of decisions, with the answers that it asks for. */
export function decide(
  { token, sequence }: Batch,
  tables: Tables,
  partition: number,
  inFlight: boolean,
): Decision {
  const journal = tables.journals[partition]!;
  const steps = decideStepwise({ token, sequence }, tables.watermarks[partition]!);
  const facts = {
    recorded: () => journal.has(token),
    inFlight: () => inFlight,
    oldestInJournal: () => Math.min(...[...journal.values()].map(outcome => outcome.sequence)),
  };
  let step = steps.next();
  while (!step.done) step = steps.next(facts[step.value]());
  return step.value;
}

/** Writes a batch and the move of its watermark. */
export class BatchWriting {
  readonly #transaction: Transaction;
  readonly #moods: { readonly credits: Mood; readonly debits: Mood };
  readonly #bug: TransferBug | undefined;
  readonly #newRow: () => number;
  readonly reload = new Set<string>();
  /** Rows that this batch inserts, so that their credits can be sent. */
  readonly rows: TransferRow[] = [];

  constructor(
    transaction: Transaction,
    moods: { readonly credits: Mood; readonly debits: Mood },
    newRow: () => number,
    bug: TransferBug | undefined,
  ) {
    this.#transaction = transaction;
    this.#moods = moods;
    this.#newRow = newRow;
    this.#bug = bug;
  }

  write({ partition, sequence, token, epoch, entries }: Batch): void {
    for (const [place, entry] of entries.entries()) {
      if (entry.kind === 'credit') this.#credit(entry);
      else if (entry.kind === 'amendment') this.#amendment(entry);
      else this.#entry(entry, `${token}.${place}`);
    }
    const { reload } = this;
    this.#transaction.write(tables => {
      tables.watermarks[partition] = { sequence, token, epoch };
      tables.journals[partition]!.set(token, { sequence, reload });
    });
  }

  #entry(entry: Entry, name: string): void {
    const bug = this.#bug;
    const transaction = this.#transaction;
    if (transaction.sees.has(entry.account, entry.id)) {
      this.reload.add(entry.account);
      if (bug === 'rowLate' && entry.to) this.rows.push(insertRow(transaction, entry, name));
      return;
    }
    if (this.#moods.debits !== 'takes') {
      this.#quarantine(entry);
      if (bug === 'rowOutside' && entry.to) this.rows.push(insertRow(transaction, entry, name));
      return;
    }
    addEntry(transaction, entry, entry.to && name);
    if (!entry.to) return;
    this.rows.push(bug === 'rowAfterCommit' ? rowOf(entry, name) : insertRow(transaction, entry, name));
  }

  /** The row is the right to credit. */
  #credit(entry: Entry): void {
    const bug = this.#bug;
    const { account, amount, transfer } = entry;
    const row = this.#transaction.sees.transfers.get(transfer!);
    if (!this.#hasRight(entry, row)) {
      if (bug !== 'liveKept') this.reload.add(account);
      return;
    }
    if (this.#moods.credits !== 'takes') {
      this.#refuse(entry, row);
      return;
    }
    this.#transaction.write(tables => {
      tables.add({ account, id: creditId(transfer!), amount, transfer: transfer! });
      if (bug !== 'keptRow') tables.transfers.delete(transfer!);
    });
  }

  #hasRight({ account, id }: Entry, row: TransferRow | undefined): boolean {
    const bug = this.#bug;
    if (bug === 'noRow' || bug === 'creditQuarantined') return !this.#transaction.sees.has(account, id);
    if (!row) return false;
    return row.state === 'open' && (row.account === account || bug === 'anyAccount');
  }

  #refuse(entry: Entry, row: TransferRow | undefined): void {
    const bug = this.#bug;
    if (bug === 'creditQuarantined') {
      this.#quarantine(entry);
      return;
    }
    if (bug !== 'asideLive') this.reload.add(entry.account);
    if (!row || this.#moods.credits === 'holds') return;
    this.#transaction.write(({ transfers }) => {
      if (bug === 'deleteOutside') transfers.delete(row.transfer);
      else transfers.set(row.transfer, { ...row, state: 'aside' });
    });
  }

  #quarantine(entry: Entry): void {
    const row = { row: this.#newRow(), entry, isTaken: false };
    this.#transaction.write(({ quarantine }) => quarantine.push(row));
  }

  #amendment({ account, row }: Entry): void {
    const isThere = this.#transaction.sees.quarantine.some(other => other.row === row);
    if (!isThere) this.reload.add(account);
    else this.#transaction.write(tables => removeQuarantined(tables, row!));
  }
}

export function removeQuarantined(tables: Tables, row: number): void {
  tables.quarantine = tables.quarantine.filter(other => other.row !== row);
}

function rowOf({ account, amount, to }: Entry, transfer: string): TransferRow {
  return { transfer, from: account, account: to!, amount: -amount, state: 'open' };
}

export function insertRow(transaction: Transaction, entry: Entry, transfer: string): TransferRow {
  const row = rowOf(entry, transfer);
  transaction.write(({ transfers }) => transfers.set(transfer, row));
  return row;
}

export function addEntry(
  transaction: Transaction,
  { account, id, amount }: Entry,
  transfer: string | undefined,
): void {
  const row = transfer === undefined ? { account, id, amount } : { account, id, amount, transfer };
  transaction.write(tables => tables.add(row));
}
