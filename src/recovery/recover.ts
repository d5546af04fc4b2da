/**
 * Ends the halt of a partition whose MySQL or Redis was restored from a backup.
 *
 * It takes two transactions under the watermark's lock. The first one declares possible losses, in the audit
 * record and in `sluice_losses`. The second one changes Redis with one script, then commits the watermark.
 * Old counters may be incremented between the two. The script discards no more than is declared, and if there
 * is more, it is declared first.
 *
 * Invariant: nothing changes that is not declared. After a crash at any point the partition is either halted
 * as before, and repeating the command continues with the same declaration, or only the epochs differ, which
 * the next flush or alignment repairs. Only one of the two sequences moves:
 *
 * - DATABASE_WENT_BACK: the watermark moves to the sequence of Redis, or to one less if a batch is in flight,
 *   which is then applied next. In Redis only the epoch changes, and ids of written entries are forgotten, so
 *   that lost updates can be sent again.
 * - REDIS_BACKUP_RESTORED: Redis moves to the watermark, or to one more if a batch is in flight. In MySQL
 *   only the epoch changes. Old counters are discarded, or kept and written again.
 *
 * The final script discards at most a page of pending counters or ids. Those beyond a page are removed before
 * it, page by page, while the partition is still halted.
 */
import { isDeepStrictEqual } from 'node:util';
import { randomToken } from '../shared/clock.ts';
import { NotMigratedError, ReadUnsettledError } from '../shared/errors.ts';
import { checkAudit } from '../shared/mysql/audit.ts';
import { type Database, queryRow, queryRows, readSql } from '../shared/mysql/database.ts';
import { declareLoss } from '../shared/partition/losses.ts';
import { lockWatermark, moveWatermark, readWatermark } from '../shared/partition/watermark.ts';
import type { RedisConnection } from '../shared/redis/connections.ts';
import type { Keys } from '../shared/redis/keys.ts';
import {
  committedCount,
  type DatabaseSide,
  type Evidence,
  type Move,
  type OldCounters,
  type RedisSide,
  Sides,
} from './evidence.ts';

export interface RecoveryRequest {
  /** If given, also recovers a Redis that is behind and would be repaired by itself. `discard` by default. */
  readonly counters?: OldCounters | undefined;
  /** Who, for the audit record. */
  readonly operator: string;
  readonly reason?: string | undefined;
}

export interface Recovered extends Evidence {
  /** The row of `sluice_operations`. */
  readonly operation: number;
}

/** Called between the steps, so that tests can simulate a crash there. */
export type RecoverySeam = (step: 'declared' | 'lightened' | 'moved') => void | Promise<void>;

const sql = (name: string) => readSql(new URL(`./sql/${name}.sql`, import.meta.url));
const UNFINISHED = sql('unfinished-recovery');
const START = sql('start-recovery');
/** Workers may claim meanwhile, and then the comparison is repeated. */
const ATTEMPTS = 10;

export class Recovery {
  readonly #database: Database;
  readonly #sides: Sides;
  readonly #seam: RecoverySeam;

  constructor(
    redis: RedisConnection,
    database: Database,
    keys: Keys,
    seam: RecoverySeam = () => {},
    pageSize?: number,
  ) {
    this.#database = database;
    this.#sides = new Sides(redis, keys, pageSize);
    this.#seam = seam;
  }

