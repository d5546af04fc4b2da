/** Reads values and the history of an account, pending updates included. */

import { type Balance, readBalance } from '../shared/balance.ts';
import type { Settings } from '../shared/config/settings.ts';
import { InvalidUpdateError, type SluiceError } from '../shared/errors.ts';
import { itemOf } from '../shared/item.ts';
import { readLive } from '../shared/kept-value.ts';
import { LIMITS } from '../shared/limits.ts';
import { type Database, readSql } from '../shared/mysql/database.ts';
import { cut } from '../shared/mysql/statement-size.ts';
import type { RedisConnection } from '../shared/redis/connections.ts';
import type { Keys } from '../shared/redis/keys.ts';
import type { LiveKey } from '../shared/redis/live-keys.ts';
import { abreast, REQUEST_BYTES } from '../shared/redis/reply-size.ts';
import { defineScript, type Script } from '../shared/redis/script.ts';
import { type Hold, holdOf } from '../shared/updates/hold.ts';
import { checkText } from '../shared/updates/key.ts';
import { creditedBy, isEntry, parseRecord } from '../shared/updates/record.ts';
import type { CheckedUpdate } from '../shared/updates/update.ts';
import type { ColdReader, HoldKey } from '../shared/values/cold-read.ts';
import type { Calls } from './calls.ts';
import type { LoadFailures, Waiting } from './waiting.ts';

/** One entry of an account. */
export interface HistoryEntry {
  readonly id: string;
  readonly amount: number;
  /**
   * Balance right after the entry: in Redis while it is pending, in the ledger afterwards. Null for a pending
   * credit of a transfer to an account that was cold.
   */
  readonly balanceAfter: number | null;
  readonly reason: string | null;
  /** Parsed by `JSON.parse`, which rounds numbers that JavaScript cannot hold. */
  readonly metadata: Record<string, unknown> | null;
  /** The metadata as JSON text, with exact numbers. */
  readonly metadataText: string | null;
  /**
   * The transfer's name, which its debit and its credit share; null for other entries, and for a debit that is
   * pending, since its flush gives the name.
   */
  readonly transfer: string | null;
  /** The other account of a transfer: of a debit the destination, of a credit the source. */
  readonly otherAccount: string | null;
  /** The id of the hold whose post the entry is; null for other entries. */
  readonly hold: string | null;
  readonly createdAt: Date;
  /** Whether it is in MySQL. */
  readonly persisted: boolean;
}

export interface HistoryOptions {
  /** Longest page, 1 to 1,000 entries; 50 by default. */
  limit?: number;
  /** Id of the last entry of the previous page; this page has older ones. */
  before?: string;
}

export interface ReadParts {
  readonly redis: RedisConnection;
  readonly calls: Calls;
  readonly database: Database;
  readonly keys: Keys;
  readonly cold: ColdReader;
  readonly settings: Settings;
  /** Called after each read. @param cold how many of the values were not live */
  readonly onRead?: (values: number, cold: number) => void;
}

const HISTORY = readSql(new URL('./sql/history.sql', import.meta.url));
/** Greater than every ledger number. */
const ABOVE_ALL = '18446744073709551615';
/** Keys in one script call or statement: Redis takes about a millisecond to make them live. */
const CHUNK = 250;
/** Partitions asked at once: each answers a few kilobytes. */
const ABREAST = 64;
/** Bytes of a page of pending entries. */
const HISTORY_BYTES = 256 * 1024;
/** Most pending records of one account that `history` walks through: entries, holds, voids, amendments. */
const PENDING_LIMIT = 10_000;

export class Reads {
  readonly #parts: ReadParts;
  readonly #read: Script<string[]>;
  readonly #history: Script<string[]>;
  /** Loads under way, by kind and item: concurrent readers of a cold key share one. */
  readonly #loads = new Map<string, Promise<string>>();

  constructor(parts: ReadParts) {
    this.#parts = parts;
    this.#read = defineScript(parts.redis, 'read', new URL('./read.lua', import.meta.url));
    this.#history = defineScript(parts.redis, 'history', new URL('./history.lua', import.meta.url));
  }

  /**
   * Reads keys of one name; values in the order of the keys, null for a kept value that was never put. Throws as
   * `ColdReader.load`.
   */
  async values(wanted: readonly LiveKey[]): Promise<(number | null)[]> {
    const live = await this.#live(wanted);
    return live.map((text, at) => readLive(wanted[at]!.kind, text));
  }

