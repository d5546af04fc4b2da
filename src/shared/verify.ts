/**
 * Compares every value with what it should be, while traffic goes on: live values against MySQL plus quarantine, in
 * flight and pending; balances against the sums of their ledgers.
 */
import { Cluster, type Redis } from 'ioredis';
import type { ColdKey, ColdReader } from './cold-read.ts';
import type { Definitions } from './definitions.ts';
import { itemOf, type Keys, type Kind, splitItem } from './keys.ts';
import { type Database, readSql } from './mysql.ts';
import type { RedisConnection } from './redis.ts';
import type { ValueTables } from './tables.ts';

interface Drift {
  readonly kind: 'counter' | 'points';
  readonly name: string;
  readonly key: string;
  readonly live: number;
  readonly expected: number;
}

interface LedgerDifference {
  readonly program: string;
  readonly account: string;
  readonly balance: number;
  readonly sum: number;
}

export interface Verification {
  /** Distinct keys and accounts looked at. */
  readonly checked: number;
  readonly drift: Drift[];
  readonly ledger: LedgerDifference[];
}

export interface VerifyParts {
  readonly redis: RedisConnection;
  readonly database: Database;
  readonly keys: Keys;
  readonly definitions: Definitions;
  readonly tables: ValueTables;
  readonly cold: ColdReader;
}

const PAGE = 1000;
const CHUNK = 500;
const NAMES = readSql(new URL('./sql/names.sql', import.meta.url));
const LEDGER = readSql(new URL('./sql/ledger-differences.sql', import.meta.url));

/**
 * Memory grows with the number of live and pending keys; what is only in MySQL is paged.
 * @throws what `ColdReader.compare` throws
 */
export async function verify(parts: VerifyParts): Promise<Verification> {
  const check = new Check(parts);
  const inRedis = await keysInRedis(parts);
  const names = await allNames(parts);
  for (const { kind, name } of names) {
    for await (const page of parts.tables.of(kind, name).keys(parts.database, name, PAGE)) {
      for (const key of page) {
        inRedis.delete(kind + itemOf(name, key));
        await check.add({ kind, name, key });
      }
    }
  }
  for (const known of inRedis) await check.add({ kind: known[0] as Kind, ...splitItem(known.slice(1)) });
  await check.finish();
  return { checked: check.checked, drift: check.drift, ledger: await ledgerDifferences(parts, names) };
}

interface Named {
  readonly kind: Kind;
  readonly name: string;
}

/** What is defined, and what has rows without being defined any more. */
async function allNames({ database, definitions }: VerifyParts): Promise<Named[]> {
  const items = new Set([
    ...Object.keys(definitions.counters).map(name => `c${name}`),
    ...Object.keys(definitions.points).map(name => `p${name}`),
    ...(await database.query(NAMES)).map(row => `${row.kind}${row.name}`),
  ]);
  return [...items].map(item => ({ kind: item[0] as Kind, name: item.slice(1) }));
}

/** Collects keys of one partition and table until a comparison is worth its statement. */
class Check {
  checked = 0;
  readonly drift: Drift[] = [];
  readonly #parts: VerifyParts;
  readonly #waiting = new Map<string, ColdKey[]>();

  constructor(parts: VerifyParts) {
    this.#parts = parts;
  }

  async add(key: ColdKey): Promise<void> {
    this.checked++;
    const group = `${key.kind}${key.name}:${this.#parts.keys.partitionOf(key.key)}`;
    const waiting = this.#waiting.get(group) ?? [];
    waiting.push(key);
    this.#waiting.set(group, waiting);
    if (waiting.length < CHUNK) return;
    this.#waiting.delete(group);
    await this.#compare(waiting);
  }

  async finish(): Promise<void> {
    for (const waiting of this.#waiting.values()) await this.#compare(waiting);
  }

  async #compare(waiting: readonly ColdKey[]): Promise<void> {
    const partition = this.#parts.keys.partitionOf(waiting[0]!.key);
    for (const { kind, name, key, live, expected } of await this.#parts.cold.compare(partition, waiting)) {
      if (live === undefined || live === expected) continue;
      this.drift.push({ kind: kind === 'c' ? 'counter' : 'points', name, key, live, expected });
    }
  }
}

/** Kind and item of everything live or pending. */
async function keysInRedis({ redis, keys }: VerifyParts): Promise<Set<string>> {
  const found = new Set<string>();
  for (let partition = 0; partition < keys.partitions; partition++) {
    for (const [kind, hash] of [
      ['c', 'counters'],
      ['p', 'accounts'],
    ] as const) {
      const base = keys.state(partition).slice(0, -'state'.length);
      for (const source of [hash, `flight:${hash}`]) {
        for (let cursor = '0'; ; ) {
          const [next, fields] = await redis.hscan(base + source, cursor, 'COUNT', PAGE);
          for (let at = 0; at < fields.length; at += 2) found.add(kind + fields[at]);
          if (next === '0') break;
          cursor = next;
        }
      }
    }
  }
  const nodes: Redis[] = redis instanceof Cluster ? redis.nodes('master') : [redis as Redis];
  // "{namespace:partition}:kind:epoch:item"; values of an old epoch are found too, and do no harm: the item is compared.
  const live = new RegExp(`^\\{${keys.namespace.replace(/\./g, '\\.')}:\\d+\\}:([cp]):[^:]+:`);
  for (const node of nodes) {
    for (let cursor = '0'; ; ) {
      const [next, names] = await node.scan(cursor, 'MATCH', `{${keys.namespace}:*}:[cp]:*`, 'COUNT', PAGE);
      for (const name of names) {
        const match = live.exec(name);
        if (match) found.add(match[1]! + name.slice(match[0].length));
      }
      if (next === '0') break;
      cursor = next;
    }
  }
  return found;
}

/** Accounts whose balance is not the sum of their entries; mapped programs have other writers and are left out. */
async function ledgerDifferences(
  { database, tables }: VerifyParts,
  names: readonly Named[],
): Promise<LedgerDifference[]> {
  const differences: LedgerDifference[] = [];
  for (const { kind, name: program } of names) {
    if (kind === 'c' || tables.mapped('p', program)) continue;
    const name = Buffer.from(program);
    for (let after = Buffer.alloc(0); ; ) {
      const rows = await database.query(LEDGER, [name, name, after, PAGE, name, after, PAGE, PAGE, name]);
      for (const row of rows) {
        if (String(row.balance) === String(row.total)) continue;
        differences.push({
          program,
          account: String(row.account),
          balance: Number(row.balance),
          sum: Number(row.total),
        });
      }
      if (rows.length < PAGE) break;
      after = rows.at(-1)!.account as Buffer<ArrayBuffer>;
    }
  }
  return differences;
}
