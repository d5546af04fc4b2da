/**
 * Builds boards of ranks while traffic goes on (docs/decisions/0026-ranks.md). The build lies in Redis:
 * build.lua makes each step, so any process may continue. All partitions walk through quarantine and table
 * together, since a page of keys has keys of all of them.
 */

import { ROW_KINDS } from '../item.ts';
import { type Database, readSql } from '../mysql/database.ts';
import { cut } from '../mysql/statement-size.ts';
import type { RedisConnection } from '../redis/connections.ts';
import { redisError } from '../redis/errors.ts';
import type { Keys } from '../redis/keys.ts';
import { abreast, REQUEST_BYTES } from '../redis/reply-size.ts';
import { defineScript, type Script } from '../redis/script.ts';
import type { ColdReader, Send } from '../values/cold-read.ts';
import type { KeyPage, ValueTables } from '../values/tables.ts';
import { type Board, boardName } from './reader.ts';

/** How far the board of a partition is. */
export interface Progress {
  readonly partition: number;
  /** `absent`: the partition has no state. `none`: there is no board of this epoch. */
  readonly phase: 'absent' | 'none' | 'wait' | 'walk' | 'close' | 'ready';
  /** Whether a board of an earlier epoch answers meanwhile. */
  readonly kept: boolean;
  /** Noted keys that are still tried before the board is ready. */
  readonly left: number;
  /** Members written so far. */
  readonly members: number;
  /** Keys whose scores may be wrong. */
  readonly noted: number;
  /** Since the build went on, ms. */
  readonly idleMs: number;
  readonly cursor: string;
  /** Name of the build; empty without one. */
  readonly build: string;
}

type Reply = [status: string, ...rest: (string | number)[]];

export interface BuilderParts {
  readonly redis: RedisConnection;
  readonly address: string;
  readonly database: Database;
  readonly keys: Keys;
  readonly tables: ValueTables;
  readonly cold: ColdReader;
}

const QUARANTINED = readSql(new URL('./sql/quarantined-keys.sql', import.meta.url));
/** Keys in a page of the walk. */
const PAGE = 2000;
/** Keys in one call: Redis takes about a millisecond for them. */
const CALL = 250;
/** Partitions at once: each takes a connection to MySQL, which flushes need too. */
const ABREAST = 2;
/** Another process goes on with a build that was this long idle. */
const LEFT_MS = 3000;
/** Longest wait of the walk for partitions whose pending updates are not flushed yet. */
const TOGETHER_MS = 5000;
/** Cursors at the begin of the walk through quarantine, and through the table. */
const QUARANTINE = 'q';
const TABLE = 't';
const END = '';

export class BoardBuilder {
  readonly #parts: BuilderParts;
  readonly #build: Script<Reply>;
  /** Boards whose last page was written by this process. */
  readonly #mine = new Set<string>();
  readonly #page: number;

  /** @param page keys in a page of the walk */
  constructor(parts: BuilderParts, page = PAGE) {
    this.#parts = parts;
    this.#page = page;
    this.#build = defineScript(parts.redis, 'build', new URL('./build.lua', import.meta.url));
  }

  /** How far the board is, in each partition. @throws RedisUnavailableError */
  look(board: Board): Promise<Progress[]> {
    return this.#everywhere(board, 'look');
  }

  /**
   * Begins a build in each partition that has no board of its epoch.
   * @param again also if the board is ready
   * @throws RedisUnavailableError
   */
  begin(board: Board, again = false): Promise<Progress[]> {
    const isMapped = this.#parts.tables.mapped(board.kind, board.name) !== undefined;
    return this.#everywhere(board, 'begin', isMapped ? 1 : 0, again ? 1 : 0);
  }

  /** Removes the board. @throws RedisUnavailableError */
  drop(board: Board): Promise<Progress[]> {
    return this.#everywhere(board, 'drop');
  }

