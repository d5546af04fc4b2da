/**
 * Counters and entries of a batch as rows: their tables, how they are written, how they are put aside. The
 * steps are the same for both kinds (batch-writer.ts, careful.ts).
 */
import type { PoolConnection } from 'mysql2/promise';
import { type KeyedKind, ROW_KINDS } from '../shared/item.ts';
import { creditedBy, isCredit, type RecordedEntry } from '../shared/updates/record.ts';
import type { RefusedValueError } from '../shared/values/refusal.ts';
import type { ValueTable, ValueTables } from '../shared/values/tables.ts';
import type { Batch, CounterSum } from './batch.ts';
import { type EntryWriter, ledgerKeys } from './entries.ts';
import type { FloorWatch } from './floors.ts';
import type { HeldUpdates } from './held.ts';
import { type AsideUpdate, type CodedUpdate, counterAside, entryAside, quarantine } from './quarantine.ts';
import { noteDriven, putAside, type Transfer } from './transfers.ts';

/** The result of an attempt so far. */
export interface Written {
  /** Ledger rows. */
  entries: number;
  /** Rows of values and of the ledger. */
  rows: number;
  refused: number;
  /** Updates put aside until their mapped table can be written. */
  held: number;
  /** Items of entries that were in the ledger or in quarantine already. */
  late: string[];
  /** How many of them were in quarantine. */
  quarantinedBefore: number;
  /** Kind and item of live values to reload. */
  readonly reload: string[];
  /** Tables that took rows. */
  took: Set<ValueTable>;
  /** Transfers whose debits were written. */
  readonly transfers: Transfer[];
  /** Credits that were written. */
  readonly credits: RecordedEntry[];
  /** Credits that were refused: their transfers are aside now. */
  aside: number;
  /** Credits that were left out: they have no right to be written now. */
  leftOut: number;
  /** Holds and ends that were left out: MySQL had the hold, or an end of it. */
  unheld: number;
  readonly floors: FloorWatch;
}

/** An attempt at a batch, inside the store's transaction. */
export interface BatchAttempt {
  readonly connection: PoolConnection;
  readonly batch: Batch;
  readonly written: Written;
}

/** The same for one part of the rows. */
interface Wrote {
  readonly entries: number;
  readonly rows: number;
  readonly tables: Iterable<ValueTable>;
  readonly transfers: readonly Transfer[];
  readonly credits: readonly RecordedEntry[];
}

export function note(written: Written, { entries, rows, tables, transfers, credits }: Wrote): void {
  written.entries += entries;
  written.rows += rows;
  for (const table of tables) written.took.add(table);
  written.transfers.push(...transfers);
  written.credits.push(...credits);
}

/** Notes that a credit is not written: the live value has it, so it is deleted. */
export function leaveOut(written: Written, { item }: RecordedEntry): void {
  written.leftOut++;
  written.reload.push(`p${item}`);
}

/** A row that MySQL refuses, with the error code. */
export interface RefusedRow<Item> {
  readonly row: Item;
  readonly code: string;
}

export interface BatchRows<Item extends { readonly item: string }> {
  readonly kind: AsideUpdate['kind'];
  /** Counter, program or value. */
  nameOf(row: Item): string;
  tableOf(row: Item): ValueTable;
  /** Rows that their tables refuse, as far as a check without a write can tell. */
  refusals(rows: readonly Item[]): Promise<ReadonlyMap<Item, RefusedValueError>>;
  /**
   * Writes the rows. After an error the caller must roll back to its savepoint or end the transaction.
   * @throws RefusedValueError, or the error of MySQL
   */
  write(rows: readonly Item[]): Promise<Wrote>;
  /** Puts rows aside that MySQL refuses. */
  refuse(refused: readonly RefusedRow<Item>[]): Promise<void>;
  /** Puts rows aside until their table can be written. @param codeOf why a row cannot go there */
  hold(rows: readonly Item[], codeOf: (row: Item) => string): Promise<void>;
}

async function refuse({ connection, batch, written }: BatchAttempt, updates: readonly CodedUpdate[]) {
  written.refused += updates.length;
  await quarantine(connection, batch, updates, 'refused');
}

/** @param kind of all its rows: counters, or values of one rule */
export function counterRows(
  kind: KeyedKind,
  attempt: BatchAttempt,
  tables: ValueTables,
  held: HeldUpdates,
): BatchRows<CounterSum> {
  const { connection, batch, written } = attempt;
  const tableOf = ({ name }: CounterSum) => tables.of(kind, name);
  return {
    kind: ROW_KINDS[kind],
    nameOf: ({ name }) => name,
    tableOf,
    refusals: async sums => {
      const refused = new Map<CounterSum, RefusedValueError>();
      for (const [table, some] of Map.groupBy(sums, tableOf))
        for (const [sum, error] of await table.refusals(connection, some)) refused.set(sum, error);
      return refused;
    },
    write: async sums => {
      const byTable = Map.groupBy(sums, tableOf);
      for (const [table, some] of byTable) await table.add(connection, some);
      return { entries: 0, rows: sums.length, tables: byTable.keys(), transfers: [], credits: [] };
    },
    refuse: refused =>
      refuse(
        attempt,
        refused.map(({ row, code }) => ({ ...counterAside(row), code })),
      ),
    hold: async (sums, codeOf) => {
      written.held += sums.length;
      await held.counters(connection, batch, sums, codeOf);
    },
  };
}

export function entryRows(
  attempt: BatchAttempt,
  valueTables: ValueTables,
  held: HeldUpdates,
  writer: EntryWriter,
): BatchRows<RecordedEntry> {
  const { connection, batch, written } = attempt;
  const keyOf = ledgerKeys([batch]);
  return {
    kind: 'entry',
    nameOf: ({ program }) => program,
    tableOf: ({ program }) => valueTables.of('p', program),
    refusals: entries => writer.refusals(connection, entries),
    write: async entries => {
      const { accounts, tables, transfers } = await writer.write(connection, entries, keyOf, written.floors);
      const rows = entries.length + accounts;
      return { entries: entries.length, rows, tables, transfers, credits: entries.filter(isCredit) };
    },
    refuse: async refused => {
      const credits = refused.filter(({ row }) => isCredit(row));
      written.aside += credits.length;
      for (const { row } of credits) written.reload.push(`p${row.item}`);
      await putAside(connection, credits);
      const others = refused.filter(({ row }) => !isCredit(row));
      await refuse(
        attempt,
        others.map(({ row, code }) => ({ ...entryAside(row), code })),
      );
    },
    // Credits wait in their open rows, which may become another account's.
    hold: async (entries, codeOf) => {
      const credits = entries.filter(entry => creditedBy(entry) !== undefined);
      for (const credit of credits) leaveOut(written, credit);
      await noteDriven(
        connection,
        credits.map(credit => creditedBy(credit)!),
      );
      const others = credits.length === 0 ? entries : entries.filter(entry => !credits.includes(entry));
      written.held += others.length;
      await held.entries(connection, batch, others, codeOf);
    },
  };
}
