// What the producer and the worker of the BullMQ peers agree on, as BullMQ's guide has it: an ioredis instance for each
// process, finished jobs removed, and a failed one tried again.

import { Queue } from 'bullmq';
import { Redis } from 'ioredis';

export interface JobData {
  key: string;
}

export const queueName = 'updates';

export function connect(redisUrl: string): Redis {
  return new Redis(redisUrl, { maxRetriesPerRequest: null });
}

export function openQueue(connection: Redis, prefix: string): Queue<JobData> {
  return new Queue<JobData>(queueName, {
    connection,
    prefix,
    defaultJobOptions: { removeOnComplete: true, attempts: 3 },
  });
}

/** Jobs that are not done yet. */
export async function unfinished(queue: Queue<JobData>): Promise<number> {
  const counts = await queue.getJobCounts('waiting', 'active', 'delayed');
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
