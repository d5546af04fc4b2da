/**
 * Brings a partition's state in Redis and its watermark in MySQL back together where nothing is in flight to do it:
 * Redis is empty or behind (it adopts the watermark), or the epochs differ (both get a new one). A database that is
 * behind Redis is never followed.
 *
 * A new epoch is always one that was never used: going back to an old one would bring old live values back.
 */
import type { PoolConnection } from 'mysql2/promise';
import type { Logger } from 'pino';
import { randomToken } from '../clock.ts';
import { NotMigratedError, PartitionHaltedError, RedisUnsuitableError } from '../errors.ts';
import { type Database, queryRow } from '../mysql/database.ts';
import { classifyDatabaseError } from '../mysql/errors.ts';
import { refuseOutdated } from '../mysql/writable.ts';
import { anotherDeployment } from '../redis/check.ts';
import type { RedisConnection } from '../redis/connections.ts';
import type { Keys } from '../redis/keys.ts';
import type { State } from '../redis/layout.ts';
import { defineScript, type Script } from '../redis/script.ts';
import { readState } from '../redis/state.ts';
import { declareLoss } from './losses.ts';
import { lockWatermark, toWatermark, tryLockWatermark, type Watermark } from './watermark.ts';

export type Alignment =
  | 'aligned'
  | 'adopted'
  /** Somebody else changed the partition meanwhile; look again. */
  | 'contested'
  /** Somebody else holds the watermark, and was not waited for. */
  | 'busy';

const FIELDS = ['deployment', 'epoch', 'sequence', 'token', 'claimed', 'updates', 'dropped'] as const;
/** A partition as Redis has it; without an epoch it has none. */
type PartitionState = Pick<State, (typeof FIELDS)[number]>;

