/**
 * Ends the halt of a partition whose MySQL or Redis was restored from a backup.
 *
 * Two transactions under the watermark's lock. The first declares, in the audit record and in `sluice_losses`, what may
 * be lost or doubled. The second changes Redis by one script, then commits the watermark. Invariant: nothing changes
 * that is not declared, and after a crash at any point the partition is either halted as before, so that the command
 * finds the same and goes on with the same declaration, or it is whole but for epochs that differ, which the next flush
 * or alignment mends. Never are both sequences moved:
 *
 * - DATABASE_WENT_BACK: the watermark moves to Redis, one less where a batch is in flight, which is then applied next. In
 *   Redis only the epoch changes, and ids of written entries are forgotten, so that what is gone can be sent again.
 * - REDIS_BACKUP_RESTORED: Redis moves to the watermark, one more where a batch is in flight. In MySQL only the epoch
 *   changes. Before the move the old counters are discarded, in the same script, or left to be written once more.
 */
import { randomToken } from './clock.ts';
import { NotMigratedError, ReadUnsettledError } from './errors.ts';
import {
  committedCount,
  type DatabaseSide,
  type Evidence,
  Evidences,
  type Move,
  type OldCounters,
  type RedisSide,
} from './evidence.ts';
import type { Keys } from './keys.ts';
import { declareLoss } from './losses.ts';
import { type Database, queryRows, readSql } from './mysql.ts';
import type { RedisConnection } from './redis.ts';

export interface RecoveryRequest {
  /** Also acts on a Redis that is behind and would mend by itself. `discard` where it is left out. */
  readonly counters?: OldCounters | undefined;
  /** Who, for the audit record. */
  readonly operator: string;
  readonly reason?: string | undefined;
}

export interface Recovered extends Evidence {
  /** The row of `sluice_operations`. */
  readonly operation: number;
}

/** Called between the steps, so that tests can end the process's part there. */
type RecoverySeam = (step: 'declared' | 'moved') => void;

const sql = (name: string) => readSql(new URL(`./sql/${name}.sql`, import.meta.url));
const UNFINISHED = sql('unfinished-recovery');
const START = sql('start-recovery');
const ACCEPT = sql('accept-watermark');
/** Workers claim meanwhile, which changes what was seen. */
const ATTEMPTS = 10;

export class Recovery {
  readonly #database: Database;
  readonly #evidences: Evidences;
  readonly #seam: RecoverySeam;

  constructor(redis: RedisConnection, database: Database, keys: Keys, seam: RecoverySeam = () => {}) {
    this.#database = database;
    this.#evidences = new Evidences(redis, keys);
    this.#seam = seam;
  }

  /** What a partition is like, and what recovering it would cost. Changes nothing. */
  async look(partition: number, counters?: OldCounters): Promise<Evidence> {
    try {
      return await this.#database.transaction(connection =>
        this.#evidences.look(connection, partition, counters),
      );
    } catch (error) {
      if (error instanceof NotMigratedError) return { verdict: 'NOT_MIGRATED' };
      throw error;
    }
  }

  /**
   * Undefined where there is nothing to do, or nothing any more. May be repeated after any failure.
   * @throws ReadUnsettledError, NotMigratedError
   */
  async recover(partition: number, request: RecoveryRequest): Promise<Recovered | undefined> {
    for (let attempt = 1; ; attempt++) {
      const declared = await this.#declare(partition, request);
      if (!declared) return undefined;
      this.#seam('declared');
      try {
        if (await this.#carryOut(partition, request, declared)) return declared;
      } catch (error) {
        if (!(error instanceof Contested)) throw error;
        if (attempt === ATTEMPTS) throw new ReadUnsettledError(partition, 'workers change it all the time');
      }
    }
  }

  async #declare(partition: number, request: RecoveryRequest): Promise<Recovered | undefined> {
    return this.#database.transaction(async connection => {
      const found = await this.#evidences.look(connection, partition, request.counters);
      if (!found.damage) return undefined;
      const { verdict, database, damage } = found;
      const counters = verdict === 'DATABASE_WENT_BACK' ? undefined : (request.counters ?? 'discard');
      const filter = JSON.stringify({ partition, verdict, watermark: database!.sequence, counters });
      let [row] = await queryRows(connection, UNFINISHED, [filter]);
      if (!row) {
        await connection.query(START, [request.operator, request.reason ?? null, filter]);
        [row] = await queryRows(connection, 'SELECT LAST_INSERT_ID() AS id');
      }
      const operation = Number(row!.id);
      await declareLoss(connection, partition, damage.kind, causeOf(operation), damage.updates);
      return { ...found, operation };
    });
  }

  /** False where the partition is not what it was declared to be any more. */
  async #carryOut(partition: number, request: RecoveryRequest, declared: Recovered): Promise<boolean> {
    return this.#database.transaction(async connection => {
      const found = await this.#evidences.look(connection, partition, request.counters);
      const { verdict, redis, database, damage } = found;
      if (verdict !== declared.verdict || !redis || !database || !damage) return false;
      const move =
        verdict === 'DATABASE_WENT_BACK'
          ? stay(redis)
          : moveTo(database, redis, request.counters ?? 'discard');
      const old = await this.#evidences.move(partition, move);
      if (old === undefined) throw new Contested();
      this.#seam('moved');
      const { sequence, token } =
        verdict === 'DATABASE_WENT_BACK' ? { sequence: before(redis), token: '' } : database;
      // By Redis' count from now on: what it takes for written, and no more.
      const updates = committedCount(redis) + (move.counters === 'discard' ? old : 0);
      await connection.query(ACCEPT, [sequence, token, move.epoch, updates, partition]);
      const { operation } = declared;
      await declareLoss(
        connection,
        partition,
        damage.kind,
        causeOf(operation),
        Math.max(damage.updates, old),
      );
      await connection.query('UPDATE sluice_operations SET finished_at = UTC_TIMESTAMP(3) WHERE id = ?', [
        operation,
      ]);
      return true;
    });
  }
}

function causeOf(operation: number): string {
  return `recover-${operation}`;
}

/** The batch before the one in flight, or the last one. */
function before({ sequence, token }: RedisSide): number {
  return token === '' ? sequence : sequence - 1;
}

function stay(seen: RedisSide): Move {
  const { sequence, token } = seen;
  return { counters: 'keep', cutoff: -1, seen, epoch: randomToken(), sequence, token, forgetsIds: true };
}

function moveTo(database: DatabaseSide, seen: RedisSide, counters: OldCounters): Move {
  const isInFlight = seen.token !== '';
  // What is discarded leaves another batch behind, which those who know the old one must not take for it.
  const token = isInFlight && counters === 'discard' ? randomToken() : seen.token;
  return {
    counters: counters === 'discard' ? 'discard' : 'keep',
    cutoff: database.committedAt,
    seen,
    epoch: randomToken(),
    sequence: database.sequence + (isInFlight ? 1 : 0),
    token,
    forgetsIds: false,
  };
}

/** Rolls the transaction back where the script refused. */
class Contested extends Error {}
