/**
 * Failed flush jobs: wake-ups that used up their attempts. Their updates are safe in flight or pending, and
 * the sweep keeps retrying. So a job can be dropped without loss, and to replay one is to wake its partition.
 */
import { type FlushQueue, failedJobs, wake } from '../shared/redis/queue.ts';

export interface FailedJob {
  /** BullMQ's id. */
  readonly job: string;
  readonly partition: number;
  readonly attempts: number;
  /** Message of its last error. */
  readonly reason: string;
  /** ISO 8601. */
  readonly failedAt: string;
}

/** In the order in which they failed. @throws what BullMQ throws */
export async function readJobs(queue: FlushQueue): Promise<FailedJob[]> {
  const found: FailedJob[] = [];
  for await (const job of failedJobs(queue)) {
    found.push({
      job: job.id!,
      partition: job.data.partition,
      attempts: job.data.attempts ?? job.attemptsMade,
      reason: job.failedReason ?? '',
      failedAt: new Date(job.finishedOn ?? job.timestamp).toISOString(),
    });
  }
  return found.sort((a, b) => (a.failedAt < b.failedAt ? -1 : 1));
}

/**
 * Removes the job. For a replay, its partition is woken first: a crash between the two leaves one wake-up too
 * many, not one too few.
 * @returns false if the job is gone, since its partition flushed meanwhile
 */
export async function endJob(
  queue: FlushQueue,
  { job: id, partition }: FailedJob,
  isReplay: boolean,
): Promise<boolean> {
  const job = await queue.getJob(id);
  if (!job || (await job.getState()) !== 'failed') return false;
  if (isReplay) await wake(queue, { partition });
  await job.remove();
  return true;
}
