// Which partitions share a flush job, and when a wake-up is the same as another.

import { Cluster, Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import type { RedisConnection } from '../../src/shared/redis/connections.ts';
import { Groups } from '../../src/shared/redis/groups.ts';
import { Keys } from '../../src/shared/redis/keys.ts';
import { wakeUpId } from '../../src/shared/redis/queue.ts';

const on = (prototype: object, partitions: number) =>
  new Groups(Object.create(prototype) as RedisConnection, new Keys('test', partitions));

describe('groups', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 61, 64, 1024])(
    'of %i partitions: four at most, each partition is in one',
    partitions => {
      const groups = on(Redis.prototype, partitions);
      const jobs = new Map<string, number[]>();
      for (let partition = 0; partition < partitions; partition++) {
        const wakeUp = groups.wakeUpOf(partition);
        expect(groups.partitionsOf(wakeUp)).toContain(partition);
        jobs.set(wakeUpId(wakeUp), groups.partitionsOf(wakeUp));
      }
      expect(jobs.size).toBe(Math.min(4, partitions));
      expect([...jobs.values()].flat().toSorted((a, b) => a - b)).toEqual(
        Array.from({ length: partitions }, (_, at) => at),
      );
    },
  );

  it('have one partition each on a Cluster, whose wake-up is that of the partition', () => {
    const groups = on(Cluster.prototype, 16);
    expect(groups.wakeUpOf(5)).toEqual({ partition: 5 });
    expect(groups.partitionsOf({ partition: 5 })).toEqual([5]);
  });

  it('a job that names no group, or an unknown one, is for its partition', () => {
    const groups = on(Redis.prototype, 16);
    expect(groups.partitionsOf({ partition: 5 })).toEqual([5]);
    expect(groups.partitionsOf({ partition: 5, group: 4 })).toEqual([5]);
    expect(groups.partitionsOf({ partition: 5, group: 1 })).toEqual([1, 5, 9, 13]);
  });
});
