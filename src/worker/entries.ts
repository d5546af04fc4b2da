/** Writes ledger entries and the balances that they lead to, inside the store's transaction. */

import type { PoolConnection } from 'mysql2/promise';
import { AnswerMissingError } from '../shared/errors.ts';
import { itemOf } from '../shared/keys.ts';
import { queryRow, queryRows, readSql } from '../shared/mysql.ts';
import type { RecordedEntry } from '../shared/record.ts';
import { RefusedValueError } from '../shared/refusal.ts';
import { jsonParts } from '../shared/statement-size.ts';
import type { Addition, ValueTable, ValueTables } from '../shared/tables.ts';
import type { FloorWatch } from './floors.ts';

const INSERT = readSql(new URL('./sql/insert-entries.sql', import.meta.url));
const NEXT = readSql(new URL('./sql/next-ledger-number.sql', import.meta.url));
const FIND = readSql(new URL('./sql/find-entries.sql', import.meta.url));
/** Ledger numbers that a batch has: its sequence times this, and those up to the next batch's. */
const PLACES = 65_536;

/** What the ledger keeps of an entry. */
export type LedgerEntry = Omit<RecordedEntry, 'balance' | 'payload'>;

export class EntryWriter {
  readonly #tables: ValueTables;

  constructor(tables: ValueTables) {
    this.#tables = tables;
  }

  /**
   * Adds the amounts to the balances and inserts the rows, all or nothing with the caller's transaction or savepoint.
   * @param all the whole batch, by which ledger numbers are given
   * @param floors is told of the balances
   * @returns how many balances it wrote
   * @throws RefusedValueError, or what MySQL threw
   */
  async write(
    connection: PoolConnection,
    partition: number,
    sequence: number,
    entries: readonly RecordedEntry[],
    all = entries,
    floors?: FloorWatch,
  ): Promise<number> {
    const places = all === entries ? undefined : new Map(all.map((entry, place) => [entry, place]));
    const first = BigInt(sequence) * BigInt(PLACES);
    return this.writeAt(
      connection,
      partition,
      entries,
      (entry, place) => first + BigInt(places?.get(entry) ?? place),
      floors,
    );
  }

  /** As `write`, with ledger numbers that the caller gives. */
  async writeAt<Entry extends LedgerEntry>(
    connection: PoolConnection,
    partition: number,
    entries: readonly Entry[],
    ledgerNumber: (entry: Entry, place: number) => bigint,
    floors?: FloorWatch,
  ): Promise<number> {
    if (entries.length === 0) return 0;
    const byTable = new Map<ValueTable, Map<string, Addition & { amount: number }>>();
    for (const { program, account, item, amount } of entries) {
      const table = this.#tables.of('p', program);
      const sums = byTable.get(table) ?? new Map<string, Addition & { amount: number }>();
      byTable.set(table, sums);
      const sum = sums.get(item);
      if (sum) sum.amount += amount;
      // Bisecting then finds parts whose sums are exact.
      if (sum && !Number.isSafeInteger(sum.amount)) throw new RefusedValueError('OUT_OF_RANGE');
      if (!sum) sums.set(item, { name: program, key: account, amount });
    }
    const balances = new Map<string, number>();
    let accounts = 0;
    for (const [table, sums] of byTable) {
      const rows = [...sums.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
      await table.add(connection, rows);
      for (const [item, balance] of await table.values(connection, rows))
        balances.set(item, balance - sums.get(item)!.amount);
      accounts += rows.length;
    }
    const rows = entries.map((entry, place) => {
      const before = balances.get(entry.item);
      if (before === undefined) throw new AnswerMissingError(`the balance of an account of ${entry.program}`);
      const balance = before + entry.amount;
      if (!Number.isSafeInteger(balance)) throw new RefusedValueError('OUT_OF_RANGE');
      balances.set(entry.item, balance);
      const { program, account, id, amount, reason, metadata, acceptedAt } = entry;
      return [
        ledgerNumber(entry, place).toString(),
        program,
        account,
        id,
        amount,
        balance,
        reason,
        metadata,
        acceptedAt,
      ];
    });
    for (const { json } of jsonParts(connection, rows, row => row))
      await connection.query(INSERT, [partition, json]);
    if (floors)
      for (const sums of byTable.values())
        for (const [item, { name, key, amount }] of sums) {
          const balance = balances.get(item)!;
          floors.note(item, name, key, balance - amount, balance);
        }
    return accounts;
  }

  /**
   * Ledger numbers behind everything that the partition's batches up to the watermark have, and before what its next batch
   * will have. Runs under the watermark's lock.
   */
  async nextPlaces(
    connection: PoolConnection,
    partition: number,
    sequence: number,
  ): Promise<{ readonly first: bigint; readonly free: number }> {
    const first = BigInt(sequence) * BigInt(PLACES);
    const behind = first + BigInt(PLACES);
    const row = await queryRow(connection, NEXT, [String(first), partition, String(behind)]);
    const next = row.ledger_no === null ? behind : BigInt(String(row.ledger_no));
    return { first: next, free: Number(behind - next) };
  }

  /** Entries whose accounts their tables refuse, as far as that can be told without trying. */
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

  async hasQuarantined(connection: PoolConnection, partition: number): Promise<boolean> {
    const rows = await queryRows(
      connection,
      "SELECT 1 FROM sluice_quarantine WHERE partition_id = ? AND kind = 'entry' LIMIT 1",
      [partition],
    );
    return rows.length > 0;
  }

  /**
   * Parts entries that the ledger or the quarantine has already (their id outlived Redis' memory) from fresh ones, and
   * counts those that are in quarantine.
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
