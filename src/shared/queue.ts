/** The one BullMQ queue, `flush`. A job is only a wake-up: what has to be flushed stands in the partition's keys. */
import { Queue } from 'bullmq';
import type { Keys } from './keys.ts';
import type { RedisConnection } from './redis.ts';

export const QUEUE_NAME = 'flush';

export interface FlushJobData {
  partition: number;
}

export type FlushQueue = Queue<FlushJobData, void, 'flush'>;

export function openQueue(connection: RedisConnection, keys: Keys): FlushQueue {
  const queue: FlushQueue = new Queue(QUEUE_NAME, {
    connection,
    prefix: keys.queuePrefix,
    defaultJobOptions: { removeOnComplete: true, removeOnFail: { count: keys.partitions * 2 } },
    streams: { events: { maxLen: 1000 } },
  });
  queue.on('error', () => {
    // The connection reports its own errors; without a listener this one would end the process.
  });
  return queue;
}

/**
 * Wakes a worker for the partition after `delay` ms. Added again while the job waits it is dropped; while it is active
 * it is kept and becomes the next one.
 */
export async function wake(
  queue: FlushQueue,
  partition: number,
  delay: number,
  attempts: number,
): Promise<void> {
  await queue.add(
    'flush',
    { partition },
    {
      delay,
      attempts,
      backoff: { type: 'custom' },
      deduplication: { id: `partition-${partition}`, keepLastIfActive: true },
    },
  );
}
