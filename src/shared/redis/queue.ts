/** The only BullMQ queue, `flush`. A job is only a wake-up: the updates are in the keys of the partitions. */
import { type Job, Queue } from 'bullmq';
import type { RedisConnection } from './connections.ts';
import type { Keys } from './keys.ts';
import { QUEUE_NAME } from './layout.ts';

/** Whom a job is for. */
export interface WakeUp {
  /** With a group, the partition that was found to have updates: lists of failed jobs show it. */
  readonly partition: number;
  /** The group of partitions to flush (groups.ts); absent if only this partition is meant. */
  readonly group?: number;
}

export interface FlushJobData extends WakeUp {
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

/** Wake-ups with the same id are the same job. */
export function wakeUpId({ partition, group }: WakeUp): string {
  return group === undefined ? `partition-${partition}` : `group-${group}`;
}

/**
 * Wakes a worker. While a job of the same group or partition waits, a further one is dropped; while it is
 * active, one further job is kept. BullMQ's own delays and attempts are not used, since they compare wall
 * clocks (wake-ups.ts).
 */
export async function wake(queue: FlushQueue, wakeUp: WakeUp): Promise<void> {
  const deduplication = { id: wakeUpId(wakeUp), keepLastIfActive: true };
  await queue.add(QUEUE_NAME, wakeUp, { deduplication });
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
