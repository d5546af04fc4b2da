/** Everything in the database about the torture's updates: values, ledger, transfers, holds, quarantine, declared losses. */
import type { RowDataPacket } from 'mysql2/promise';
import { KEEPS, type Keep } from '../../src/shared/item.ts';
import { type KeptValue, keptOf } from '../../src/shared/kept-value.ts';
import type { HoldStatus } from '../../src/shared/updates/hold.ts';
import type { Root } from './cluster-root.ts';
import { definitions, mappedTables } from './traffic.ts';

export interface HeldEntry {
  readonly program: string;
  readonly account: string;
  readonly id: string;
  readonly amount: number;
  /** Undefined for a quarantined entry. */
  readonly balanceAfter: number | undefined;
  /** Null unless it is one of the two entries of a transfer. */
  readonly transfer: string | null;
  readonly other: string | null;
}

/** A row of `sluice_holds`. */
export interface HeldPoints {
  readonly program: string;
  readonly account: string;
  readonly id: string;
  readonly amount: number;
  readonly status: HoldStatus;
  readonly posted: number;
  /** Times are ms by Redis' clock; null without one. */
  readonly expiresAt: number | null;
  readonly createdAt: number;
  readonly endedAt: number | null;
}

interface Loss {
  readonly partition: number;
  readonly kind: 'lost' | 'doubled';
  readonly updates: number;
}

export interface Holdings {
  /** Key is `name key`; includes quarantined updates. */
  readonly counters: Map<string, number>;
  /** Key is `program account`. */
  readonly balances: Map<string, number>;
  /** Key is `name key`; what is kept with quarantined puts. */
  readonly values: Map<string, number>;
  readonly entries: HeldEntry[];
  readonly losses: Loss[];
  /** Transfers whose credit is not in the ledger, and their states. */
  readonly inTransit: Map<string, string>;
  readonly holds: HeldPoints[];
}

export async function readHoldings(root: Root): Promise<Holdings> {
  const rows = async (sql: string) => (await root.query<RowDataPacket[]>(sql))[0];
  const sums = (found: RowDataPacket[]) => {
    const map = new Map<string, number>();
    for (const { name, item, amount } of found) {
      const key = `${name} ${item}`;
      map.set(key, (map.get(key) ?? 0) + Number(amount));
    }
    return map;
  };
  const counters = await rows(
    `SELECT counter AS name, counter_key AS item, value AS amount FROM sluice_counters UNION ALL ${mapped('likes')}`,
  );
  const accounts = await rows(
    `SELECT program AS name, account AS item, balance AS amount FROM sluice_accounts UNION ALL ${mapped('stars')}`,
  );
  const refused = await rows(
    'SELECT kind, name, item_key AS item, entry_id AS id, amount, version FROM sluice_quarantine',
  );
  const entries = await rows(
    `SELECT program AS name, account AS item, entry_id AS id, amount, balance_after AS balance, transfer, other_account
       FROM sluice_entries ORDER BY partition_id, ledger_no`,
  );
  // A mapped value has its version there, and its number in its own table.
  const values = await rows(
    `SELECT name, value_key AS item, value AS amount, version FROM sluice_values WHERE name <> 'visited'
     UNION ALL SELECT m.*, v.version FROM (${mapped('visited')}) m JOIN sluice_values v ON v.name = 'visited' AND v.value_key = m.item`,
  );
  const transfers = await rows('SELECT transfer, state FROM sluice_transfers');
  const losses = await rows('SELECT partition_id AS p, kind, updates FROM sluice_losses');
  return {
    counters: sums([...counters, ...refused.filter(row => row.kind === 'counter')]),
    balances: sums(accounts),
    values: keptOfRows([...values, ...refused.filter(row => row.kind in KEEPS)]),
    entries: [...entries, ...refused.filter(row => row.kind === 'entry')].map(row => ({
      program: String(row.name),
      account: String(row.item),
      id: String(row.id),
      amount: Number(row.amount),
      balanceAfter: row.balance === undefined ? undefined : Number(row.balance),
      transfer: textOf(row.transfer),
      other: textOf(row.other_account),
    })),
    losses: losses.map(row => ({ partition: Number(row.p), kind: row.kind, updates: Number(row.updates) })),
    inTransit: new Map(transfers.map(row => [String(row.transfer), String(row.state)])),
    holds: (await rows(holds)).map(toHold),
  };
}

const msOf = (column: string) =>
  `TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', ${column}) DIV 1000 AS ${column}`;
const holds = `SELECT program, account, hold_id, amount, status, posted, ${['expires_at', 'created_at', 'ended_at'].map(msOf).join(', ')}
  FROM sluice_holds`;

function toHold(row: RowDataPacket): HeldPoints {
  const timeOf = (value: unknown) => (value === null ? null : Number(value));
  return {
    program: String(row.program),
    account: String(row.account),
    id: String(row.hold_id),
    amount: Number(row.amount),
    status: row.status,
    posted: Number(row.posted),
    expiresAt: timeOf(row.expires_at),
    createdAt: Number(row.created_at),
    endedAt: timeOf(row.ended_at),
  };
}

function keptOfRows(rows: readonly RowDataPacket[]): Map<string, number> {
  const kept = new Map<string, KeptValue>();
  for (const { name, item, amount, version } of rows) {
    const { keep }: { keep: Keep } = definitions.values[String(name) as keyof typeof definitions.values];
    const row = { value: Number(amount), version: Number(version ?? 0) };
    const before = kept.get(`${name} ${item}`);
    kept.set(`${name} ${item}`, before ? keptOf(KEEPS[keep], before, row) : row);
  }
  return new Map([...kept].map(([item, { value }]) => [item, value]));
}

function textOf(value: unknown): string | null {
  return value === null || value === undefined ? null : String(value);
}

function mapped(name: keyof typeof mappedTables): string {
  const { table, key, column } = mappedTables[name];
  return `SELECT '${name}' AS name, ${key} AS item, ${column} AS amount FROM ${table}`;
}
