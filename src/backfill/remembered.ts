/**
 * Does Redis still remember the ids of all openings of counters that were accepted since a moment? Only then may
 * they be sent again: those that were accepted are duplicates, the others are new.
 *
 * It does if all of this holds for a partition:
 *
 * - It has the same epoch, and is not behind the watermark. So Redis has not lost what MySQL has; what it lost besides
 *   is to be sent again. A failover keeps the epoch until a flush or an alignment finds Redis behind, so the epoch
 *   alone proves nothing. The watermark is held meanwhile, or a worker could commit what Redis has lost by then.
 * - The window has not passed since. So no id that was accepted since has expired.
 * - Ids are forgotten slice by slice, the oldest first, and the slice that was open then is not forgotten. So no
 *   id that was accepted since was pushed out by the limit.
 */
import type { Database } from '../shared/mysql/database.ts';
import { lockWatermark, type Position } from '../shared/partition/watermark.ts';
import type { RedisConnection } from '../shared/redis/connections.ts';
import type { Keys } from '../shared/redis/keys.ts';
import { abreast } from '../shared/redis/reply-size.ts';
import { defineScript, type Script } from '../shared/redis/script.ts';

/** A moment of a partition, before openings were sent to it. */
export interface Moment {
  readonly partition: number;
  /** Ms of the clock of the partition's Redis. */
  readonly time: number;
  readonly epoch: string;
  /** Number of the open slice of ids. */
  readonly slice: number;
}

type Reply =
  | [time: number, epoch: string, first: number, last: number, sequence: number, token: string]
  | null;

/** What a partition remembers, and how far it is. */
export interface Standing {
  readonly time: number;
  readonly epoch: string;
  /** Number of the oldest remembered slice of ids. */
  readonly first: number;
  readonly sequence: number;
  /** The token of the batch in flight; '' if there is none. */
  readonly token: string;
}

const ABREAST = 64;

export class Remembered {
  readonly #database: Database;
  readonly #keys: Keys;
  readonly #windowMs: number;
  readonly #read: Script<Reply>;

  constructor(redis: RedisConnection, database: Database, keys: Keys, windowMs: number) {
    this.#database = database;
    this.#keys = keys;
    this.#windowMs = windowMs;
    this.#read = defineScript(redis, 'remembered', new URL('./remembered.lua', import.meta.url));
  }

  /** The moment now, of each partition. */
  moments(partitions: readonly number[]): Promise<Moment[]> {
    return abreast(partitions, ABREAST, async partition => {
      const reply = await this.#ask(partition);
      return { partition, time: reply?.[0] ?? 0, epoch: reply?.[1] ?? '', slice: reply?.[3] ?? 0 };
    });
  }

  /** Undefined if all ids accepted since are remembered; otherwise the end of a sentence that says why not. */
  async doubt(since: readonly Moment[]): Promise<string | undefined> {
    for (const moment of since) {
      const doubt = await this.#database.transaction(async connection => {
        const watermark = await lockWatermark(connection, moment.partition);
        const reply = await this.#ask(moment.partition);
        if (!reply) return 'Redis has lost the partition';
        const [time, epoch, first, , sequence, token] = reply;
        return doubtOf(moment, { time, epoch, first, sequence, token }, watermark, this.#windowMs);
      });
      if (doubt !== undefined) return doubt;
    }
    return undefined;
  }

  #ask(partition: number): Promise<Reply> {
    return this.#read(this.#keys.state(partition), this.#keys.owner);
  }
}

/** Exported for tests and the simulation. */
export function doubtOf(
  since: Moment,
  { time, epoch, first, sequence, token }: Standing,
  watermark: Omit<Position, 'epoch'>,
  windowMs: number,
): string | undefined {
  const isOther = sequence === watermark.sequence && token !== '' && token !== watermark.token;
  if (epoch !== since.epoch || sequence < watermark.sequence || isOther)
    return 'Redis has lost updates since, or one of the servers was restored';
  if (time < since.time) return "Redis' clock went back";
  if (time >= since.time + windowMs)
    return 'Redis has forgotten the ids of updates since (idempotencyWindowMs)';
  if (first > since.slice) return 'Redis has forgotten the ids of updates since (idempotencyLimit)';
  return undefined;
}
