/**
 * Holds updates whose mapped table cannot be written: they go into quarantine with the cause `held`, in the
 * transaction of their batch. release.ts writes them once the table takes rows.
 *
 * Invariant: while an update of a key is held, later updates of that key are held behind it. So they reach
 * the table in order, and no debit gets there before the credit that covers it. The partition's watermark row
 * says whether any is held.
 */
import type { PoolConnection } from 'mysql2/promise';
import { isValueKind, itemOf, type KeyedKind, kindOfRow, ROW_KINDS, type RowKind } from '../shared/item.ts';
import { keptOf } from '../shared/kept-value.ts';
import { queryRows, type Rows, readSql } from '../shared/mysql/database.ts';
import { jsonParts, keyLists } from '../shared/mysql/statement-size.ts';
import { setMayHold } from '../shared/partition/watermark.ts';
import type { RecordedEntry } from '../shared/updates/record.ts';
import type { ValueTables } from '../shared/values/tables.ts';
import { tableFailureCode } from '../shared/values/target-table.ts';
import type { Batch, CounterSum } from './batch.ts';
import { counterAside, counterPayload, entryAside, quarantine } from './quarantine.ts';
import type { TableHealth } from './table-health.ts';

const sql = (name: string) => readSql(new URL(`./sql/${name}.sql`, import.meta.url));
const NAMES = sql('held-names');
const KEYS = sql('held-keys');
const COUNTERS = sql('held-counters');
const MERGE = sql('merge-held');
const LOCK = 'SELECT * FROM sluice_quarantine WHERE id IN (?) FOR UPDATE';
const AT_ONCE = 1000;

type Origin = Pick<Batch, 'partition' | 'sequence'>;

/** Which updates of a batch must be held. */
export interface HoldRule {
  /** False if none must. */
  readonly holdsAny: boolean;
  /** Why the update must be held; undefined if it can be written. */
  codeOf(kind: RowKind, name: string, item: string): string | undefined;
}

const HOLD_NONE: HoldRule = { holdsAny: false, codeOf: () => undefined };

export class HeldUpdates {
  readonly #tables: ValueTables;
  readonly #health: TableHealth;

  constructor(tables: ValueTables, health: TableHealth) {
    this.#tables = tables;
    this.#health = health;
  }

  /**
   * Holds all updates of a table that is known to take no rows, and of keys with a held update. Makes no
   * query if nothing can be held. The caller holds the watermark's lock.
   * @param mayHold whether the partition may have held updates, from the watermark row
   */
  async rule(connection: PoolConnection, batch: Batch, mayHold: boolean): Promise<HoldRule> {
    const isFailing = this.#health.failing.length > 0;
    if (!isFailing && !mayHold) return HOLD_NONE;
    const keys = mayHold ? await this.#heldKeys(connection, batch) : new Map<string, string>();
    if (!isFailing && keys.size === 0) return HOLD_NONE;
    return {
      holdsAny: true,
      codeOf: (kind, name, item) => {
        const problem = isFailing && this.#health.problem(this.#tables.of(kindOfRow(kind), name));
        return problem ? tableFailureCode(problem) : keys.get(kind + item);
      },
    };
  }

