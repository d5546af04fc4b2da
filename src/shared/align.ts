/**
 * Brings a partition's state in Redis and its watermark in MySQL back together where nothing is in flight to do it:
 * Redis is empty or behind (it adopts the watermark), or the epochs differ (both get a new one). A database that is
 * behind Redis is never followed.
 *
 * A new epoch is always one that was never used: going back to an old one would bring old live values back.
 */
import type { PoolConnection } from 'mysql2/promise';
import type { Logger } from 'pino';
import { randomToken } from './clock.ts';
import { PartitionHaltedError } from './errors.ts';
import type { Keys } from './keys.ts';
import { declareLoss } from './losses.ts';
import { type Database, queryRows } from './mysql.ts';
import { defineScript, type RedisConnection, type Script } from './redis.ts';
import { lockWatermark } from './watermark.ts';

export type Alignment = 'aligned' | 'adopted' | 'contested';

export class Aligner {
  readonly #redis: RedisConnection;
  readonly #database: Database;
  readonly #keys: Keys;
  readonly #log: Logger;
  readonly #adopt: Script<number>;
  readonly #onLoss: () => void;

  /** @param onLoss called when Redis is found to have lost what it had answered */
  constructor(
    redis: RedisConnection,
    database: Database,
    keys: Keys,
    log: Logger,
    onLoss: () => void = () => {},
  ) {
    this.#onLoss = onLoss;
    this.#redis = redis;
    this.#database = database;
    this.#keys = keys;
    this.#log = log;
    this.#adopt = defineScript(redis, 'adopt', new URL('./adopt.lua', import.meta.url));
  }

  /**
   * `contested` means that somebody else changed the partition meanwhile; look again.
   * @throws PartitionHaltedError where the database went back in time, or Redis is an old backup; NotMigratedError
   */
  async align(partition: number): Promise<Alignment> {
    const state = this.#keys.state(partition);
    return this.#database
      .transaction(async connection => {
        // The lock keeps the watermark still, so that what Redis says next can be compared with it.
        const watermark = await lockWatermark(connection, partition);
        const [epoch, sequenceText, token, claimed, accepted] = await this.#redis.hmget(
          state,
          'epoch',
          'sequence',
          'token',
          'claimed',
          'updates',
        );
        const sequence = Number(sequenceText ?? 0);
        const reachable = watermark.sequence + (token ? 1 : 0);
        if (epoch && sequence > reachable) {
          throw new PartitionHaltedError('DATABASE_WENT_BACK', partition, sequence, watermark.sequence);
        }
        const behind = !token && sequence < watermark.sequence;
        if (epoch && epoch === watermark.epoch && !behind) return 'aligned';
        // What an old backup of Redis had pending is in MySQL mostly: who claims it is refused, so it must not be renumbered.
        if (
          behind &&
          epoch &&
          Number(accepted) > Number(claimed) &&
          (await isOutdated(connection, partition, sequence))
        )
          throw new PartitionHaltedError('REDIS_BACKUP_RESTORED', partition, sequence, watermark.sequence);
        const fresh = randomToken();
        // With a batch in flight, its commit compares; without one, all that Redis claimed is in MySQL, and no more.
        const updates = !epoch || token ? watermark.updates : Number(claimed);
        await connection.query(
          'UPDATE sluice_partitions SET epoch = ?, updates = ?, updated_at = UTC_TIMESTAMP(3) WHERE partition_id = ?',
          [fresh, updates, partition],
        );
        // What MySQL took beyond that is pending in Redis once more.
        await declareLoss(connection, partition, 'doubled', fresh, watermark.updates - updates);
        const adopted = await this.#adopt(state, epoch ?? '', fresh, watermark.sequence, updates);
        if (adopted !== 1) throw new Contested();
        const story = { partition, sequence, watermark: watermark.sequence, hadState: Boolean(epoch) };
        if (watermark.sequence > sequence) this.#onLoss();
        if (epoch || watermark.sequence > 0)
          this.#log.warn(story, 'partition brought up to its watermark under a new epoch');
        else this.#log.debug(story, 'partition created');
        return 'adopted' as const;
      })
      .catch(error => {
        if (error instanceof Contested) return 'contested' as const;
        throw error;
      });
  }

  /** Aligns all partitions; used once at start. */
  async alignAll(onHalted: (error: PartitionHaltedError) => void): Promise<void> {
    for (let partition = 0; partition < this.#keys.partitions; partition++) {
      try {
        await this.align(partition);
      } catch (error) {
        if (!(error instanceof PartitionHaltedError)) throw error;
        onHalted(error);
      }
    }
  }
}

/** Whether the journal does not know any more what came after the batch. */
async function isOutdated(connection: PoolConnection, partition: number, sequence: number): Promise<boolean> {
  const [row] = await queryRows(
    connection,
    'SELECT MIN(sequence) AS oldest FROM sluice_batches WHERE partition_id = ?',
    [partition],
  );
  return Number(row?.oldest ?? 0) > sequence + 1;
}

/** Rolls the transaction back where the script refused. */
class Contested extends Error {}
