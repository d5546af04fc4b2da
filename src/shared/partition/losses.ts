/**
 * The record of losses of Redis. `lost` updates were acknowledged and never reached MySQL. `doubled` updates
 * may have counted twice, because Redis forgot that they had been claimed. Both are upper bounds: a lost
 * update may have been written before, and entries never count twice.
 */
import type { PoolConnection } from 'mysql2/promise';
import { type Database, queryRows, readSql } from '../mysql/database.ts';
import type { PartitionStatus } from '../redis/inspect.ts';

export type LossKind = 'lost' | 'doubled';

export interface Loss {
  readonly partition: number;
  readonly kind: LossKind;
  /** Tells losses of one kind apart: the incarnation of Redis, the batch, or the operation. */
  readonly cause: string;
  readonly updates: number;
  readonly foundAt: Date;
}

const DECLARE = readSql(new URL('./sql/declare-loss.sql', import.meta.url));

/** Records a loss in the caller's transaction, if `updates` > 0. A larger number replaces a smaller one. */
export async function declareLoss(
  connection: PoolConnection,
  partition: number,
  kind: LossKind,
  cause: string,
  updates: number,
): Promise<void> {
  if (updates > 0) await connection.query(DECLARE, [partition, kind, Buffer.from(cause), updates]);
}

/** Records the losses that a partition's state in Redis tells. More may become known with each call. */
export async function declareLost(
  database: Database,
  { partition, lost }: Pick<PartitionStatus, 'partition' | 'lost'>,
): Promise<void> {
  await database.session(async connection => {
    for (const { incarnation, updates } of lost)
      await declareLoss(connection, partition, 'lost', incarnation, updates);
  });
}

/** All losses, the newest first. */
export async function readLosses(database: Database): Promise<Loss[]> {
  const rows = await database.session(connection =>
    queryRows(connection, 'SELECT * FROM sluice_losses ORDER BY found_at DESC, partition_id'),
  );
  return rows.map(row => ({
    partition: Number(row.partition_id),
    kind: row.kind as LossKind,
    cause: String(row.cause),
    updates: Number(row.updates),
    foundAt: row.found_at as Date,
  }));
}
