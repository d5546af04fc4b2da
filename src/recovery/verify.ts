/**
 * Compares every value with the right one, while traffic goes on: live values with MySQL plus quarantine, in
 * flight and pending; scores of ranked names with the same; balances with the sums of their ledgers; transfers
 * and holds with their entries; sums of open holds with their rows. On request it corrects live values and scores in the
 * same step, and these sums. Keys are read page by page, in MySQL and in Redis, so that memory does not grow with their number.
 */

import type { ResultSetHeader } from 'mysql2/promise';
import { pause } from '../shared/clock.ts';
import { type Definitions, definedNames } from '../shared/config/definitions.ts';
import { TableUnusableError } from '../shared/errors.ts';
import { type Kind, ROW_KINDS, SHOWN_KINDS, type ShownKind } from '../shared/item.ts';
import { checkAudit, recordedAddress } from '../shared/mysql/audit.ts';
import { type Database, readSql } from '../shared/mysql/database.ts';
import type { RedisConnection } from '../shared/redis/connections.ts';
import type { Keys } from '../shared/redis/keys.ts';
import { boardKeys, type LiveKey, liveKeys, waitingKeys } from '../shared/redis/live-keys.ts';
import type { ColdReader } from '../shared/values/cold-read.ts';
import { type Comparison, drifts, misranks } from '../shared/values/comparison.ts';
import { allKeys, type ValueTables } from '../shared/values/tables.ts';
import { type HoldDifference, holdDifferences } from './holds.ts';
import { type OpenHoldsDifference, openHoldsDifferences } from './open-holds.ts';
import { type TransferDifference, transferDifferences } from './transfers.ts';

export interface Drift {
  readonly kind: ShownKind;
  readonly name: string;
  readonly key: string;
  /** NaN if it is not a number, null if the live value says that a kept value was never put. */
  readonly live: number | null;
  /** Null for a kept value that was never put. */
  readonly expected: number | null;
  /** What the account holds, live and as it should be; absent if neither is above 0. */
  readonly held?: number;
  readonly expectedHeld?: number;
  /** The digits of `live` and `held` where a number would round them. */
  readonly exactLive?: string;
  readonly exactHeld?: string;
  /** After a repair: the new live value; null if it was deleted because the right value is out of range. */
  readonly became?: number | null;
}

/** A score on the board of a ranked name that is not the right value. */
interface ScoreDifference extends Pick<Drift, 'kind' | 'name' | 'key' | 'expected' | 'became'> {
  /** Null if the key is not on the board. */
  readonly score: number | null;
}

interface LedgerDifference {
  readonly program: string;
  readonly account: string;
  readonly balance: number;
  readonly sum: number;
}

export interface Verification {
  /** Number of comparisons. A key that is in MySQL, live and pending may count up to three times. */
  readonly checked: number;
  /** Each key once. */
  readonly drift: readonly Drift[];
  /** Wrong scores of ranked names, each key once. */
  readonly scores?: readonly ScoreDifference[];
  readonly ledger: readonly LedgerDifference[];
  /** Transfers that do not add up. */
  readonly transfers: readonly TransferDifference[];
  /** Holds whose row and entry do not fit. */
  readonly holds?: readonly HoldDifference[];
  /** Sums of open holds that were wrong. After a repair: those from before. */
  readonly openHolds?: readonly OpenHoldsDifference[];
  /** Names that were not compared, since their mapped table cannot be read now. */
  readonly unread?: readonly {
    readonly kind: Drift['kind'];
    readonly name: string;
    readonly reason: string;
  }[];
  /** Number of differences beyond the longest lists. Keys may count more than once here. */
  readonly unlisted?: {
    readonly drift: number;
    readonly ledger: number;
    readonly transfers: number;
    readonly holds: number;
  };
}

export interface VerifyParts {
  readonly redis: RedisConnection;
  readonly database: Database;
  readonly keys: Keys;
  readonly definitions: Definitions;
  readonly tables: ValueTables;
  readonly cold: ColdReader;
}

/** For the audit record. */
export interface Repair {
  readonly operator: string;
  readonly reason?: string | undefined;
  readonly address?: string | undefined;
}

/** How a comparison of everything goes on. */
export interface Course {
  /** Ends it with an error between two pages. */
  readonly signal?: AbortSignal;
  /** Rests after each page as long as the page took, so that the servers keep half of what it could take. */
  readonly isGentle?: boolean;
}

const PAGE = 1000;
const CHUNK = 500;
/** Most keys that wait for others of their partition and table. */
const WAITING = 20_000;
/** Longest list of differences. */
const LISTED = 10_000;
const sql = (name: string) => readSql(new URL(`./sql/${name}.sql`, import.meta.url));
const NAMES = sql('names');
const LEDGER = sql('ledger-differences');
const START = sql('start-repair');
const FINISH = sql('finish-repair');

