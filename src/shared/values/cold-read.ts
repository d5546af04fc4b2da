/**
 * Exact values of cold keys: the value in MySQL plus the updates that only Redis has. One SQL statement reads
 * the value together with the watermark, and one script adds the updates that the watermark does not cover.
 * If a flush came between the two, the script says so and both are repeated, from the third attempt on with
 * the watermark locked. A read of an account in doubt waits a little for the flush that ends the doubt. It
 * locks nothing meanwhile, since the flush needs the watermark.
 */
import type { PoolConnection } from 'mysql2/promise';
import { pause } from '../clock.ts';
import { AnswerMissingError, OutOfRangeError, ReadUnsettledError } from '../errors.ts';
import { explain } from '../explain.ts';
import { idText, itemOf } from '../item.ts';
import { type Database, queryRows, type Rows, readSql } from '../mysql/database.ts';
import { cut, LARGEST_ITEM, literalBytes } from '../mysql/statement-size.ts';
import type { Aligner } from '../partition/align.ts';
import { toPosition } from '../partition/watermark.ts';
import type { RedisConnection } from '../redis/connections.ts';
import { answerInTime } from '../redis/errors.ts';
import type { Keys } from '../redis/keys.ts';
import type { LiveKey } from '../redis/live-keys.ts';
import { defineScript, type Script } from '../redis/script.ts';
import { type Hold, type HoldStatus, holdRecord, readHoldRecord } from '../updates/hold.ts';
import { type Comparison, comparisons } from './comparison.ts';
import { type StoredValue, storedValues } from './stored-values.ts';
import type { ValueTable, ValueTables } from './tables.ts';

/** Splits keys so that each part fits into one statement on any server and one call of the script. */
function* inParts(keys: readonly LiveKey[], table: ValueTable): Generator<readonly LiveKey[]> {
  const bytesAt = (at: number) => literalBytes(JSON.stringify(table.readRow(keys[at]!)));
  for (const [from, to] of cut(keys.length, LARGEST_ITEM, bytesAt)) yield keys.slice(from, to);
}