  /** The balance of an account, and what is held of it. Throws as `ColdReader.load`. */
  async balance(program: string, account: string): Promise<Balance> {
    const [text] = await this.#live([{ kind: 'p', name: program, key: account }]);
    return readBalance(text!);
  }

  /** How a hold stands; undefined if the account has no such hold. Throws as `ColdReader.load`. */
  async hold(key: HoldKey): Promise<Hold | undefined> {
    const [found] = await this.#parts.cold.loadHolds(this.#parts.keys.partitionOf(key.account), [key]);
    if (found instanceof Error) throw found;
    return found ?? undefined;
  }

  /** Live values, in the order of the keys. */
  async #live(wanted: readonly LiveKey[]): Promise<string[]> {
    const values: string[] = new Array(wanted.length);
    const positions = new Map<number, number[]>();
    for (const [position, { key }] of wanted.entries()) {
      const partition = this.#parts.keys.partitionOf(key);
      const list = positions.get(partition);
      if (list) list.push(position);
      else positions.set(partition, [position]);
    }
    await abreast([...positions], ABREAST, async ([partition, list]) => {
      // A longer key takes a larger share of the call.
      const share = (index: number) => Math.max(REQUEST_BYTES / CHUNK, 3 * wanted[list[index]!]!.key.length);
      for (const [from, to] of cut(list.length, REQUEST_BYTES, share))
        await this.#chunk(partition, list.slice(from, to), wanted, values);
    });
    return values;
  }

  async #chunk(
    partition: number,
    positions: readonly number[],
    wanted: readonly LiveKey[],
    values: string[],
  ): Promise<void> {
    const args = positions.flatMap(position => {
      const { kind, name, key } = wanted[position]!;
      return [kind, itemOf(name, key)];
    });
    const { calls, keys, settings } = this.#parts;
    const [status, ...live] = await calls.read(settings.callTimeoutMs, () =>
      this.#read(keys.state(partition), keys.owner, ...args),
    );
    const cold: number[] = [];
    for (const [index, position] of positions.entries()) {
      const value = status === 'ok' ? live[index] : '-';
      if (value === '-' || value === undefined) cold.push(position);
      else values[position] = value;
    }
    this.#parts.onRead?.(positions.length, cold.length);
    if (cold.length === 0) return;
    const loaded = await Promise.all(
      this.load(
        partition,
        cold.map(position => wanted[position]!),
      ),
    );
    for (const [index, position] of cold.entries()) values[position] = loaded[index]!;
  }

  /** Makes keys of one partition and name live. A key that is being loaded already is not loaded again. */
  load(partition: number, keys: readonly LiveKey[]): Promise<string>[] {
    const missing = new Map<string, LiveKey>();
    for (const key of keys) {
      const item = key.kind + itemOf(key.name, key.key);
      if (!this.#loads.has(item)) missing.set(item, key);
    }
    if (missing.size > 0) {
      const batch = this.#parts.cold.load(partition, [...missing.values()]);
      for (const [index, item] of [...missing.keys()].entries()) {
        const one = batch
          .then(values => {
            const value = values[index]!;
            if (value instanceof Error) throw value;
            return value;
          })
          .finally(() => this.#loads.delete(item));
        one.catch(() => {});
        this.#loads.set(item, one);
      }
    }
    return keys.map(key => this.#loads.get(key.kind + itemOf(key.name, key.key))!);
  }

  /** Makes live what these updates lack: their accounts, and the records of their holds. */
  async loadAll(
    partition: number,
    waiting: readonly Pick<Waiting, 'update' | 'lacks'>[],
  ): Promise<LoadFailures> {
    const accounts = waiting.filter(({ lacks }) => lacks === 'account').map(({ update }) => update);
    const loads: Promise<unknown>[] = [];
    const failures = {
      accounts: new Map<string, SluiceError>(),
      holds: new Map<CheckedUpdate, SluiceError>(),
    };
    for (const group of Map.groupBy(accounts, ({ kind, name }) => kind + name).values()) {
      for (const [index, one] of this.load(partition, group).entries())
        loads.push(one.catch(error => failures.accounts.set(group[index]!.item, error)));
    }
    const ofHolds = waiting.filter(({ update, lacks }) => update.hold && lacks !== 'nothing');
    if (ofHolds.length > 0) {
      const updates = ofHolds.map(({ update }) => update);
      const keys = updates.map(({ name, key, hold }) => ({ program: name, account: key, hold: hold!.id }));
      const records = this.#parts.cold.loadHolds(partition, keys);
      const failed = (error: SluiceError) => updates.map(() => error);
      loads.push(
        records.catch(failed).then(found => {
          for (const [at, one] of found.entries())
            if (one instanceof Error) failures.holds.set(updates[at]!, one);
        }),
      );
    }
    await Promise.all(loads);
    return failures;
  }

  /** Newest first. @throws InvalidUpdateError, RedisUnavailableError, DatabaseUnavailableError */
  async history(program: string, account: string, options: HistoryOptions): Promise<HistoryEntry[]> {
    const limit = options.limit ?? 50;
    if (!Number.isInteger(limit) || limit < 1 || limit > 1000) {
      throw new InvalidUpdateError(
        'INVALID_UPDATE',
        'The limit of a history must be a whole number from 1 to 1000.',
      );
    }
    if (options.before !== undefined) checkText(options.before, 'INVALID_ID', 'id', LIMITS.id);
    // Redis first: if a flush moves an entry between the two reads, it is seen twice, never missed.
    const { before } = options;
    let isPast = before === undefined;
    const page: HistoryEntry[] = [];
    const first = before === undefined ? limit : PENDING_LIMIT;
    for await (const entry of this.#pending(program, account, first)) {
      if (isPast) page.push(entry);
      else isPast = entry.id === before;
      if (page.length === limit) break;
    }
    const wasPending = before !== undefined && isPast;
    // Pending entries may be flushed meanwhile, so MySQL is asked for a whole page more. If the cursor was
    // pending, every entry in MySQL is older, unless the cursor is there by now too.
    const persisted = await this.#persisted(
      program,
      account,
      before ?? null,
      wasPending,
      limit + page.length,
    );
    const known = new Set(persisted.map(entry => entry.id));
    return [...page.filter(entry => !known.has(entry.id)), ...persisted].slice(0, limit);
  }

  /**
   * Pending entries, newest first.
   * @param first how many records to ask for at first; more if they hold fewer entries than the caller takes
   */
  async *#pending(program: string, account: string, first: number): AsyncGenerator<HistoryEntry> {
    const partition = this.#parts.keys.partitionOf(account);
    const { calls, keys, settings } = this.#parts;
    const item = itemOf(program, account);
    for (let next = '', most = first, left = PENDING_LIMIT; left > 0; most = left) {
      const [further, ...records] = await calls.read(settings.callTimeoutMs, () =>
        this.#history(keys.state(partition), item, most, HISTORY_BYTES, next, keys.owner),
      );
      left -= records.length;
      for (const entry of records.map(parseRecord).filter(isEntry)) {
        const { id, amount, balance, reason, metadata, other, acceptedAt, hold } = entry;
        // Only a post moves points.
        if (hold && hold.action !== 'p') continue;
        yield {
          id,
          amount,
          balanceAfter: Number.isNaN(balance) ? null : balance,
          reason,
          ...bothMetadata(metadata),
          transfer: creditedBy(entry) ?? null,
          otherAccount: other ?? null,
          hold: holdOf(id) ?? null,
          createdAt: new Date(acceptedAt),
          persisted: false,
        };
      }
      if (!further) return;
      next = further;
    }
  }

  async #persisted(
    program: string,
    account: string,
    before: string | null,
    wasPending: boolean,
    limit: number,
  ): Promise<HistoryEntry[]> {
    const { database } = this.#parts;
    const name = Buffer.from(program);
    const key = Buffer.from(account);
    const cursor = before === null ? null : Buffer.from(before);
    const rows = await database.explained(() =>
      database.query(HISTORY, [name, key, cursor, name, key, cursor, wasPending ? ABOVE_ALL : null, limit]),
    );
    return rows.map(row => ({
      id: String(row.entry_id),
      amount: Number(row.amount),
      balanceAfter: Number(row.balance_after),
      reason: row.reason as string | null,
      ...bothMetadata(row.metadata as string | null),
      transfer: text(row.transfer),
      otherAccount: text(row.other_account),
      hold: holdOf(String(row.entry_id)) ?? null,
      createdAt: row.created_at as Date,
      persisted: true,
    }));
  }
}

function text(bytes: Buffer | null): string | null {
  return bytes === null ? null : String(bytes);
}

function bothMetadata(text: string | null): Pick<HistoryEntry, 'metadata' | 'metadataText'> {
  return { metadata: text === null ? null : JSON.parse(text), metadataText: text };
}
