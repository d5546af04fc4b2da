/**
 * Ends holds whose time is over: a round looks for their rows by the clock of MySQL, and sends the entry that ends each.
 * Redis decides by its own clock. A post or a void that comes in time ends the hold first.
 */
import type { PoolConnection } from 'mysql2/promise';
import type { Logger } from 'pino';
import type { Clock } from '../shared/clock.ts';
import type { Settings } from '../shared/config/settings.ts';
import { itemOf } from '../shared/item.ts';
import { type Database, queryRows, type Rows, readSql } from '../shared/mysql/database.ts';
import { toPosition } from '../shared/partition/watermark.ts';
import { RepeatedLines } from '../shared/repeated.ts';
import { endId } from '../shared/updates/hold.ts';
import { writePayload } from '../shared/updates/record.ts';
import type { Circuit } from './circuit.ts';
import { CREDITS_AT_ONCE, type Credits, type SentEntry } from './credits.ts';
import { FencedSends, type Page, type SendSeam } from './fenced-sends.ts';
import { type Rounds, serverRounds, spread } from './rounds.ts';

export interface ExpiryParts {
  readonly database: Database;
  readonly credits: Credits;
  readonly circuit: Pick<Circuit, 'isOpen'>;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  /** Called between any two steps, so that tests can stop there. */
  readonly seam?: SendSeam | undefined;
}

/** An open hold whose time is over. */
interface DueHold {
  readonly program: string;
  readonly account: string;
  readonly hold: string;
  readonly amount: number;
  /** Ms of Redis' clock. */
  readonly expiresAt: number;
}

const PARTITIONS = readSql(new URL('./sql/partitions-with-due-holds.sql', import.meta.url));
const DUE = readSql(new URL('./sql/due-holds.sql', import.meta.url));
const ROUND_MS = 1000;

export class Expiry {
  readonly #parts: ExpiryParts;
  readonly #rounds: Rounds;
  readonly #sends: FencedSends<DueHold>;

  constructor(parts: ExpiryParts) {
    const { random, log, clock } = parts;
    const lines = new RepeatedLines(log, clock);
    this.#parts = parts;
    this.#sends = new FencedSends({
      ...parts,
      lines,
      entryOf: expiryOf,
      waits: 'holds of a partition whose time is over wait and are ended later',
    });
    this.#rounds = serverRounds(
      { every: () => spread(ROUND_MS, random), round: () => this.once() },
      {
        log,
        lines,
        waits: 'holds whose time is over wait for the database',
        failed: 'could not look for holds whose time is over, will retry',
      },
    );
  }

  start(): void {
    this.#rounds.start();
  }

  /** Resolves when a running round has ended. */
  stop(): Promise<void> {
    return this.#rounds.stop();
  }

  /** One round over all partitions. Rows that were sent stay due until their flush; Redis knows them. */
  async once(): Promise<void> {
    const { database, circuit } = this.#parts;
    if (circuit.isOpen) return;
    for (const row of await database.query(PARTITIONS)) {
      const partition = Number(row.partition_id);
      if (this.#rounds.stopped) return;
      if (this.#sends.rests(partition)) continue;
      await this.#sends.drive(partition, connection => due(connection, partition)).catch(() => {});
    }
  }
}

async function due(connection: PoolConnection, partition: number): Promise<Page<DueHold> | undefined> {
  const rows = await queryRows(connection, DUE, [partition, CREDITS_AT_ONCE]);
  return rows.length === 0 ? undefined : { watermark: toPosition(rows[0]!), rows: rows.map(toDueHold) };
}

function toDueHold(row: Rows[number]): DueHold {
  return {
    program: String(row.program),
    account: String(row.account),
    hold: String(row.hold_id),
    amount: Number(row.amount),
    expiresAt: Number(row.expires_ms),
  };
}

function expiryOf({ program, account, hold, amount, expiresAt }: DueHold): SentEntry {
  const id = endId(hold);
  const payload = writePayload({ program, account, id, amount: 0, reason: null, metadata: null });
  return [itemOf(program, account), id, 0, payload, -amount, expiresAt];
}
