/**
 * Exact values of cold keys: the value in MySQL plus the updates that only Redis has. One SQL statement reads
 * the value together with the watermark, and one script adds the updates that the watermark does not cover.
 * If a flush came between the two, the script says so and both are repeated, from the third attempt on with
 * the watermark locked. A read of an account in doubt waits a little for the flush that ends the doubt. It
 * locks nothing meanwhile, since the flush needs the watermark.
 */
import type { PoolConnection } from 'mysql2/promise';
import { pause, within } from '../clock.ts';
import { AnswerMissingError, OutOfRangeError, ReadUnsettledError, RedisUnavailableError } from '../errors.ts';
import { explain } from '../explain.ts';
import { itemOf } from '../item.ts';
import { type Database, queryRows, type Rows } from '../mysql/database.ts';
import { cut, LARGEST_ITEM, literalBytes } from '../mysql/statement-size.ts';
import type { Aligner } from '../partition/align.ts';
import { toPosition } from '../partition/watermark.ts';
import type { RedisConnection } from '../redis/connections.ts';
import { redisError } from '../redis/errors.ts';
import type { Keys } from '../redis/keys.ts';
import type { LiveKey } from '../redis/live-keys.ts';
import { defineScript, type Script } from '../redis/script.ts';
import type { ValueTable, ValueTables } from './tables.ts';

/** A key's live value and the value that it should have. */
export interface Comparison extends LiveKey {
  /** Undefined if the key is not live, NaN if its value is not a number. */
  readonly live: number | undefined;
  readonly expected: number;
}

/** Replaces a sum beyond 2^53-1: no updates in Redis bring it back into range, so the script refuses it. */
const OUT_OF_RANGE = 1e300;

/**
 * Value plus quarantined sum of a row. They are added as BigInt, since a mapped column may hold more than
 * 2^53-1.
 * @throws AnswerMissingError if the database changed the requested key
 */
function exactSum({ name, value, quarantined }: Rows[number]): number {
  if (value === null) throw missing(String(name));
  const sum = Number(BigInt(value) + BigInt(quarantined));
  return Number.isSafeInteger(sum) ? sum : OUT_OF_RANGE;
}

function missing(name: string): AnswerMissingError {
  return new AnswerMissingError(`the value of a key of ${name}`);
}

/** Whether the live value is wrong. */
export function drifts({ live, expected }: Comparison): boolean {
  return live !== undefined && live !== expected;
}

function comparisons(keys: readonly LiveKey[], found: readonly string[]): Comparison[] {
  return found.map((pair, at) => {
    // A live value that another program wrote may contain blanks.
    const [, live, expected] = /^(.*) (\S+)$/s.exec(pair)!;
    return {
      ...keys[at]!,
      live: live === '-' ? undefined : wholeNumber(live!.slice(1)),
      expected: Number(expected),
    };
  });
}

function wholeNumber(text: string): number {
  return /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
}

/** Splits keys so that each part fits into one statement on any server and one call of the script. */
function* inParts(keys: readonly LiveKey[], table: ValueTable): Generator<readonly LiveKey[]> {
  const bytesAt = (at: number) => literalBytes(JSON.stringify(table.readRow(keys[at]!)));
  for (const [from, to] of cut(keys.length, LARGEST_ITEM, bytesAt)) yield keys.slice(from, to);
}

/** Reply of load.lua. */
interface Answer {
  readonly status: 'ok' | 'again' | 'epoch' | 'absent';
  /** With `again`: `behind`, `ahead`, `many` or `doubtful`. With `epoch`: the epoch in Redis. */
  readonly why: string;
  /** With `ok`: one for each key. */
  readonly values: readonly string[];
}

const ABSENT: Answer = { status: 'absent', why: '', values: [] };
/** Replies in place of a live value: the account is in doubt, or the value is out of range. */
const WAITS = 'w';
const BEYOND = 'x';

function parseReply([status, ...rest]: string[]): Answer {
  if (status === 'ok') return { status, why: '', values: rest };
  return { status: status as Answer['status'], why: rest.join(' '), values: [] };
}

