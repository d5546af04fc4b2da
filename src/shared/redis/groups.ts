/**
 * Groups of partitions. Partitions are units of safety; jobs and transactions are units of cost. So one flush
 * job wakes a worker for all partitions of a group (docs/decisions/0019-groups.md).
 */
import { Cluster } from 'ioredis';
import type { RedisConnection } from './connections.ts';
import type { Keys } from './keys.ts';
import type { WakeUp } from './queue.ts';

/** More would be more jobs and transactions; fewer would keep threads of MySQL idle. */
export const MOST_GROUPS = 4;

export class Groups {
  readonly #partitions: number;
  readonly #count: number;

  constructor(redis: RedisConnection, { partitions }: Keys) {
    this.#partitions = partitions;
    // On a Cluster each partition is by itself: a primary that is down must not hold up partitions of others.
    this.#count = redis instanceof Cluster ? partitions : Math.min(MOST_GROUPS, partitions);
  }

  /** The wake-up of a partition with new updates: of its group, or of itself if it has none beside it. */
  wakeUpOf(partition: number): WakeUp {
    const group = partition % this.#count;
    return group + this.#count < this.#partitions ? { partition, group } : { partition };
  }

  /** The partitions that the job of this wake-up flushes. */
  partitionsOf({ partition, group }: WakeUp): number[] {
    if (group === undefined || group >= this.#count) return [partition];
    const size = Math.ceil((this.#partitions - group) / this.#count);
    return Array.from({ length: size }, (_, index) => group + index * this.#count);
  }
}
