/** The route of flush jobs. To replay or drop failed ones, quarantine.ts has routes that take their ids. */
import * as z from 'zod';
import { one, parameter } from '../http/parameters.ts';
import type { OpenServers } from '../shared/open-servers.ts';
import type { Jobs } from './answers.ts';
import { limit } from './inputs.ts';
import { type Route, route } from './route.ts';

const STATES = ['failed', 'delayed', 'active', 'waiting'] as const;
/** BullMQ names of these states, by which it lists jobs. */
const LISTS = { failed: 'failed', delayed: 'delayed', active: 'active', waiting: 'wait' } as const;
const jobsQuery = z.strictObject({
  state: one.pipe(z.enum(STATES)).optional(),
  after: parameter(one, {})
    .refine(text => /^\d{1,6}$/.test(text), 'must be a whole number from 0 to 999999')
    .transform(Number)
    .optional(),
  limit: limit(200),
});

export const jobRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/api/jobs',
    role: 'viewer',
    shape: { query: jobsQuery },
    async handle({ query: { state = 'failed', after = 0, limit = 50 }, asker }, { servers }) {
      return { body: await jobsOf(servers(), { state, after, limit }, asker.seesPayloads) };
    },
  }),
];

interface Page {
  readonly state: (typeof STATES)[number];
  readonly after: number;
  readonly limit: number;
}

async function jobsOf(
  { queue }: OpenServers,
  { state, after, limit }: Page,
  seesPayloads: boolean,
): Promise<Jobs> {
  const { waiting = 0, active = 0, delayed = 0, failed = 0 } = await queue.getJobCounts(...STATES);
  const ids = await queue.getRanges([LISTS[state]], after, after + limit - 1, true);
  const jobs: Jobs['jobs'][number][] = [];
  for (const id of ids) {
    const job = await queue.getJob(id);
    // It ended meanwhile.
    if (!job?.id) continue;
    const at = job.finishedOn ?? job.processedOn ?? job.timestamp;
    jobs.push({
      ...{ job: job.id, state, partition: job.data.partition },
      attempts: job.data.attempts ?? job.attemptsMade,
      reason: seesPayloads ? (job.failedReason ?? '') : null,
      at: new Date(at).toISOString(),
    });
  }
  return { counts: { waiting, active, delayed, failed }, jobs };
}
