/**
 * Drives transfers: sends the credit of each, until the destination's flush has written it and deleted its row.
 * In the common case this is right after the debit's commit. A round of its own sends credits that nobody has
 * sent for a while: a worker died, Redis lost them, or the destination took none.
 */
import type { PoolConnection } from 'mysql2/promise';
import type { Logger } from 'pino';
import { type Clock, within } from '../shared/clock.ts';
import type { Settings } from '../shared/config/settings.ts';
import { type Database, queryRows, readSql } from '../shared/mysql/database.ts';
import { jsonParts } from '../shared/mysql/statement-size.ts';
import { toPosition } from '../shared/partition/watermark.ts';
import { RepeatedLines } from '../shared/repeated.ts';
import type { Circuit } from './circuit.ts';
import { CREDITS_AT_ONCE, type Credits, creditOf } from './credits.ts';
import { FencedSends, type Page, type Read, type SendSeam } from './fenced-sends.ts';
import { type Rounds, serverRounds, spread } from './rounds.ts';
import { noteDriven, type Outgoing, type Transfer, toTransfer } from './transfers.ts';

export interface DriverParts {
  readonly database: Database;
  readonly credits: Credits;
  readonly circuit: Pick<Circuit, 'isOpen'>;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  /** Called between any two steps, so that tests can stop there. */
  readonly seam?: SendSeam | undefined;
  /** How long a row rests before a round sends its credit, ms. */
  readonly restMs?: number;
}

const sql = (name: string) => readSql(new URL(`./sql/${name}.sql`, import.meta.url));
const PARTITIONS = sql('partitions-with-due');
const DUE = sql('due-transfers');
const THESE = sql('these-transfers');

const REST_MS = 5000;
const ROUND_MS = 1000;
/** Partitions that a round drives at a time: each takes a connection. */
const LANES = 2;
/** Longest wait for what is under way at a stop. */
const STOP_MS = 3000;

export class Driver {
  readonly #parts: DriverParts;
  readonly #rounds: Rounds;
  readonly #lines: RepeatedLines;
  readonly #sends: FencedSends<Transfer>;
  /** By partition: credits that wait for the call under way. */
  readonly #waiting = new Map<number, Transfer[]>();
  readonly #sending = new Map<number, Promise<void>>();

  constructor(parts: DriverParts) {
    const { random, log, clock } = parts;
    this.#parts = parts;
    this.#lines = new RepeatedLines(log, clock);
    this.#sends = new FencedSends({
      ...parts,
      lines: this.#lines,
      entryOf: creditOf,
      waits: 'transfers to a partition wait and are sent again',
    });
    this.#rounds = serverRounds(
      { every: () => spread(ROUND_MS, random), round: () => this.once() },
      {
        log,
        lines: this.#lines,
        waits: 'transfers wait for the database',
        failed: 'could not look for transfers, will retry',
      },
    );
  }

  start(): void {
    this.#rounds.start();
  }

  /** Resolves when a running round and the calls under way have ended. */
  async stop(): Promise<void> {
    await this.#rounds.stop();
    await within(Promise.all(this.#sending.values()), STOP_MS);
    await this.#parts.credits.close();
  }

  /**
   * Sends credits whose debits were just committed. Does not wait, and never throws: what fails is left to the
   * rounds.
   */
  send(outgoing: readonly Outgoing[]): void {
    for (const { partition, watermark, transfers } of outgoing) {
      const waiting = this.#waiting.get(partition);
      if (waiting) waiting.push(...transfers);
      else {
        this.#waiting.set(partition, []);
        this.#sending.set(partition, this.#sendNow(partition, { watermark, rows: transfers }));
      }
    }
  }

  /** Sends a page, then what came meanwhile. For that, an older watermark could be too new. */
  async #sendNow(partition: number, first: Page<Transfer>): Promise<void> {
    let page: Page<Transfer> | undefined = first;
    for (let transfers = first.rows; transfers.length > 0; page = undefined) {
      for (let from = 0; from < transfers.length; from += CREDITS_AT_ONCE) {
        const some = transfers.slice(from, from + CREDITS_AT_ONCE);
        if (this.#sends.rests(partition)) continue;
        const known = page && { watermark: page.watermark, rows: some };
        await this.#sends
          .drive(partition, connection => these(connection, partition, some), known)
          .catch(() => {});
      }
      transfers = this.#waiting.get(partition)!.splice(0);
    }
    this.#waiting.delete(partition);
    this.#sending.delete(partition);
  }

  /** One round over all partitions. */
  async once(): Promise<void> {
    const { database, circuit, restMs = REST_MS } = this.#parts;
    if (circuit.isOpen) return;
    const rows = await database.query(PARTITIONS, [restMs * 1000]);
    const due = rows
      .map(row => Number(row.partition_id))
      .filter(partition => !this.#sends.rests(partition))
      .values();
    const driveSome = async () => {
      for (const partition of due) await this.#driveDue(partition).catch(() => {});
    };
    await Promise.all(Array.from({ length: LANES }, driveSome));
  }

  /** Drives the due rows of a partition, the ones first that have waited for longest. */
  async #driveDue(partition: number): Promise<void> {
    const { database, restMs = REST_MS } = this.#parts;
    const read: Read<Transfer> = connection =>
      page(connection, DUE, [partition, restMs * 1000, CREDITS_AT_ONCE]);
    while (!this.#rounds.stopped) {
      const result = await this.#sends.drive(partition, read);
      if (!result) return;
      const names = result.taken.map(({ transfer }) => transfer);
      await database.session(connection => noteDriven(connection, names));
      if (result.refused > 0 || result.taken.length < CREDITS_AT_ONCE) return;
    }
  }
}

/** Those of these transfers that are still open. */
async function these(
  connection: PoolConnection,
  partition: number,
  transfers: readonly Transfer[],
): Promise<Page<Transfer> | undefined> {
  const names = transfers.map(({ transfer }) => transfer);
  // One part: names are short.
  const [part] = jsonParts(connection, names, name => name);
  return page(connection, THESE, [part!.json, partition]);
}

async function page(
  connection: PoolConnection,
  statement: string,
  values: unknown[],
): Promise<Page<Transfer> | undefined> {
  const rows = await queryRows(connection, statement, values);
  return rows.length === 0 ? undefined : { watermark: toPosition(rows[0]!), rows: rows.map(toTransfer) };
}
