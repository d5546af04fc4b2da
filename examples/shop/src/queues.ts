/**
 * Queues of jobs: BullMQ in Sluice's Redis, since a queue must not be evicted either. The shop's have a prefix of
 * their own, beside Sluice's queue.
 *
 * A job may run twice, if its process dies after the work and before BullMQ hears of it. So each must be safe to repeat.
 */
import { type DefaultJobOptions, type Job, Queue, WaitingError, Worker } from 'bullmq';
import type { FastifyBaseLogger } from 'fastify';
import { Counter } from 'prom-client';
import { connectRedis, type Shop } from './shop.ts';

/** 1 s, 2 s, 4 s, ... up to 8 minutes, a little more or less so that jobs of one outage do not return together. */
const OPTIONS: DefaultJobOptions = {
  attempts: 10,
  backoff: { type: 'exponential', delay: 1000, jitter: 0.3 },
  removeOnComplete: true,
  // Failed ones wait for an operator, at most so long.
  removeOnFail: { age: 7 * 24 * 60 * 60 },
};

export type QueueName = 'posts' | 'bonus';

const prefixOf = ({ settings }: Shop) => `${settings.namespace}:shop`;

/** For processes that add jobs. While Redis is away, `add` fails at once like any command of `shop.redis`. */
export function openQueue<Data>(shop: Shop, name: QueueName): Queue<Data> {
  const queue = new Queue<Data>(name, {
    connection: shop.redis,
    prefix: prefixOf(shop),
    defaultJobOptions: OPTIONS,
  });
  // `add` and others report their failures; without a listener, the process would end.
  queue.on('error', () => {});
  return queue;
}

/** What the process that runs jobs gives to each of them. */
export interface JobsProcess {
  readonly shop: Shop;
  readonly log: FastifyBaseLogger;
  /** Aborted when the process is to end. A long job then returns itself with `giveBack`. */
  readonly stopping: AbortSignal;
  readonly outcomes: Counter<'queue' | 'job' | 'outcome'>;
}

export function countOutcomes({ registry }: Shop): JobsProcess['outcomes'] {
  return new Counter({
    name: 'shop_jobs_total',
    help: 'Runs of jobs by their outcome: completed, retried later, or failed for good.',
    labelNames: ['queue', 'job', 'outcome'],
    registers: [registry],
  });
}

/** Puts a running job back into its queue, for another process. The job ends with this error. */
export async function giveBack(job: Job, token: string): Promise<never> {
  await job.moveToWait(token);
  throw new WaitingError();
}

/** Runs the jobs of a queue until it is closed; closing waits for those that run. */
export function runJobs<Data>(
  parts: JobsProcess,
  name: QueueName,
  concurrency: number,
  work: (job: Job<Data>, token: string) => Promise<void>,
) {
  const { shop, log } = parts;
  // It waits for jobs with a command that takes seconds, and for Redis as long as that is away.
  const connection = connectRedis(shop.settings.redis, {
    maxRetriesPerRequest: null,
    enableOfflineQueue: true,
    commandTimeout: undefined,
  });
  const worker = new Worker<Data>(name, (job, token) => work(job, token!), {
    connection,
    prefix: prefixOf(shop),
    concurrency,
    // The job of a process that died is taken by another one after this time. It is not its fault, however often.
    lockDuration: shop.settings.jobLockMs,
    stalledInterval: shop.settings.jobLockMs,
    maxStalledCount: 1000,
  });
  worker.on('error', error => log.error({ queue: name, err: error }, 'the worker has an error'));
  observe(parts, worker);
  return {
    close: async () => {
      await worker.close();
      connection.disconnect();
    },
  };
}

/** Counts the outcomes of jobs, and logs failures without the data of the job, which may be personal. */
function observe<Data>({ outcomes, log }: JobsProcess, worker: Worker<Data>): void {
  const queue = worker.name;
  worker.on('completed', ({ name }) => outcomes.inc({ queue, job: name, outcome: 'completed' }));
  worker.on('failed', (job, error) => {
    const isLast = job === undefined || job.attemptsMade >= (job.opts.attempts ?? 1);
    outcomes.inc({ queue, job: job?.name ?? 'unknown', outcome: isLast ? 'failed' : 'retried' });
    log.error({ queue, job: job?.name, id: job?.id, attempts: job?.attemptsMade, err: error }, 'job failed');
  });
}
