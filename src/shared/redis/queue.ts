/** The only BullMQ queue, `flush`. A job is only a wake-up: the updates are in the partition's keys. */
import { type Job, Queue } from 'bullmq';
import type { RedisConnection } from './connections.ts';
import type { Keys } from './keys.ts';
import { QUEUE_NAME } from './layout.ts';

export interface FlushJobData {
  partition: number;
  /** Attempts of a worker before it gave up the job. */
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
    // The connection reports its own errors. Without a listener, this event would end the process.
  });
  return queue;
}

/**
 * Wakes a worker for the partition. While a job of the partition waits, a further one is dropped; while it is
 * active, one further job is kept. BullMQ's own delays and attempts are not used, since they compare wall
 * clocks (wake-ups.ts).
 */
export async function wake(queue: FlushQueue, partition: number): Promise<void> {
  const deduplication = { id: `partition-${partition}`, keepLastIfActive: true };
  await queue.add(QUEUE_NAME, { partition }, { deduplication });
}

/** Jobs read at a time: each carries its stack traces. */
const JOBS = 10;

/** All failed jobs, read a few at a time, so that no reply is long. */
export async function* failedJobs(
  queue: FlushQueue,
): AsyncGenerator<Job<FlushJobData, void, typeof QUEUE_NAME>> {
  const ids = await queue.getRanges(['failed'], 0, -1);
  for (let from = 0; from < ids.length; from += JOBS) {
    const jobs = await Promise.all(ids.slice(from, from + JOBS).map(id => queue.getJob(id)));
    for (const job of jobs) if (job) yield job;
  }
}
