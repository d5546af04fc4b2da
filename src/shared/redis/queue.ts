/** The one BullMQ queue, `flush`. A job is only a wake-up: what has to be flushed stands in the partition's keys. */
import { type Job, Queue } from 'bullmq';
import type { RedisConnection } from './connections.ts';
import type { Keys } from './keys.ts';
import { QUEUE_NAME } from './layout.ts';

export interface FlushJobData {
  partition: number;
  /** How often a worker tried before it gave the job up. */
  attempts?: number;
}

export type FlushQueue = Queue<FlushJobData, void, typeof QUEUE_NAME>;

export function openQueue(connection: RedisConnection, keys: Keys): FlushQueue {
  const queue: FlushQueue = new Queue(QUEUE_NAME, {
    connection,
    prefix: keys.queuePrefix,
    defaultJobOptions: {
      removeOnComplete: true,
      removeOnFail: { count: keys.partitions * 2 },
      stackTraceLimit: 3,
    },
    streams: { events: { maxLen: 1000 } },
  });
  queue.on('error', () => {
    // The connection reports its own errors; without a listener this one would end the process.
  });
  return queue;
}

/**
 * Wakes a worker for the partition. Added again while the job waits it is dropped; while it is active it is kept and becomes
 * the next one. Without a delay and attempts of BullMQ's own: these compare wall clocks (wake-ups.ts).
 */
export async function wake(queue: FlushQueue, partition: number): Promise<void> {
  const deduplication = { id: `partition-${partition}`, keepLastIfActive: true };
  await queue.add(QUEUE_NAME, { partition }, { deduplication });
}

/** Jobs in one reply: each carries its stack traces. */
const JOBS = 10;

/** Failed jobs, read a few at a time, so that no reply is long. */
export async function* failedJobs(
  queue: FlushQueue,
): AsyncGenerator<Job<FlushJobData, void, typeof QUEUE_NAME>> {
  const ids = await queue.getRanges(['failed'], 0, -1);
  for (let from = 0; from < ids.length; from += JOBS) {
    const jobs = await Promise.all(ids.slice(from, from + JOBS).map(id => queue.getJob(id)));
    for (const job of jobs) if (job) yield job;
  }
}
