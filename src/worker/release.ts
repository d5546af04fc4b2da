/**
 * Writes held updates to their table, some at a time: one transaction moves rows from quarantine into the
 * value and the ledger. The live value includes them already and does not change.
 *
 * The transaction holds the lock of the partition's watermark, so no flush comes between, and updates of a
 * key are written in order. If two workers release the same rows, the second one finds them gone.
 */
import type { PoolConnection } from 'mysql2/promise';
import { isValueKind, type KeyedKind, kindOfRow, type RowKind } from '../shared/item.ts';
import { type KeptValue, keptOf } from '../shared/kept-value.ts';
import { queryRows, readSql, transactionIn } from '../shared/mysql/database.ts';
import { isLockWait } from '../shared/mysql/errors.ts';
import { lockWatermark, setMayHold } from '../shared/partition/watermark.ts';
import { readPayload } from '../shared/updates/record.ts';
import { RefusedValueError } from '../shared/values/refusal.ts';
import type { Addition, ValueTables } from '../shared/values/tables.ts';
import { isWholeTable } from '../shared/values/target-table.ts';
import { bisect } from './bisect.ts';
import { withSavepoint } from './blame.ts';
import { EntryWriter, type LedgerEntry, quarantinedEntry } from './entries.ts';
import { refusalCode } from './quarantine.ts';

/** Held updates of one partition for one table. */
export interface HeldGroup {
  readonly partition: number;
  readonly kind: RowKind;
  /** Counter, program or value. */
  readonly name: string;
  /** Ids in quarantine. */
  readonly oldest: number;
  readonly newest: number;
}

/** A held row of quarantine. */
export interface HeldRow {
  readonly id: number;
  readonly key: string;
  readonly amount: number;
  /** Only a `last` value has one; 0 for the other kinds. */
  readonly version: number;
  /** Undefined except for an entry. */
  readonly entry: LedgerEntry | undefined;
}

export interface Released {
  readonly written: number;
  /** Rows that the table refused: they stay in quarantine for an operator. */
  readonly refused: number;
  /** Id after which the next transaction starts; undefined if this one saw the last row. */
  readonly next: number | undefined;
}

const LOCK = readSql(new URL('./sql/lock-held.sql', import.meta.url));
/** Rows in one transaction: its locks block the partition's flush for tens of milliseconds. */
const AT_ONCE = 500;

/** Somebody else holds the lock of the partition's watermark, such as a flush that takes long. */
export class PartitionBusy extends Error {}

export class HeldRelease {
  readonly #tables: ValueTables;
  readonly #entries: EntryWriter;

  constructor(tables: ValueTables) {
    this.#tables = tables;
    this.#entries = new EntryWriter(tables);
  }

  /**
   * Writes the rows of one transaction.
   * @param session whose waits for locks are short, since the partition's flush waits meanwhile
   * @param after id after which to start
   * @param keptKeys keys whose rows stay held, since one of them could not be written; the call adds to it
   * @param tookOthers whether the table took other rows since all of this group failed alike
   * @throws RolledBack with the cause PartitionBusy, RowFailure if all rows fail alike, or the error of MySQL; then
   * nothing is changed. Any other error has ended the session
   */
  async releaseSome(
    session: PoolConnection,
    { partition, kind, name }: HeldGroup,
    after: number,
    keptKeys: Set<string>,
    tookOthers: boolean,
  ): Promise<Released> {
    return transactionIn(session, async connection => {
      const { sequence } = await lockWatermark(connection, partition).catch(cause => {
        throw isLockWait(cause) ? new PartitionBusy('', { cause }) : cause;
      });
      const found = await queryRows(connection, LOCK, [partition, kind, Buffer.from(name), after, AT_ONCE]);
      const all = found.map(toHeldRow);
      if (all.length === 0) {
        await noteIfNone(connection, partition);
        return { written: 0, refused: 0, next: undefined };
      }
      const rows = all.filter(row => !keptKeys.has(row.key));
      const write = await this.#writer(connection, partition, sequence, kind, name, rows);
      const done = await this.#bisect(connection, partition, write.rows, keptKeys, tookOthers, write.write);
      const isCut = write.rows.length < rows.length;
      const isLast = all.length < AT_ONCE || isCut;
      if (isLast && done.written + done.refused === all.length) await noteIfNone(connection, partition);
      return { ...done, next: isLast ? undefined : all.at(-1)!.id };
    });
  }

