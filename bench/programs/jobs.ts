// Settings shared by producer and worker of the BullMQ peers, as BullMQ's guide recommends: an ioredis
// instance per process, finished jobs removed, failed ones retried.

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

/** Number of unfinished jobs. */
export async function unfinished(queue: Queue<JobData>): Promise<number> {
  const counts = await queue.getJobCounts('waiting', 'active', 'delayed');
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
