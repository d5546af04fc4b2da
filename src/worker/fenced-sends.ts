/**
 * Sends the entries of rows to Redis, each with a watermark from before it can have been written. If that does not fit
 * Redis any more, rows and watermark are read anew, from the third attempt on with the watermark locked, as cold reads
 * do. So a worker that froze in between can never send an entry that was written and forgotten.
 */
import type { PoolConnection } from 'mysql2/promise';
import type { Clock } from '../shared/clock.ts';
import type { Settings } from '../shared/config/settings.ts';
import type { Database } from '../shared/mysql/database.ts';
import type { Position } from '../shared/partition/watermark.ts';
import type { RepeatedLines } from '../shared/repeated.ts';
import { backoff, isOutage } from './circuit.ts';
import type { Credits, SendResult, SentEntry } from './credits.ts';

export interface FencedParts<Row> {
  readonly database: Database;
  readonly credits: Credits;
  readonly entryOf: (row: Row) => SentEntry;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly random: () => number;
  readonly lines: RepeatedLines;
  /** What a failure is told as. */
  readonly waits: string;
  /** Called between any two steps, so that tests can stop there. */
  readonly seam?: SendSeam | undefined;
}

export type SendSeam = (step: 'read' | 'sent') => Promise<void> | void;

/** Rows of one partition, with its watermark. */
export interface Page<Row> {
  readonly watermark: Position;
  readonly rows: readonly Row[];
}

/** How rows are read: on the connection that holds the lock, if any. Undefined if there is none. */
export type Read<Row> = (connection: PoolConnection) => Promise<Page<Row> | undefined>;

const LOCK = 'SELECT sequence FROM sluice_partitions WHERE partition_id = ? LOCK IN SHARE MODE';
const PLAIN_TRIES = 2;
const TRIES = 4;

export class FencedSends<Row> {
  readonly #parts: FencedParts<Row>;
  readonly #troubles = new Map<number, { failures: number; notBefore: number }>();

  constructor(parts: FencedParts<Row>) {
    this.#parts = parts;
  }

  /**
   * Sends the entries of one page of rows.
   * @param known the page, if it was read before
   * @returns undefined if there is none
   * @throws what `Credits.send` throws, or the error of MySQL; the partition rests then
   */
  async drive(partition: number, read: Read<Row>, known?: Page<Row>) {
    try {
      let page = known;
      for (let attempt = 0; attempt < TRIES; attempt++, page = undefined) {
        const result = await this.#try(partition, page, read, attempt >= PLAIN_TRIES);
        if (result?.status === 'again') continue;
        if (result && result.refused > 0) this.#failed(partition, 'the partition has no room');
        else this.#troubles.delete(partition);
        return result;
      }
      this.#failed(partition, 'Redis and the watermark differ');
      return undefined;
    } catch (error) {
      this.#failed(partition, 'the entries could not be sent', error);
      throw error;
    }
  }

  /** @param isLocked whether the watermark is locked meanwhile, so that no flush moves it */
  async #try(
    partition: number,
    known: Page<Row> | undefined,
    read: Read<Row>,
    isLocked: boolean,
  ): Promise<SendResult<Row> | undefined> {
    const { database, credits, entryOf, seam } = this.#parts;
    const send = async (page: Page<Row> | undefined) => {
      if (!page) return undefined;
      await seam?.('read');
      const result = await credits.send(partition, page.watermark, page.rows, entryOf);
      await seam?.('sent');
      return result;
    };
    if (!isLocked) return send(known ?? (await database.session(read)));
    return database.transaction(async connection => {
      await connection.query(LOCK, [partition]);
      return send(await read(connection));
    });
  }

  /** Whether the partition rests after a failure. */
  rests(partition: number): boolean {
    return (this.#troubles.get(partition)?.notBefore ?? 0) > this.#parts.clock.now();
  }

  #failed(partition: number, why: string, error?: unknown): void {
    const { clock, settings, random, lines, waits } = this.#parts;
    const failures = (this.#troubles.get(partition)?.failures ?? 0) + 1;
    const wait = backoff(failures, settings.backoffBaseMs, settings.backoffCapMs, random);
    this.#troubles.set(partition, { failures, notBefore: clock.now() + wait });
    if (error !== undefined && isOutage(error)) return;
    lines.warn({ partition, failures, why, err: error }, waits);
  }
}
