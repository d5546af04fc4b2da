/** Writes ledger entries and their balances, inside the store's transaction. */
import type { PoolConnection } from 'mysql2/promise';
import { randomToken } from '../shared/clock.ts';
import { AnswerMissingError } from '../shared/errors.ts';
import { itemOf } from '../shared/item.ts';
import { queryRow, queryRows, readSql } from '../shared/mysql/database.ts';
import { jsonParts } from '../shared/mysql/statement-size.ts';
import { creditedBy, type EntryContent, type RecordedEntry } from '../shared/updates/record.ts';
import { RefusedValueError } from '../shared/values/refusal.ts';
import type { Addition, ValueTable, ValueTables } from '../shared/values/tables.ts';
import type { Batch } from './batch.ts';
import type { FloorWatch } from './floors.ts';
import { deleteTransfers, insertTransfers, type Transfer, transferOf } from './transfers.ts';

const INSERT = readSql(new URL('./sql/insert-entries.sql', import.meta.url));
const INSERT_TRANSFERS = readSql(new URL('./sql/insert-transfer-entries.sql', import.meta.url));
const NEXT = readSql(new URL('./sql/next-ledger-number.sql', import.meta.url));
const QUARANTINED = readSql(new URL('./sql/with-quarantined.sql', import.meta.url));
const FIND = readSql(new URL('./sql/find-entries.sql', import.meta.url));
/** Ledger numbers of a batch: from its sequence times this to before the next batch's. */
const NUMBERS_PER_BATCH = 65_536;

/** The primary key of a ledger row. */
export interface LedgerKey {
  readonly partition: number;
  readonly number: bigint;
  /** The name of the transfer, if the entry is the debit of one; random by default. */
  readonly transfer?: string;
}

/** What was written. */
interface WrittenEntries {
  /** Number of balances. */
  readonly accounts: number;
  /** The tables that hold these balances. */
  readonly tables: Iterable<ValueTable>;
  /** Transfers of the debits. */
  readonly transfers: readonly Transfer[];
}

/** An entry as the ledger stores it. */
export type LedgerEntry = Omit<RecordedEntry, 'balance' | 'payload'>;

/** @param position of the entry in the batch with this sequence */
export function ledgerNumber(sequence: number, position: number): bigint {
  return BigInt(sequence) * BigInt(NUMBERS_PER_BATCH) + BigInt(position);
}

/** The ledger keys of the entries of these batches. */
export function ledgerKeys(
  batches: readonly Pick<Batch, 'partition' | 'sequence' | 'token' | 'entries'>[],
): (entry: RecordedEntry) => LedgerKey {
  const keys = new Map<RecordedEntry, LedgerKey>();
  // By position in the whole batch: a part that is written by itself leaves the numbers of other parts free.
  for (const { partition, sequence, token, entries } of batches)
    for (const [position, entry] of entries.entries()) {
      const number = ledgerNumber(sequence, position);
      const isTransfer = entry.other !== undefined;
      keys.set(
        entry,
        isTransfer ? { partition, number, transfer: `${token}:${position}` } : { partition, number },
      );
    }
  return entry => keys.get(entry)!;
}

/** The ledger's form of an entry that was in quarantine. @param quarantinedAt Unix time, ms */
export function quarantinedEntry(content: EntryContent, quarantinedAt: number): LedgerEntry {
  const item = itemOf(content.program, content.account);
  // Quarantine does not store when the entry was accepted; it was about a flush interval before.
  return { ...content, item, acceptedAt: quarantinedAt };
}

export class EntryWriter {
  readonly #tables: ValueTables;

  constructor(tables: ValueTables) {
    this.#tables = tables;
  }

  /**
   * Adds the amounts to the balances and inserts the rows. Of the entries of transfers, a debit also notes the
   * transfer as in transit, and a credit uses its right up. After an error the caller must roll back to its
   * savepoint or end the transaction.
   * @param entries of any partitions; each account is in one
   * @param floors gets each balance before and after
   * @throws RefusedValueError, or the error of MySQL; AnswerMissingError for a credit without a right
   */
  async write<Entry extends LedgerEntry>(
    connection: PoolConnection,
    entries: readonly Entry[],
    keyOf: (entry: Entry) => LedgerKey,
    floors?: Pick<FloorWatch, 'note'>,
  ): Promise<WrittenEntries> {
    const sums = this.#sums(entries);
    const byTable = Map.groupBy(sums.values(), ({ name }) => this.#tables.of('p', name));
    const before = new Map<string, number>();
    for (const [table, group] of byTable) {
      const rows = group.sort((a, b) => (a.key < b.key ? -1 : 1));
      await table.add(connection, rows);
      for (const [item, balance] of await table.values(connection, rows))
        before.set(item, balance - sums.get(item)!.amount);
    }
    const transfers = await this.#insert(connection, entries, keyOf, new Map(before));
    if (floors)
      for (const [item, { name, key, amount }] of sums)
        floors.note(item, name, key, before.get(item)!, before.get(item)! + amount);
    return { accounts: sums.size, tables: byTable.keys(), transfers };
  }

  /** Sums of the amounts by account. @throws RefusedValueError */
  #sums(entries: readonly LedgerEntry[]): Map<string, Addition & { amount: number }> {
    const sums = new Map<string, Addition & { amount: number }>();
    for (const { program, account, item, amount } of entries) {
      const sum = sums.get(item);
      if (!sum) sums.set(item, { name: program, key: account, amount });
      else sum.amount += amount;
      // Bisecting finds parts whose sums are exact.
      if (sum && !Number.isSafeInteger(sum.amount)) throw new RefusedValueError('OUT_OF_RANGE');
    }
    return sums;
  }