/** Reply of load.lua, or of another script that takes values with their watermark. */
interface Answer {
  readonly status: 'ok' | 'moved' | 'again' | 'epoch' | 'absent';
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
/** Gives a script values in the database, quarantine included, with the watermark that was read with them. */
export type Send = (
  watermark: readonly [epoch: string, sequence: number, token: string],
  values: readonly (readonly [key: LiveKey, value: StoredValue])[],
) => Promise<string[]>;
/** What is read, and for which script. */
interface Reading {
  readonly partition: number;
  readonly table: Pick<ValueTable, 'ready' | 'explained'>;
  /** One statement, whose rows have the watermark. */
  ask(connection: PoolConnection): Promise<Rows>;
  /** Gives a script what was read. */
  tell(watermark: Parameters<Send>[0], rows: Rows): Promise<string[]>;
}

/** A hold of an account. */
export interface HoldKey {
  readonly program: string;
  readonly account: string;
  readonly hold: string;
}

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
const HOLDS = readSql(new URL('./sql/read-holds.sql', import.meta.url));
/** The table of holds is Sluice's own. */
const OWN: Reading['table'] = { ready: async () => {}, explained: error => error };
const WATERMARK = 'SELECT sequence, token, epoch FROM sluice_partitions WHERE partition_id = ?';

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
   * Makes keys of one partition and one table live and returns their live values, in order, for `readLive`. A value
   * that is out of range or in doubt becomes an error of that key only, since the other keys belong to other callers.
   * @throws DatabaseUnavailableError, RedisUnavailableError, ReadUnsettledError, PartitionHaltedError,
   * TableUnusableError
   */
  async load(
    partition: number,
    keys: readonly LiveKey[],
  ): Promise<(string | OutOfRangeError | ReadUnsettledError)[]> {
    const found = await this.#readAll('load', partition, keys);
    return found.map((value, at) => {
      if (value === WAITS) return new ReadUnsettledError(partition, DOUBT);
      return value === BEYOND ? new OutOfRangeError(keys[at]!.name) : value;
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
      const { status, values } = await this.#try(this.#reading('compare', partition, keys), false);
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
      found.push(...(await this.#read(this.#reading(mode, partition, some))).values);
    return found;
  }

  #reading(mode: Mode, partition: number, keys: readonly LiveKey[]): Reading {
    const send: Send = (watermark, values) =>
      this.#load(
        ...([this.#keys.state(partition), mode, ...watermark, this.#keys.owner] as const),
        ...values.flatMap(([{ kind, name, key }, value]) => [kind, itemOf(name, key), value]),
      );
    return valuesOf(partition, keys, this.#tableOf(keys), send);
  }

  /**
   * Makes the records of holds of one partition live, and returns how they stand, in order; null if there is no such
   * hold. One whose account is in doubt becomes an error of that hold only.
   * @throws like `load`
   */
  async loadHolds(
    partition: number,
    holds: readonly HoldKey[],
  ): Promise<(Hold | null | ReadUnsettledError)[]> {
    const found: (Hold | null | ReadUnsettledError)[] = [];
    const rowOf = ({ program, account, hold }: HoldKey) => [program, account, hold];
    for (const [from, to] of cut(holds.length, LARGEST_ITEM, at =>
      literalBytes(JSON.stringify(rowOf(holds[at]!))),
    )) {
      const some = holds.slice(from, to);
      const { values } = await this.#read({
        partition,
        table: OWN,
        ask: connection => queryRows(connection, HOLDS, [JSON.stringify(some.map(rowOf)), partition]),
        tell: (watermark, rows) =>
          this.#load(
            ...([this.#keys.state(partition), 'load', ...watermark, this.#keys.owner] as const),
            ...holdArguments(some, rows),
          ),
      });
      for (const value of values)
        found.push(value === WAITS ? new ReadUnsettledError(partition, DOUBT) : readHoldRecord(value));
    }
    return found;
  }

  /**
   * Reads keys of one partition and table, also none, and gives them to a script with the watermark.
   * @returns what the script replied after `ok`; undefined if it replied `moved`
   * @throws like `load`
   */
  async give(
    partition: number,
    { kind, name }: Pick<LiveKey, 'kind' | 'name'>,
    keys: readonly string[],
    send: Send,
  ): Promise<readonly string[] | undefined> {
    const table = this.#tables.of(kind, name);
    const reading = valuesOf(
      partition,
      keys.map(key => ({ kind, name, key })),
      table,
      send,
    );
    const { status, values } = await this.#read(reading);
    return status === 'ok' ? values : undefined;
  }

  async #read(reading: Reading): Promise<Answer> {
    const { partition } = reading;
    const end = performance.now() + DOUBT_MS;
    let story = '';
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const isLocked = attempt >= PLAIN_TRIES;
      const answer = await this.#try(reading, isLocked);
      if (isDoubtful(answer) && performance.now() < end) {
        await pause(DOUBT_PAUSE_MS);
        attempt = -1;
        continue;
      }
      const { status, why } = answer;
      if (status === 'ok' || status === 'moved') return answer;
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
  async #try(reading: Reading, isLocked: boolean): Promise<Answer> {
    const use = async (connection: PoolConnection) => {
      if (isLocked) {
        await connection.query(
          'SELECT sequence FROM sluice_partitions WHERE partition_id = ? LOCK IN SHARE MODE',
          [reading.partition],
        );
      }
      return this.#once(connection, reading);
    };
    try {
      await reading.table.ready(this.#database);
      return await (isLocked ? this.#database.transaction(use) : this.#database.session(use));
    } catch (error) {
      throw explain(error, this.#address, this.#database.address);
    }
  }

  async #once(connection: PoolConnection, { table, ask, tell }: Reading): Promise<Answer> {
    const found = await ask(connection).catch(error => {
      throw table.explained(error, this.#database);
    });
    if (found.length === 0) return ABSENT;
    const { epoch, sequence, token } = toPosition(found[0]!);
    // Limited, since the watermark may be locked.
    const told = tell([epoch, sequence, token], found);
    return parseReply(await answerInTime(told, ANSWER_MS, this.#address));
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

/** Reads values of these keys, also of none. */
function valuesOf(partition: number, keys: readonly LiveKey[], table: ValueTable, send: Send): Reading {
  const rows = keys.map(key => table.readRow(key));
  return {
    partition,
    table,
    // Async, since a table that does not fit throws when its statement is asked for.
    ask: async connection =>
      keys.length === 0
        ? queryRows(connection, WATERMARK, [partition])
        : queryRows(connection, table.read, [JSON.stringify(rows), partition]),
    tell: async (watermark, found) => send(watermark, storedValues(keys, found)),
  };
}

/** What load.lua takes for these holds. */
function holdArguments(holds: readonly HoldKey[], rows: Rows): string[] {
  const records = new Map(
    rows.map(row => {
      const { program, account, hold_id: hold, status, amount, posted, expires_ms: expiresAt } = row;
      const record =
        status === null
          ? ''
          : holdRecord({
              amount: Number(amount),
              status: status as HoldStatus,
              posted: Number(posted),
              expiresAt: expiresAt === null ? null : Number(expiresAt),
            });
      return [idText(itemOf(String(program), String(account)), String(hold)), record];
    }),
  );
  return holds.flatMap(({ program, account, hold }) => {
    const item = idText(itemOf(program, account), hold);
    const record = records.get(item);
    if (record === undefined) throw new AnswerMissingError(`the row of a hold of ${program}`);
    return ['h', item, record];
  });
}