  async #heldKeys(connection: PoolConnection, batch: Batch): Promise<Map<string, string>> {
    this.#health.mayHold = true;
    const names = await queryRows(connection, NAMES, [batch.partition]);
    const held = new Set(names.map(({ kind, name }) => `${kind} ${name}`));
    const found = new Map<string, string>();
    if (held.size === 0) {
      await setMayHold(connection, batch.partition, false);
      return found;
    }
    const accounts = new Map(batch.entries.map(entry => [entry.item, [entry.program, entry.account]]));
    const ofBatch = Map.groupBy(
      batch.counters.map(({ kind, name, key }) => ({ kind: ROW_KINDS[kind] as RowKind, row: [name, key] })),
      ({ kind }) => kind,
    );
    const entries = [...accounts.values()].map(row => ({ kind: 'entry' as const, row }));
    for (const [kind, keyed] of ofBatch.set('entry', entries)) {
      const all = keyed.map(({ row }) => row);
      const asked = all.filter(([name]) => held.has(`${kind} ${name}`));
      for (const { json } of jsonParts(connection, asked, row => row))
        for (const { name, item_key: key, error_code: code } of await queryRows(connection, KEYS, [
          json,
          kind,
        ]))
          found.set(kind + itemOf(String(name), String(key)), String(code));
    }
    return found;
  }

  /**
   * Holds sums or values of one kind, in one row for each key, however long the table fails. A sum is merged into the row in its
   * batch's transaction, so it counts exactly once. A row that an operation has taken stays as the operator
   * saw it.
   */
  async counters(
    connection: PoolConnection,
    origin: Origin,
    sums: readonly CounterSum[],
    codeOf: (sum: CounterSum) => string,
  ): Promise<void> {
    if (sums.length === 0) return;
    await this.note(connection, origin.partition);
    const merged = await this.#merge(connection, origin, sums);
    const fresh = sums.filter(sum => !merged.has(sum.item));
    const rows = fresh.map(sum => ({ ...counterAside(sum), code: codeOf(sum) }));
    await quarantine(connection, origin, rows, 'held');
  }

  async entries(
    connection: PoolConnection,
    origin: Origin,
    entries: readonly RecordedEntry[],
    codeOf: (entry: RecordedEntry) => string,
  ): Promise<void> {
    if (entries.length === 0) return;
    await this.note(connection, origin.partition);
    const rows = entries.map(entry => ({ ...entryAside(entry), code: codeOf(entry) }));
    await quarantine(connection, origin, rows, 'held');
  }

  /** Notes that the partition has held updates: the next flush looks for them, and so does this process. */
  async note(connection: PoolConnection, partition: number): Promise<void> {
    this.#health.mayHold = true;
    await setMayHold(connection, partition, true);
  }

  /** Adds sums to the held rows of their keys, or keeps one of both values. @returns the items that had one */
  async #merge(connection: PoolConnection, { sequence }: Origin, sums: readonly CounterSum[]) {
    const { kind } = sums[0]!;
    const ids: string[] = [];
    for (const { json } of jsonParts(connection, sums, ({ name, key }) => [name, key]))
      for (const { id } of await queryRows(connection, COUNTERS, [json, ROW_KINDS[kind]]))
        ids.push(String(id));
    const byItem = new Map(sums.map(sum => [sum.item, sum]));
    const rows: [id: string, amount: number, version: number | null, payload: string][] = [];
    const done = new Set<string>();
    for (const some of keyLists(connection, ids, AT_ONCE))
      for (const row of await queryRows(connection, LOCK, [some])) {
        const item = itemOf(String(row.name), String(row.item_key));
        const sum = byItem.get(item);
        const isOpen = row.cause === 'held' && row.operation === null;
        if (!sum || !isOpen) continue;
        const { amount, version } = merged(kind, row, sum);
        if (!Number.isSafeInteger(amount)) continue;
        const { updates = 0 } = JSON.parse(String(row.payload)) as { updates?: number };
        rows.push([String(row.id), amount, version, counterPayload(updates + sum.updates)]);
        done.add(item);
      }
    for (const { json } of jsonParts(connection, rows, row => row))
      await connection.query(MERGE, [json, sequence]);
    return done;
  }
}

/** What a held row and a batch make together. */
function merged(
  kind: KeyedKind,
  row: Rows[number],
  { amount, version }: Pick<CounterSum, 'amount' | 'version'>,
): { readonly amount: number; readonly version: number | null } {
  if (!isValueKind(kind)) return { amount: Number(row.amount) + amount, version: null };
  const held = { value: Number(row.amount), version: Number(row.version ?? 0) };
  const kept = keptOf(kind, held, { value: amount, version });
  return { amount: kept.value, version: kind === '=' ? kept.version : null };
}