  /** @param balances before the entries; updated with each entry */
  async #insert<Entry extends LedgerEntry>(
    connection: PoolConnection,
    entries: readonly Entry[],
    keyOf: (entry: Entry) => LedgerKey,
    balances: Map<string, number>,
  ): Promise<Transfer[]> {
    const transfers: Transfer[] = [];
    const credits: LedgerEntry[] = [];
    const rows = entries.map(entry => {
      const { program, account, item, id, amount, reason, metadata, acceptedAt, other } = entry;
      const before = balances.get(item);
      if (before === undefined) throw new AnswerMissingError(`the balance of an account of ${program}`);
      const balance = before + amount;
      if (!Number.isSafeInteger(balance)) throw new RefusedValueError('OUT_OF_RANGE');
      balances.set(item, balance);
      const { partition, number, transfer } = keyOf(entry);
      const row: unknown[] = [partition, number.toString(), program, account, id, amount, balance];
      row.push(reason, metadata, acceptedAt);
      if (other === undefined) return row;
      const credited = creditedBy(entry);
      if (credited !== undefined) credits.push(entry);
      else transfers.push(transferOf(entry, transfer ?? randomToken()));
      row.push(credited ?? transfers.at(-1)!.transfer, other);
      return row;
    });
    const hasTransfers = transfers.length + credits.length > 0;
    const insert = hasTransfers ? INSERT_TRANSFERS : INSERT;
    for (const { json } of jsonParts(connection, rows, row => row)) await connection.query(insert, [json]);
    if (hasTransfers) {
      await insertTransfers(connection, transfers);
      await deleteTransfers(connection, credits);
    }
    return transfers;
  }

  /**
   * The free ledger numbers after all batches up to the watermark and before the next batch. The caller holds
   * the watermark's lock.
   */
  async nextNumbers(
    connection: PoolConnection,
    partition: number,
    sequence: number,
  ): Promise<{ readonly first: bigint; readonly free: number }> {
    const first = ledgerNumber(sequence, 0);
    const end = ledgerNumber(sequence, NUMBERS_PER_BATCH);
    const row = await queryRow(connection, NEXT, [String(first), partition, String(end)]);
    const next = row.ledger_no === null ? end : BigInt(String(row.ledger_no));
    return { first: next, free: Number(end - next) };
  }

  /** Entries whose accounts their tables refuse, as far as a check without a write can tell. */
  async refusals(connection: PoolConnection, entries: readonly RecordedEntry[]) {
    const refused = new Map<RecordedEntry, RefusedValueError>();
    for (const [table, group] of Map.groupBy(entries, entry => this.#tables.of('p', entry.program))) {
      const byItem = Map.groupBy(group, entry => entry.item);
      const rows = [...byItem].map(([item, [entry]]) => ({
        item,
        name: entry!.program,
        key: entry!.account,
        amount: 0,
      }));
      for (const [{ item }, error] of await table.refusals(connection, rows))
        for (const entry of byItem.get(item)!) refused.set(entry, error);
    }
    return refused;
  }

  /** Which of these partitions have entries in quarantine. */
  async withQuarantined(connection: PoolConnection, partitions: readonly number[]): Promise<Set<number>> {
    const rows = await queryRows(connection, QUARANTINED, [partitions]);
    return new Set(rows.filter(row => row.found !== null).map(row => Number(row.partition_id)));
  }

  /**
   * Separates fresh entries from late ones: their ids are in the ledger or in quarantine already, and Redis
   * forgot them. Counts those in quarantine.
   */
  async splitLate(connection: PoolConnection, entries: readonly RecordedEntry[]) {
    const known = new Map<string, boolean>();
    const idOf = ({ program, account, id }: RecordedEntry) => [program, account, id];
    for (const { json } of jsonParts(connection, entries, idOf, 2))
      for (const { program, account, entry_id: id, is_quarantined: isQuarantined } of await queryRows(
        connection,
        FIND,
        [json, json],
      )) {
        const name = JSON.stringify([itemOf(String(program), String(account)), String(id)]);
        known.set(name, Number(isQuarantined) === 1 || known.get(name) === true);
      }
    const late: RecordedEntry[] = [];
    const fresh: RecordedEntry[] = [];
    let quarantinedBefore = 0;
    for (const entry of entries) {
      const isQuarantined = known.get(JSON.stringify([entry.item, entry.id]));
      (isQuarantined === undefined ? fresh : late).push(entry);
      if (isQuarantined) quarantinedBefore++;
    }
    return { late, fresh, quarantinedBefore };
  }
}