export class Aligner {
  readonly #redis: RedisConnection;
  readonly #database: Database;
  readonly #keys: Keys;
  readonly #log: Logger;
  readonly #adoptScript: Script<number>;
  readonly #onLoss: () => void;
  /** With which partition the next round begins, so that a wait does not always keep the same ones from their turn. */
  #next = 0;

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
    this.#adoptScript = defineScript(redis, 'adopt', new URL('./adopt.lua', import.meta.url));
  }

  /**
   * Waits for whoever holds the watermark, as long as a lock wait may take.
   * @throws PartitionHaltedError where the database went back in time, or Redis is an old backup; NotMigratedError;
   * RedisUnsuitableError where it is another deployment's
   */
  async align(partition: number): Promise<Alignment> {
    return this.#align(partition, lockWatermark);
  }

  /**
   * Aligns every partition that needs it, and waits for none of them: whoever holds a watermark is writing a batch, and its
   * commit compares the two sides itself, or will be gone when the sweep looks next. So a partition whose flush waits for
   * a locked table of the user holds up that partition only.
   * @param onFailure called for each partition that could not be aligned, such as a halted one
   * @throws RedisUnsuitableError, or what a client throws if a server is away
   */
  async alignAll(onFailure: (partition: number, error: unknown) => void): Promise<void> {
    for (const partition of await this.#unaligned()) {
      this.#next = partition + 1;
      try {
        await this.#align(partition, tryLockWatermark);
      } catch (error) {
        const kind = classifyDatabaseError(error);
        if (error instanceof RedisUnsuitableError || kind === 'unavailable') throw error;
        onFailure(partition, error);
        // A table of Sluice is locked, by a backup perhaps: each of the others would wait as long.
        if (kind === 'conflict') return;
      }
    }
  }

  /** As `alignAll`, but a partition without a watermark row ends the start. @throws NotMigratedError as well */
  async alignAtStart(onFailure: (partition: number, error: unknown) => void): Promise<void> {
    await this.alignAll((partition, error) => {
      if (error instanceof NotMigratedError) throw error;
      onFailure(partition, error);
    });
  }

  /** Partitions that differ as far as can be seen without a lock. A flush under way makes one differ for a moment. */
  async #unaligned(): Promise<number[]> {
    const count = this.#keys.partitions;
    const partitions = Array.from({ length: count }, (_, at) => (this.#next + at) % count);
    const states = await Promise.all(partitions.map(partition => this.#state(partition)));
    const rows = await this.#database.query(
      'SELECT partition_id, sequence, token, epoch, updates FROM sluice_partitions',
    );
    const watermarks = new Map(rows.map(row => [Number(row.partition_id), toWatermark(row)]));
    return partitions.filter((partition, at) => {
      const watermark = watermarks.get(partition);
      return !watermark || !isAligned(states[at]!, watermark);
    });
  }

  async #state(partition: number): Promise<PartitionState> {
    const state = await readState(this.#redis, this.#keys, partition, FIELDS);
    if (state.epoch && state.deployment !== this.#keys.deployment)
      throw anotherDeployment(`Partition ${partition}`, this.#keys, state.deployment || 'unknown');
    return state;
  }

  async #align(
    partition: number,
    lock: (connection: PoolConnection, partition: number) => Promise<Watermark | undefined>,
  ): Promise<Alignment> {
    try {
      return await this.#database.transaction(async connection => {
        // The lock keeps the watermark still, so that what Redis says next can be compared with it.
        const watermark = await lock(connection, partition);
        if (!watermark) return 'busy';
        const state = await this.#state(partition);
        if (state.epoch && state.sequence > reachable(state, watermark)) {
          await refuseOutdated(connection);
          throw new PartitionHaltedError('DATABASE_WENT_BACK', partition, state.sequence, watermark.sequence);
        }
        if (isAligned(state, watermark)) return 'aligned';
        await this.#adopt(connection, partition, state, watermark);
        return 'adopted';
      });
    } catch (error) {
      if (error instanceof Contested) return 'contested';
      throw error;
    }
  }

  /** Gives both sides a new epoch, and Redis the watermark's sequence where it is behind. */
  async #adopt(
    connection: PoolConnection,
    partition: number,
    { epoch, sequence, token, claimed, updates: accepted, dropped }: PartitionState,
    watermark: Watermark,
  ): Promise<void> {
    // What an old backup of Redis had pending is in MySQL mostly: who claims it is refused, so it must not be renumbered.
    const behind = !token && sequence < watermark.sequence;
    if (behind && epoch && accepted > claimed && (await isOutdated(connection, partition, sequence)))
      throw new PartitionHaltedError('REDIS_BACKUP_RESTORED', partition, sequence, watermark.sequence);
    const fresh = randomToken();
    // With a batch in flight, its commit compares. Without one, all that Redis claimed is in MySQL, and no more, but for
    // what recoveries discarded.
    const updates = !epoch || token ? watermark.updates : claimed - dropped;
    await connection.query(
      'UPDATE sluice_partitions SET epoch = ?, updates = ?, updated_at = UTC_TIMESTAMP(3) WHERE partition_id = ?',
      [fresh, updates, partition],
    );
    // What MySQL took beyond that is pending in Redis once more.
    await declareLoss(connection, partition, 'doubled', fresh, watermark.updates - updates);
    const adopted = await this.#adoptScript(
      this.#keys.state(partition),
      epoch,
      fresh,
      watermark.sequence,
      updates,
      this.#keys.deployment,
    );
    if (adopted !== 1) throw new Contested();
    const story = { partition, sequence, watermark: watermark.sequence, hadState: epoch !== '' };
    if (watermark.sequence > sequence) this.#onLoss();
    if (epoch || watermark.sequence > 0)
      this.#log.warn(story, 'partition brought up to its watermark under a new epoch');
    else this.#log.debug(story, 'partition created');
  }
}

/** How far Redis can have come: a batch in flight may not be written yet. */
function reachable({ token }: PartitionState, watermark: Watermark): number {
  return watermark.sequence + (token ? 1 : 0);
}

/** A batch in flight that is behind is left to its commit, which compares it. */
function isAligned(state: PartitionState, watermark: Watermark): boolean {
  const { epoch, sequence, token } = state;
  const behind = !token && sequence < watermark.sequence;
  return epoch !== '' && epoch === watermark.epoch && !behind && sequence <= reachable(state, watermark);
}

/** Whether the journal does not know any more what came after the batch. */
async function isOutdated(connection: PoolConnection, partition: number, sequence: number): Promise<boolean> {
  const row = await queryRow(
    connection,
    'SELECT MIN(sequence) AS oldest FROM sluice_batches WHERE partition_id = ?',
    [partition],
  );
  return row.oldest !== null && Number(row.oldest) > sequence + 1;
}

/** Rolls the transaction back where the script refused. */
class Contested extends Error {}