/** Whether an account is in doubt: MySQL may have some of its pending entries. */
function isDoubtful({ status, why, values }: Answer): boolean {
  return status === 'ok' ? values.includes(WAITS) : why === 'doubtful';
}

type Mode = 'load' | 'compare' | 'repair';
const PLAIN_TRIES = 2;
const TRIES = 8;
/** Wait for the flush of entries in doubt: less than a call's timeout, so that its caller gets the reason. */
const DOUBT_MS = 1000;
const DOUBT_PAUSE_MS = 50;
const DOUBT = 'pending entries that the database may already have wait for their flush';
/** Why an answer other than `ok` could not be used, by its reason or status. */
const STORIES: Readonly<Record<string, string>> = {
  behind: 'Redis is behind the watermark',
  ahead: 'Redis is ahead of the watermark',
  many: 'an account has too many pending entries',
  epoch: 'the epochs of Redis and the database differ',
  absent: 'Redis or the database has no state of it',
};
const ANSWER_MS = 3000;

export class ColdReader {
  readonly #database: Database;
  readonly #keys: Keys;
  readonly #tables: ValueTables;
  readonly #aligner: Aligner;
  readonly #address: string;
  readonly #load: Script<string[]>;

  constructor(
    redis: RedisConnection,
    address: string,
    database: Database,
    keys: Keys,
    tables: ValueTables,
    aligner: Aligner,
  ) {
    this.#address = address;
    this.#database = database;
    this.#keys = keys;
    this.#tables = tables;
    this.#aligner = aligner;
    this.#load = defineScript(redis, 'load', new URL('./load.lua', import.meta.url));
  }

  /**
   * Makes keys of one partition and one table live and returns their values, in order. A value that is out of
   * range or in doubt becomes an error of that key only, since the other keys belong to other callers.
   * @throws DatabaseUnavailableError, RedisUnavailableError, ReadUnsettledError, PartitionHaltedError,
   * TableUnusableError
   */
  async load(
    partition: number,
    keys: readonly LiveKey[],
  ): Promise<(number | OutOfRangeError | ReadUnsettledError)[]> {
    const found = await this.#readAll('load', partition, keys);
    return found.map((value, at) => {
      if (value === WAITS) return new ReadUnsettledError(partition, DOUBT);
      return value === BEYOND ? new OutOfRangeError(keys[at]!.name) : Number(value);
    });
  }