  /** The rows for which ledger numbers are free before the partition's next batch, and how to write them. */
  async #writer(
    connection: PoolConnection,
    partition: number,
    sequence: number,
    rowKind: RowKind,
    name: string,
    rows: readonly HeldRow[],
  ): Promise<{ rows: readonly HeldRow[]; write: (part: readonly HeldRow[]) => Promise<void> }> {
    const kind = kindOfRow(rowKind);
    if (kind !== 'p')
      return { rows, write: part => this.#tables.of(kind, name).add(connection, merged(kind, name, part)) };
    const next = await this.#entries.nextNumbers(connection, partition, sequence);
    const able = rows.slice(0, next.free);
    const numbers = new Map(able.map(({ entry }, index) => [entry!, next.first + BigInt(index)]));
    const write = async (part: readonly HeldRow[]) => {
      const entries = part.map(({ entry }) => entry!);
      await this.#entries.write(connection, entries, entry => ({ partition, number: numbers.get(entry)! }));
    };
    return { rows: able, write };
  }

  async #bisect(
    connection: PoolConnection,
    partition: number,
    rows: readonly HeldRow[],
    keptKeys: Set<string>,
    tookOthers: boolean,
    write: (rows: readonly HeldRow[]) => Promise<void>,
  ): Promise<{ written: number; refused: number }> {
    const done: number[] = [];
    let refused = 0;
    const attempt = async (part: readonly HeldRow[]) => {
      const free = part.filter(row => !keptKeys.has(row.key));
      if (free.length > 0) await withSavepoint(connection, partition, false, () => write(free));
      return free;
    };
    await bisect(rows, {
      attempt: async part => {
        for (const { id } of await attempt(part)) done.push(id);
      },
      trial: async row => {
        await attempt([row]);
        await connection.query('ROLLBACK TO SAVEPOINT attempt');
      },
      refuse: async (row, error) => {
        if (isWholeTable(error)) keptKeys.add(row.key);
        else {
          refused++;
          await connection.query(
            "UPDATE sluice_quarantine SET cause = 'refused', error_code = ? WHERE id = ?",
            [refusalCode(error), row.id],
          );
        }
      },
      tookOthers,
      failures: 0,
    });
    if (done.length > 0) await connection.query('DELETE FROM sluice_quarantine WHERE id IN (?)', [done]);
    return { written: done.length, refused };
  }
}

/** If the partition holds nothing any more, notes it, so that its next flush does not look. */
async function noteIfNone(connection: PoolConnection, partition: number): Promise<void> {
  const [held] = await queryRows(
    connection,
    "SELECT 1 FROM sluice_quarantine WHERE cause = 'held' AND partition_id = ? LIMIT 1",
    [partition],
  );
  if (!held) await setMayHold(connection, partition, false);
}

/** One addition for each key, which may have several rows. @throws RefusedValueError */
function merged(kind: KeyedKind, name: string, rows: readonly HeldRow[]): Addition[] {
  const byKey = new Map<string, KeptValue>();
  for (const { key, amount, version } of rows) {
    const before = byKey.get(key);
    const row = { value: amount, version };
    byKey.set(key, before ? both(kind, before, row) : row);
  }
  const added = [...byKey].map(([key, { value, version }]) => ({ name, key, amount: value, version }));
  // Bisecting finds parts whose sums are exact.
  if (!added.every(({ amount }) => Number.isSafeInteger(amount))) throw new RefusedValueError('OUT_OF_RANGE');
  return added.sort((a, b) => (a.key < b.key ? -1 : 1));
}

function both(kind: KeyedKind, one: KeptValue, other: KeptValue): KeptValue {
  return isValueKind(kind) ? keptOf(kind, one, other) : { value: one.value + other.value, version: 0 };
}

export function toHeldRow(row: Readonly<Record<string, unknown>>): HeldRow {
  const [name, key, amount] = [String(row.name), String(row.item_key), Number(row.amount)];
  const held = { id: Number(row.id), key, amount, version: Number(row.version ?? 0) };
  if (row.kind !== 'entry') return { ...held, entry: undefined };
  const content = { ...readPayload(String(row.payload)), program: name, account: key, amount };
  return { ...held, entry: quarantinedEntry(content, (row.created_at as Date).getTime()) };
}