  /**
   * Goes one step on: a page of the walk, or noted keys.
   * @returns how far the board is now, and whether another step has something to do at once
   * @throws what `ColdReader.load` throws
   */
  async step(board: Board): Promise<{ progress: Progress[]; goesOn: boolean }> {
    const progress = await this.look(board);
    const name = boardName(board);
    const walking = progress.filter(({ phase }) => phase === 'walk');
    const waiting = progress.filter(({ phase, idleMs }) => phase === 'wait' && idleMs < TOGETHER_MS);
    const isLeft = progress.every(({ phase, idleMs }) => !isUnderWay(phase) || idleMs >= LEFT_MS);
    const failures: unknown[] = [];
    let goesOn = false;
    if (walking.length > 0 && waiting.length === 0 && (this.#mine.has(name) || isLeft || isFresh(walking))) {
      // A partition that cannot walk must not hold up the noted keys of the others.
      goesOn = await this.#walk(board, walking, failures);
      if (goesOn) this.#mine.add(name);
      else if (failures.length === 0) this.#mine.delete(name);
    }
    const noted = progress.filter(
      ({ phase, noted }) => noted > 0 && (phase === 'close' || phase === 'ready'),
    );
    const hasRead = await attempts(noted, failures, one => this.#noted(board, one));
    if (!goesOn && !hasRead && failures.length > 0) throw failures[0];
    return { progress, goesOn: goesOn || hasRead };
  }

  async #everywhere(board: Board, action: string, ...args: (string | number)[]): Promise<Progress[]> {
    const { keys, address } = this.#parts;
    const partitions = Array.from({ length: keys.partitions }, (_, partition) => partition);
    return abreast(partitions, 64, async partition => {
      const call = this.#build(keys.state(partition), action, keys.owner, boardName(board), ...args);
      const reply = await call.catch(error => {
        throw redisError(error, address);
      });
      return progressOf(partition, reply);
    });
  }

  /** Writes a page for partitions that are equally far, and notes failures. @returns whether it moved one of them */
  async #walk(board: Board, walking: readonly Progress[], failures: unknown[]): Promise<boolean> {
    // Those that went on last come first: a partition that cannot go on must not hold up the others.
    const groups = Map.groupBy(
      walking.toSorted((a, b) => a.idleMs - b.idleMs),
      ({ cursor }) => cursor,
    );
    for (const [cursor, group] of groups) {
      const { keys, end } = await this.#keysAfter(board, cursor);
      const byPartition = Map.groupBy(keys, key => this.#parts.keys.partitionOf(key));
      const moved = await attempts(group, failures, one =>
        this.#pageOf(board, one, byPartition.get(one.partition) ?? [], end),
      );
      if (moved) return true;
    }
    return false;
  }

  async #pageOf(
    board: Board,
    { partition, cursor, build }: Progress,
    keys: readonly string[],
    end: string,
  ): Promise<boolean> {
    const parts = [...inCalls(keys)];
    for (const [at, some] of parts.entries()) {
      const next = at === parts.length - 1 ? end : cursor;
      if (!(await this.#give(board, partition, some, 'page', [cursor, next, build]))) return false;
    }
    return true;
  }

  /** Reads some noted keys of a partition. @returns whether some of them need it no longer */
  async #noted(board: Board, { partition, noted, phase }: Progress): Promise<boolean> {
    const { redis, keys, address } = this.#parts;
    const set = keys.ofBoard(partition, 'ranksNoted:<board>', boardName(board));
    const some = await redis.srandmember(set, CALL).catch(error => {
      throw redisError(error, address);
    });
    const reply = await this.#give(board, partition, some, 'noted', []);
    if (!reply) return false;
    const after = progressOf(partition, ['ok', ...reply]);
    return after.phase !== phase || after.noted < noted;
  }

  /** Gives keys with their values to build.lua. @returns its reply; undefined if the build has moved */
  #give(
    board: Board,
    partition: number,
    keys: readonly string[],
    action: 'page' | 'noted',
    cursors: readonly string[],
  ): Promise<readonly string[] | undefined> {
    const send: Send = (watermark, values) =>
      this.#build(
        ...([this.#parts.keys.state(partition), action, this.#parts.keys.owner, boardName(board)] as const),
        ...watermark,
        ...cursors,
        ...values.flatMap(([{ key }, value]) => [key, value]),
      ) as Promise<string[]>;
    return this.#parts.cold.give(partition, board, keys, send);
  }

  /** The next keys of the walk, of all partitions. */
  async #keysAfter({ kind, name }: Board, cursor: string): Promise<KeyPage> {
    const { database, tables } = this.#parts;
    const after = cursor.slice(1);
    if (cursor.startsWith(TABLE)) {
      const { keys, end } = await tables.of(kind, name).page(database, name, this.#page, after);
      return { keys, end: end === '' ? END : TABLE + end };
    }
    const params = [ROW_KINDS[kind], Buffer.from(name), Buffer.from(after), this.#page];
    const rows = await database.explained(() => database.query(QUARANTINED, params));
    const keys = rows.map(row => String(row.item_key));
    return { keys, end: keys.length < this.#page ? TABLE : QUARANTINE + keys.at(-1) };
  }
}

/** Whether one of the attempts succeeded. Each fails alone. */
async function attempts(
  partitions: readonly Progress[],
  failures: unknown[],
  attempt: (one: Progress) => Promise<boolean>,
): Promise<boolean> {
  const results = await abreast(partitions, ABREAST, one =>
    attempt(one).catch(error => {
      failures.push(error);
      return false;
    }),
  );
  return results.includes(true);
}

function isUnderWay(phase: Progress['phase']): boolean {
  return phase === 'walk' || phase === 'close';
}

/** Whether nobody has walked yet. */
function isFresh(walking: readonly Progress[]): boolean {
  return walking.every(({ cursor }) => cursor === QUARANTINE);
}

/** Splits keys for one call each; one part without keys if there are none. */
function* inCalls(keys: readonly string[]): Generator<readonly string[]> {
  if (keys.length === 0) yield [];
  const share = (at: number) => Math.max(REQUEST_BYTES / CALL, 3 * keys[at]!.length);
  for (const [from, to] of cut(keys.length, REQUEST_BYTES, share)) yield keys.slice(from, to);
}

function progressOf(partition: number, [status, ...rest]: Reply): Progress {
  const [phase, kept, left, members, noted, idleMs, cursor, build] = rest;
  return {
    partition,
    phase: status === 'ok' ? (phase as Progress['phase']) : 'absent',
    kept: Number(kept ?? 0) === 1,
    left: Number(left ?? 0),
    members: Number(members ?? 0),
    noted: Number(noted ?? 0),
    idleMs: Number(idleMs ?? 0),
    cursor: String(cursor ?? ''),
    build: String(build ?? ''),
  };
}