  /** Compares without changing anything. @throws like `load` */
  async compare(partition: number, keys: readonly LiveKey[]): Promise<Comparison[]> {
    return comparisons(keys, await this.#readAll('compare', partition, keys));
  }

  /**
   * Compares without locking or aligning anything, so no flush waits for it. Undefined if flushes kept coming
   * between, or if the partition is halted.
   * @throws DatabaseUnavailableError, RedisUnavailableError
   */
  async glance(partition: number, keys: readonly LiveKey[]): Promise<Comparison[] | undefined> {
    const all: Comparison[] = [];
    for (const some of inParts(keys, this.#tableOf(keys))) {
      const found = await this.#glance(partition, some);
      if (!found) return undefined;
      all.push(...found);
    }
    return all;
  }

  async #glance(partition: number, keys: readonly LiveKey[]): Promise<Comparison[] | undefined> {
    for (let attempt = 0; attempt < PLAIN_TRIES; attempt++) {
      const { status, values } = await this.#try('compare', partition, keys, false);
      if (status === 'ok') return comparisons(keys, values);
    }
    return undefined;
  }

  /**
   * Compares, and corrects each wrong live value in the same step. If the right value is out of range, the
   * live value is deleted, since a cold read would refuse it.
   * @returns the values before the repair
   * @throws like `load`
   */
  async repair(partition: number, keys: readonly LiveKey[]): Promise<Comparison[]> {
    return comparisons(keys, await this.#readAll('repair', partition, keys));
  }

  async #readAll(mode: Mode, partition: number, keys: readonly LiveKey[]): Promise<string[]> {
    const found: string[] = [];
    for (const some of inParts(keys, this.#tableOf(keys)))
      found.push(...(await this.#read(mode, partition, some)));
    return found;
  }

  async #read(mode: Mode, partition: number, keys: readonly LiveKey[]): Promise<readonly string[]> {
    const end = performance.now() + DOUBT_MS;
    let story = '';
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const isLocked = attempt >= PLAIN_TRIES;
      const answer = await this.#try(mode, partition, keys, isLocked);
      if (isDoubtful(answer) && performance.now() < end) {
        await pause(DOUBT_PAUSE_MS);
        attempt = -1;
        continue;
      }
      const { status, why, values } = answer;
      if (status === 'ok') return values;
      if (isDoubtful(answer)) throw new ReadUnsettledError(partition, DOUBT);
      story = STORIES[status === 'again' ? why : status]!;
      if (status === 'again' && why === 'ahead' && isLocked) throw await this.#halted(partition);
      // Under the lock these states do not pass by themselves, and an absent state never does.
      if (status === 'absent' || isLocked) await this.#align(partition);
    }
    throw new ReadUnsettledError(partition, story);
  }

  #tableOf(keys: readonly LiveKey[]): ValueTable {
    return this.#tables.of(keys[0]!.kind, keys[0]!.name);
  }

  /** @param isLocked whether the watermark is locked meanwhile */
  async #try(mode: Mode, partition: number, keys: readonly LiveKey[], isLocked: boolean): Promise<Answer> {
    const table = this.#tableOf(keys);
    const use = async (connection: PoolConnection) => {
      if (isLocked) {
        await connection.query(
          'SELECT sequence FROM sluice_partitions WHERE partition_id = ? LOCK IN SHARE MODE',
          [partition],
        );
      }
      return this.#once(mode, connection, partition, keys, table);
    };
    try {
      await table.ready(this.#database);
      return await (isLocked ? this.#database.transaction(use) : this.#database.session(use));
    } catch (error) {
      throw explain(error, this.#address, this.#database.address);
    }
  }

  async #once(
    mode: Mode,
    connection: PoolConnection,
    partition: number,
    keys: readonly LiveKey[],
    table: ValueTable,
  ): Promise<Answer> {
    const read = async () =>
      queryRows(connection, table.read, [JSON.stringify(keys.map(key => table.readRow(key))), partition]);
    const rows = await read().catch(error => {
      throw table.explained(error, this.#database);
    });
    if (rows.length === 0) return ABSENT;
    const values = new Map(rows.map(row => [itemOf(String(row.name), String(row.item_key)), exactSum(row)]));
    const { epoch, sequence, token } = toPosition(rows[0]!);
    const args = keys.flatMap(({ kind, name, key }) => {
      const value = values.get(itemOf(name, key));
      // The statement returns a row for every key. If one is missing, the database changed the key.
      if (value === undefined) throw missing(name);
      return [kind, itemOf(name, key), value];
    });
    const state = this.#keys.state(partition);
    // Limited, since the watermark may be locked and ioredis would wait for a lost Redis for ever.
    const reply = await within(
      this.#load(state, mode, epoch, sequence, token, this.#keys.owner, ...args).catch(error =>
        redisError(error, this.#address),
      ),
      ANSWER_MS,
    );
    if (reply === undefined) throw new RedisUnavailableError(this.#address);
    if (reply instanceof Error) throw reply;
    return parseReply(reply);
  }

  /** The aligner decides under its own lock: the read may have seen a partition in the middle of a change. */
  async #halted(partition: number): Promise<Error> {
    return this.#align(partition).then(
      () => new ReadUnsettledError(partition, STORIES.ahead!),
      error => error as Error,
    );
  }

  async #align(partition: number): Promise<void> {
    await this.#aligner.align(partition).catch(error => {
      throw explain(error, this.#address, this.#database.address);
    });
  }
}