/**
 * With `repair`, every wrong live value, score and sum of open holds is corrected, and the result has those from
 * before. Ledgers are never changed.
 * @throws what `ColdReader.compare` throws
 */
export async function verify(
  parts: VerifyParts,
  repair?: Repair,
  course: Course = {},
): Promise<Verification> {
  const operation = repair && (await startRepair(parts.database, repair, {}));
  const check = new Check(parts, repair !== undefined, course);
  const names = await allNames(parts);
  for (const { kind, name } of names) {
    await check.reading(kind, name, async () => {
      for await (const page of allKeys(parts.tables.of(kind, name), parts.database, name, PAGE))
        await check.add(page.map(key => ({ kind, name, key })));
    });
  }
  for (const walk of [waitingKeys, liveKeys, boardKeys])
    for await (const page of walk(parts.redis, parts.keys, PAGE)) await check.add(page);
  await check.finish();
  const ledger = await limited(ledgerDifferences(parts, names));
  const transfers = await limited(transferDifferences(parts.database));
  const holds = await limited(holdDifferences(parts.database));
  const { keys, database } = parts;
  const openHolds = await openHoldsDifferences(database, keys.partitions, repair !== undefined);
  if (operation !== undefined) await finishRepair(database, operation);
  const unlisted = {
    drift: check.unlisted,
    ledger: ledger.unlisted,
    transfers: transfers.unlisted,
    holds: holds.unlisted,
  };
  return {
    checked: check.checked,
    drift: check.drift,
    ...(check.scores.length > 0 ? { scores: check.scores } : {}),
    ledger: ledger.listed,
    transfers: transfers.listed,
    ...(holds.listed.length > 0 ? { holds: holds.listed } : {}),
    ...(openHolds.length > 0 ? { openHolds } : {}),
    ...(check.unread.length > 0 ? { unread: check.unread } : {}),
    ...(Object.values(unlisted).some(count => count > 0) ? { unlisted } : {}),
  };
}

/**
 * Compares one key, and corrects its live value and score if they are wrong.
 * @returns the operation, and the key from before the repair
 * @throws what `ColdReader.repair` throws
 */
export async function repairKey(
  { database, keys, cold }: Pick<VerifyParts, 'database' | 'keys' | 'cold'>,
  key: LiveKey,
  repair: Repair,
): Promise<{ readonly operation: number; readonly before: Comparison }> {
  const { kind, name } = key;
  const operation = await startRepair(database, repair, { kind: ROW_KINDS[kind], name, key: key.key });
  const [before] = await cold.repair(keys.partitionOf(key.key), [key]);
  await finishRepair(database, operation);
  return { operation, before: before! };
}

/** @param filter in the format of the other operations, since it is listed with them */
async function startRepair(
  database: Database,
  { operator, reason, address }: Repair,
  filter: Readonly<Record<string, string>>,
): Promise<number> {
  const recorded = JSON.stringify({ filter, jobs: [] });
  const operation = await database.session(async connection => {
    const [result] = await connection.query<ResultSetHeader>(START, [
      operator,
      reason ?? null,
      recordedAddress(address),
      recorded,
    ]);
    return result.insertId;
  });
  await checkAudit(database, operation, { finished: false });
  return operation;
}

async function finishRepair(database: Database, operation: number): Promise<void> {
  await database.query(FINISH, [operation]);
  await checkAudit(database, operation, { finished: true });
}

interface Named {
  readonly kind: Kind;
  readonly name: string;
}

/**
 * Defined names, and counters and programs that have rows but no definition any more. The rows of a value do not tell
 * its kind.
 */
async function allNames({ database, definitions }: VerifyParts): Promise<Named[]> {
  const items = new Set([
    ...definedNames(definitions).map(({ kind, name }) => kind + name),
    ...(await database.query(NAMES)).map(row => `${row.kind}${row.name}`),
  ]);
  return [...items].map(item => ({ kind: item[0] as Kind, name: item.slice(1) }));
}

/** Collects keys of one partition and table until a comparison is worth its statement. */
class Check {
  checked = 0;
  unlisted = 0;
  readonly #parts: VerifyParts;
  readonly #repair: boolean;
  readonly #course: Course;
  readonly #found = new Map<string, Drift>();
  readonly #scores = new Map<string, ScoreDifference>();
  readonly #unread = new Map<string, NonNullable<Verification['unread']>[number]>();
  readonly #groups = new Map<string, Map<string, LiveKey>>();
  #waiting = 0;

  constructor(parts: VerifyParts, repair: boolean, course: Course) {
    this.#parts = parts;
    this.#repair = repair;
    this.#course = course;
  }

