/**
 * Failed flush jobs: wake-ups that used up their attempts. Their data is safe, in flight or pending, and the sweep goes on
 * trying; so a job can be dropped without loss, and replaying one is to wake its partition anew.
 */
import { type FlushQueue, failedJobs, wake } from '../shared/redis/queue.ts';

export interface FailedJob {
  /** BullMQ's id. */
  readonly job: string;
  readonly partition: number;
  readonly attempts: number;
  /** The message of the error that ended it. */
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
 * Removes the job. To replay it, its partition is woken first: whoever is killed between the two leaves a wake-up too
 * many, not one too few. False where the job had gone, since its partition flushed meanwhile.
 */
export async function endJob(
  queue: FlushQueue,
  { job: id, partition }: FailedJob,
  isReplay: boolean,
): Promise<boolean> {
  const job = await queue.getJob(id);
  if (!job || (await job.getState()) !== 'failed') return false;
  if (isReplay) await wake(queue, partition);
  await job.remove();
  return true;
}
