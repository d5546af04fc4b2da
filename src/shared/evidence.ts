/**
 * Both sides of a partition as `sluice recover` sees them, and the verdict: the table of decision.ts, asked before a flush
 * asks it. Changes nothing.
 */
import type { PoolConnection } from 'mysql2/promise';
import { decide } from './decision.ts';
import type { Keys } from './keys.ts';
import { queryRows, readSql } from './mysql.ts';
import { defineScript, type RedisConnection, type Script } from './redis.ts';
import { lockWatermark, type Watermark } from './watermark.ts';

/** What the counters of an old backup of Redis become; entries are written again in any case, which changes nothing. */
export type OldCounters = 'discard' | 'apply';

export const VERDICTS = [
  'IN_ORDER',
  /** Redis holds nothing of the partition; the next update creates it from the watermark. */
  'NO_STATE',
  /** Live values are read anew under a new epoch, by themselves. */
  'EPOCHS_DIFFER',
  /** Redis lost answered writes; the next flush mends it. */
  'REDIS_BEHIND',
  'REDIS_BACKUP_RESTORED',
  'DATABASE_WENT_BACK',
  'NOT_MIGRATED',
] as const;
export type Verdict = (typeof VERDICTS)[number];

export interface RedisSide {
  readonly epoch: string;
  /** Sequence number of the batch claimed last. */
  readonly sequence: number;
  /** Token of the batch in flight, '' where there is none. */
  readonly token: string;
  /** Updates ever accepted, and how many of them were ever claimed, by Redis' own count. */
  readonly updates: number;
  readonly claimed: number;
  readonly inFlight: number;
  readonly pendingKeys: number;
  readonly pendingEntries: number;
}

export interface DatabaseSide extends Omit<Watermark, 'updates'> {
  /** How many updates of the partition it has, by Redis' count at its last batch; null where that was not recorded. */
  readonly updates: number | null;
  readonly journal: { readonly oldest: number; readonly newest: number; readonly batches: number } | null;
  /** When its last batch was committed, ms. */
  readonly committedAt: number;
}

/** What a recovery would make `sluice_losses` say. */
export interface Damage {
  readonly kind: 'lost' | 'doubled';
  readonly updates: number;
  /** False where the counts do not tell exactly; `updates` is then what Redis' count allows for. */
  readonly isExact: boolean;
}

export interface Evidence {
  readonly verdict: Verdict;
  readonly redis?: RedisSide;
  readonly database?: DatabaseSide;
  /** Undefined where nothing is to be done. */
  readonly damage?: Damage;
}

type RecoverReply = [matches: number, epoch: string, ...numbers: string[]];

const EVIDENCE = readSql(new URL('./sql/recovery-evidence.sql', import.meta.url));
const NEVER = -1;

/** Where a recovery puts Redis, and where it saw it. */
export interface Move {
  readonly counters: 'keep' | 'discard';
  readonly cutoff: number;
  readonly seen: RedisSide;
  readonly epoch: string;
  readonly sequence: number;
  readonly token: string;
  readonly forgetsIds: boolean;
}

export class Evidences {
  readonly #keys: Keys;
  readonly #recover: Script<RecoverReply | null>;

  constructor(redis: RedisConnection, keys: Keys) {
    this.#keys = keys;
    this.#recover = defineScript(redis, 'recover', new URL('./recover.lua', import.meta.url));
  }