  /**
   * Compares both sides, and computes the damage of a recovery. It changes and locks nothing, so it also
   * works on a read-only server.
   * @throws ReadUnsettledError
   */
  async look(partition: number, counters?: OldCounters): Promise<Evidence> {
    try {
      for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
        const found = await this.#database.session(async connection => {
          const watermark = await readWatermark(connection, partition);
          const evidence = await this.#sides.look(connection, partition, watermark, counters);
          const after = await readWatermark(connection, partition);
          return isDeepStrictEqual(after, watermark) ? evidence : undefined;
        });
        if (found) return found;
      }
      throw new ReadUnsettledError(partition, 'workers keep changing it');
    } catch (error) {
      if (error instanceof NotMigratedError) return { verdict: 'NOT_MIGRATED' };
      throw error;
    }
  }

  /**
   * Recovers the partition. Undefined if there is nothing to do. May be repeated after any failure.
   * @throws ReadUnsettledError, NotMigratedError
   */
  async recover(partition: number, request: RecoveryRequest): Promise<Recovered | undefined> {
    let before: Recovered | undefined;
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const declared = await this.#declare(partition, request, before);
      if (!declared) return undefined;
      before = declared;
      await this.#seam('declared');
      try {
        await this.#lighten(partition, request, declared);
        await this.#carryOut(partition, request, declared);
        await checkAudit(this.#database, declared.operation, { finished: true });
        return declared;
      } catch (error) {
        if (!(error instanceof Contested)) throw error;
      }
    }
    throw new ReadUnsettledError(partition, 'workers keep changing it');
  }

  /** @param before declaration of the previous attempt, which may have been too small */
  async #declare(
    partition: number,
    request: RecoveryRequest,
    before: Recovered | undefined,
  ): Promise<Recovered | undefined> {
    return this.#database.transaction(async connection => {
      const watermark = await lockWatermark(connection, partition);
      const found = await this.#sides.look(connection, partition, watermark, request.counters);
      if (!found.damage) return undefined;
      const { verdict, database, damage } = found;
      const counters = verdict === 'DATABASE_WENT_BACK' ? undefined : (request.counters ?? 'discard');
      // In the format of the other operations, since it is listed with them.
      const filter = JSON.stringify({
        filter: { partition },
        verdict,
        watermark: database!.sequence,
        counters,
      });
      let [row] = await queryRows(connection, UNFINISHED, [filter]);
      if (!row) {
        await connection.query(START, [request.operator, request.reason ?? null, filter]);
        row = await queryRow(connection, 'SELECT LAST_INSERT_ID() AS id');
      }
      const operation = Number(row.id);
      const updates = withRoom(damage.updates, before?.damage?.updates);
      await declareLoss(connection, partition, damage.kind, causeOf(operation), updates);
      return { ...found, damage: { ...damage, updates }, operation };
    });
  }

  /** Removes pages, each in its own transaction, until at most one page is left for the move. */
  async #lighten(partition: number, { counters }: RecoveryRequest, declared: Recovered): Promise<void> {
    const { verdict, redis, database, burden, damage } = declared;
    const { pageSize } = this.#sides;
    const forgets = verdict === 'DATABASE_WENT_BACK';
    if (!forgets && counters === 'apply') return;
    const action = forgets ? 'forget' : 'discard';
    for (let left = burden![forgets ? 'ids' : 'oldKeys']; left > pageSize; left -= pageSize) {
      await this.#database.transaction(async connection => {
        const { sequence } = await lockWatermark(connection, partition);
        if (sequence !== database!.sequence) throw new Contested();
        const cutoff = database!.committedAt;
        const done = await this.#sides.lighten(partition, action, cutoff, redis!, damage!.updates);
        if (!done) throw new Contested();
      });
      await this.#seam('lightened');
    }
  }

  /** @throws Contested if the partition has changed since the declaration */
  async #carryOut(partition: number, request: RecoveryRequest, declared: Recovered): Promise<void> {
    await this.#database.transaction(async connection => {
      const watermark = await lockWatermark(connection, partition);
      const found = await this.#sides.look(connection, partition, watermark, request.counters);
      const { verdict, redis, database, damage } = found;
      if (verdict !== declared.verdict || !redis || !database || !damage) throw new Contested();
      const isOldDatabase = verdict === 'DATABASE_WENT_BACK';
      const move = isOldDatabase ? stay(redis) : moveTo(database, redis, request.counters ?? 'discard');
      const most = declared.damage!.updates;
      const moved = await this.#sides.move(partition, database.committedAt, redis, move, most);
      if (!moved) throw new Contested();
      await this.#seam('moved');
      const { sequence, token } = isOldDatabase ? { sequence: before(redis), token: '' } : database;
      // By Redis' count: exactly the updates that it considers committed.
      const updates = committedCount(moved);
      await moveWatermark(connection, partition, { sequence, token, epoch: move.epoch, updates });
      const { operation } = declared;
      await declareLoss(connection, partition, damage.kind, causeOf(operation), damage.updates);
      await connection.query('UPDATE sluice_operations SET finished_at = UTC_TIMESTAMP(3) WHERE id = ?', [
        operation,
      ]);
    });
  }
}

export function causeOf(operation: number): string {
  return `recover-${operation}`;
}

/** If the number grew since its declaration, adds twice the growth, so that some attempt succeeds. */
export function withRoom(updates: number, before = updates): number {
  return updates + 2 * Math.max(0, updates - before);
}

/** Sequence of the batch before the one in flight, or of the last one. */
export function before({ sequence, token }: Pick<RedisSide, 'sequence' | 'token'>): number {
  return token === '' ? sequence : sequence - 1;
}

function stay({ sequence, token }: RedisSide): Move {
  return { epoch: randomToken(), sequence, token, discards: false, forgetsIds: true };
}

function moveTo(database: DatabaseSide, seen: RedisSide, counters: OldCounters): Move {
  const isInFlight = seen.token !== '';
  const discards = counters === 'discard';
  return {
    epoch: randomToken(),
    sequence: database.sequence + (isInFlight ? 1 : 0),
    // Without the discarded counters it is another batch, and workers that know the old one must notice.
    token: isInFlight && discards ? randomToken() : seen.token,
    discards,
    forgetsIds: false,
  };
}

/** Rolls the transaction back after the script refused. */
class Contested extends Error {}
