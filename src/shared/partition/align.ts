/**
 * Aligns a partition's state in Redis with its watermark in MySQL when no batch in flight does it. If Redis
 * is empty or behind, it adopts the watermark. If the epochs differ, both sides get a new one. If the
 * database is behind, the partition is halted.
 *
 * A new epoch is one that was never used: an old one would bring old live values back.
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
  /** Another process changed the partition meanwhile; look again. */
  | 'contested'
  /** Another process holds the lock of the watermark, and the caller did not wait. */
  | 'busy';

const FIELDS = ['deployment', 'epoch', 'sequence', 'token', 'claimed', 'updates', 'dropped'] as const;
/** The state of a partition in Redis. If the epoch is empty, there is no state. */
type PartitionState = Pick<State, (typeof FIELDS)[number]>;

export class Aligner {
  readonly #redis: RedisConnection;
  readonly #database: Database;
  readonly #keys: Keys;
  readonly #log: Logger;
  readonly #adoptScript: Script<number>;
  readonly #onLoss: () => void;
  /** First partition of the next round, so that a failure does not always keep the same ones waiting. */
  #next = 0;

  /** @param onLoss called when Redis is found to have lost acknowledged updates */
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
   * Waits for the lock of the watermark, up to the lock wait timeout.
   * @throws PartitionHaltedError if the database went back in time or Redis is an old backup;
   * NotMigratedError; RedisUnsuitableError if the state belongs to another deployment
   */
  async align(partition: number): Promise<Alignment> {
    return this.#align(partition, lockWatermark);
  }

  /**
   * Aligns every partition that needs it, without waiting for locks. The holder of a watermark's lock is
   * writing a batch, and its commit compares the two sides itself; if it dies, the next sweep aligns the
   * partition. So a partition whose flush waits for a locked table of the user holds up no other one.
   * @param onFailure called for each partition that could not be aligned, such as a halted one
   * @throws RedisUnsuitableError, or an error of a client if a server is away
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
        // A table of Sluice is locked, perhaps by a backup: every other partition would wait as long.
        if (kind === 'conflict') return;
      }
    }
  }

  /** Like `alignAll`, but throws NotMigratedError if a partition has no watermark row. */
  async alignAtStart(onFailure: (partition: number, error: unknown) => void): Promise<void> {
    await this.alignAll((partition, error) => {
      if (error instanceof NotMigratedError) throw error;
      onFailure(partition, error);
    });
  }

  /** Partitions whose sides differ. Takes no lock, so a running flush makes its partition differ briefly. */
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
    if (state.epoch && state.deployment !== this.#keys.owner)
      throw anotherDeployment(`Partition ${partition}`, this.#keys, state.deployment || 'unknown');
    return state;
  }

  async #align(
    partition: number,
    lock: (connection: PoolConnection, partition: number) => Promise<Watermark | undefined>,
  ): Promise<Alignment> {
    try {
      return await this.#database.transaction(async connection => {
        // The lock keeps the watermark unchanged while Redis is read and compared with it.
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

  /** Gives both sides a new epoch, and Redis the watermark's sequence if it is behind. */
  async #adopt(
    connection: PoolConnection,
    partition: number,
    { epoch, sequence, token, claimed, updates: accepted, dropped }: PartitionState,
    watermark: Watermark,
  ): Promise<void> {
    // The pending updates of an old backup of Redis are mostly in MySQL, so they must not get new numbers.
    const behind = !token && sequence < watermark.sequence;
    if (behind && epoch && accepted > claimed && (await isOutdated(connection, partition, sequence)))
      throw new PartitionHaltedError('REDIS_BACKUP_RESTORED', partition, sequence, watermark.sequence);
    const fresh = randomToken();
    // If a batch is in flight, its commit compares the counts. Otherwise MySQL has exactly the updates that
    // Redis claimed, except those that recoveries discarded.
    const updates = !epoch || token ? watermark.updates : claimed - dropped;
    await connection.query(
      'UPDATE sluice_partitions SET epoch = ?, updates = ?, updated_at = UTC_TIMESTAMP(3) WHERE partition_id = ?',
      [fresh, updates, partition],
    );
    // MySQL has more than that: these updates are pending in Redis again.
    await declareLoss(connection, partition, 'doubled', fresh, watermark.updates - updates);
    const adopted = await this.#adoptScript(
      ...([this.#keys.state(partition), epoch, fresh, watermark.sequence, updates] as const),
      this.#keys.owner,
    );
    if (adopted !== 1) throw new Contested();
    const story = { partition, sequence, watermark: watermark.sequence, hadState: epoch !== '' };
    if (watermark.sequence > sequence) this.#onLoss();
    if (epoch || watermark.sequence > 0)
      this.#log.warn(story, 'partition aligned with its watermark under a new epoch');
    else this.#log.debug(story, 'partition created');
  }
}

/** Highest sequence that Redis can have: a batch in flight may not be written yet. */
function reachable({ token }: PartitionState, watermark: Watermark): number {
  return watermark.sequence + (token ? 1 : 0);
}

/** If a batch in flight is behind, its commit compares it. */
function isAligned(state: PartitionState, watermark: Watermark): boolean {
  const { epoch, sequence, token } = state;
  const behind = !token && sequence < watermark.sequence;
  return epoch !== '' && epoch === watermark.epoch && !behind && sequence <= reachable(state, watermark);
}

/** Whether the journal no longer covers the batch after `sequence`. */
async function isOutdated(connection: PoolConnection, partition: number, sequence: number): Promise<boolean> {
  const row = await queryRow(
    connection,
    'SELECT MIN(sequence) AS oldest FROM sluice_batches WHERE partition_id = ?',
    [partition],
  );
  return row.oldest !== null && Number(row.oldest) > sequence + 1;
}

/** Rolls the transaction back after the script refused. */
class Contested extends Error {}