  get unread() {
    return [...this.#unread.values()];
  }

  /** Notes if a mapped table cannot be read, so that the others can be compared. */
  async reading(kind: Kind, name: string, read: () => Promise<void>): Promise<void> {
    try {
      await read();
    } catch (error) {
      if (!(error instanceof TableUnusableError)) throw error;
      const unread = { kind: SHOWN_KINDS[kind], name, reason: error.message } as const;
      this.#unread.set(kind + name, unread);
    }
  }

  get drift(): Drift[] {
    return [...this.#found.values()];
  }

  get scores(): ScoreDifference[] {
    return [...this.#scores.values()];
  }

  async add(keys: readonly LiveKey[]): Promise<void> {
    for (const key of keys) {
      const name = `${key.kind}${key.name}:${this.#parts.keys.partitionOf(key.key)}`;
      const group = this.#groups.get(name) ?? new Map<string, LiveKey>();
      this.#groups.set(name, group);
      if (group.has(key.key)) continue;
      group.set(key.key, key);
      this.#waiting++;
      if (group.size < CHUNK) continue;
      this.#groups.delete(name);
      await this.#compareAll([...group.values()]);
    }
    if (this.#waiting > WAITING) await this.finish();
  }

  async finish(): Promise<void> {
    for (const group of this.#groups.values()) await this.#compareAll([...group.values()]);
    this.#groups.clear();
  }

  async #compareAll(group: readonly LiveKey[]): Promise<void> {
    const { kind, name } = group[0]!;
    const { signal, isGentle } = this.#course;
    signal?.throwIfAborted();
    const startedAt = performance.now();
    await this.reading(kind, name, () => this.#compare(group));
    if (isGentle) await pause(performance.now() - startedAt, signal);
  }

  async #compare(group: readonly LiveKey[]): Promise<void> {
    this.#waiting -= group.length;
    const { cold, keys } = this.#parts;
    const partition = keys.partitionOf(group[0]!.key);
    const compared = await (this.#repair ? cold.repair(partition, group) : cold.compare(partition, group));
    this.checked += group.length;
    for (const comparison of compared) {
      if (drifts(comparison)) this.#list<LiveFound>(comparison, this.#found, liveOf(comparison));
      if (misranks(comparison))
        this.#list<{ score: number | null }>(comparison, this.#scores, { score: comparison.score! });
    }
  }

  #list<Found extends object>(
    { kind, name, key, expected }: Comparison,
    list: Map<string, Found & Omit<Drift, keyof LiveFound>>,
    found: Found,
  ): void {
    const item = `${kind}${name}:${key}`;
    if (list.size >= LISTED && !list.has(item)) {
      this.unlisted++;
      return;
    }
    const became = this.#repair
      ? { became: expected === null || Number.isSafeInteger(expected) ? expected : null }
      : {};
    list.set(item, { kind: SHOWN_KINDS[kind], name, key, ...found, expected, ...became });
  }
}

type LiveFound = Pick<Drift, 'live' | 'held' | 'expectedHeld' | 'exactLive' | 'exactHeld'>;

function liveOf({ live, held = 0, expectedHeld = 0, exactLive, exactHeld }: Comparison): LiveFound {
  return {
    live: live!,
    ...(held === 0 && expectedHeld === 0 ? {} : { held, expectedHeld }),
    ...(exactLive === undefined ? {} : { exactLive }),
    ...(exactHeld === undefined ? {} : { exactHeld }),
  };
}

/** Lists what is found, up to the longest list. */
async function limited<Item>(found: AsyncIterable<Item>) {
  const listed: Item[] = [];
  let unlisted = 0;
  for await (const item of found) {
    if (listed.length >= LISTED) unlisted++;
    else listed.push(item);
  }
  return { listed, unlisted };
}

/** Accounts whose balance is not the sum of their entries. Skips mapped programs, which others write too. */
async function* ledgerDifferences(
  { database, tables }: VerifyParts,
  names: readonly Named[],
): AsyncGenerator<LedgerDifference> {
  for (const { kind, name: program } of names) {
    if (kind !== 'p' || tables.mapped('p', program)) continue;
    const name = Buffer.from(program);
    for (let after = Buffer.alloc(0); ; ) {
      const rows = await database.query(LEDGER, [name, name, after, PAGE, name, after, PAGE, PAGE, name]);
      for (const { account, balance, total } of rows)
        if (String(balance) !== String(total))
          yield { program, account: String(account), balance: Number(balance), sum: Number(total) };
      if (rows.length < PAGE) break;
      after = rows.at(-1)!.account as Buffer<ArrayBuffer>;
    }
  }
}