  /**
   * Under the watermark's lock, which keeps both sides comparable.
   * @param counters also asks what acting on a Redis that is behind would lose or double
   * @throws NotMigratedError
   */
  async look(connection: PoolConnection, partition: number, counters?: OldCounters): Promise<Evidence> {
    const watermark = await lockWatermark(connection, partition);
    const [row] = await queryRows(connection, EVIDENCE, [partition, partition]);
    const batches = Number(row!.batches);
    const database: DatabaseSide = {
      ...watermark,
      // Rows of the format before say 0, and so do partitions that never had a batch.
      updates: watermark.updates || (watermark.sequence === 0 ? 0 : null),
      journal: batches > 0 ? { oldest: Number(row!.oldest), newest: Number(row!.newest), batches } : null,
      committedAt: Number(row!.committed_ms),
    };
    const redis = await this.#redisSide(partition, NEVER);
    if (!redis) return { verdict: 'NO_STATE', database };
    const verdict = await this.#verdict(connection, partition, redis.side, database);
    const sides = { verdict, redis: redis.side, database };
    if (verdict === 'DATABASE_WENT_BACK') return { ...sides, damage: goneWith(redis.side, database) };
    const isBackup = verdict === 'REDIS_BACKUP_RESTORED';
    if (!isBackup && !(verdict === 'REDIS_BEHIND' && counters)) return sides;
    const old = await this.#redisSide(partition, database.committedAt);
    const kind = counters === 'apply' ? 'doubled' : 'lost';
    return { ...sides, damage: { kind, updates: old?.oldUpdates ?? 0, isExact: true } };
  }

  /** Undefined where Redis is not as it was seen. Else how many updates were old. */
  async move(partition: number, move: Move): Promise<number | undefined> {
    const { counters, cutoff, seen, epoch, sequence, token, forgetsIds } = move;
    const reply = await this.#recover(
      this.#keys.state(partition),
      counters,
      cutoff,
      seen.epoch,
      seen.sequence,
      seen.token,
      epoch,
      sequence,
      token,
      forgetsIds ? 1 : 0,
    );
    return reply?.[0] === 1 ? oldUpdatesOf(reply) : undefined;
  }

  async #redisSide(partition: number, cutoff: number) {
    const reply = await this.#recover(this.#keys.state(partition), 'look', cutoff);
    if (!reply) return undefined;
    const [, epoch, sequence, token, updates, claimed, inFlight, pendingKeys, pendingEntries] = reply;
    const side: RedisSide = {
      epoch,
      sequence: Number(sequence),
      token: token!,
      updates: Number(updates),
      claimed: Number(claimed),
      inFlight: Number(inFlight),
      pendingKeys: Number(pendingKeys),
      pendingEntries: Number(pendingEntries),
    };
    return { side, oldUpdates: oldUpdatesOf(reply) };
  }

  async #verdict(
    connection: PoolConnection,
    partition: number,
    redis: RedisSide,
    database: DatabaseSide,
  ): Promise<Verdict> {
    const ordered = redis.epoch === database.epoch ? 'IN_ORDER' : 'EPOCHS_DIFFER';
    if (redis.token === '') {
      if (redis.sequence === database.sequence) return ordered;
      if (redis.sequence > database.sequence) return 'DATABASE_WENT_BACK';
      // As the aligner has it.
      const isOutdated = (database.journal?.oldest ?? 0) > redis.sequence + 1;
      return isOutdated && redis.updates > redis.claimed ? 'REDIS_BACKUP_RESTORED' : 'REDIS_BEHIND';
    }
    const decision = await decide(redis, database, {
      recorded: async () => {
        const rows = await queryRows(
          connection,
          'SELECT 1 FROM sluice_batches WHERE partition_id = ? AND token = ? LIMIT 1',
          [partition, redis.token],
        );
        return rows.length > 0;
      },
      inFlight: async () => true,
      oldestInJournal: async () => database.journal?.oldest,
    });
    if (decision === 'halt-database') return 'DATABASE_WENT_BACK';
    if (decision === 'halt-redis') return 'REDIS_BACKUP_RESTORED';
    return decision === 'rewind' ? 'REDIS_BEHIND' : ordered;
  }
}

function oldUpdatesOf(reply: RecoverReply): number {
  return Number(reply[9]) + Number(reply[10]);
}

/** How many updates Redis had seen committed by its own count. */
export function committedCount({ claimed, inFlight }: RedisSide): number {
  return claimed - inFlight;
}

/** What the database had committed and has no more. */
function goneWith(redis: RedisSide, database: DatabaseSide): Damage {
  const committed = committedCount(redis);
  const isExact = database.updates !== null && database.updates <= committed;
  return { kind: 'lost', updates: isExact ? committed - database.updates! : committed, isExact };
}
