/**
 * A batch over a whole table: each user gets a yearly bonus of points, once.
 *
 * The pattern: a job walks the table by its key (job.ts) and keeps its place in MySQL. Killed at any moment, it goes on
 * from there; what it repeats has the same ids, which count once for ever. Use it for any batch of updates.
 *
 * It does not pay users who register while it runs behind its place, and takes no bonus back.
 */
import type { ResultSetHeader } from 'mysql2/promise';
import { HttpError } from '../errors.ts';
import { openQueue } from '../queues.ts';
import { adminOnly } from '../requests.ts';
import type { Part } from '../shop.ts';
import { type BonusJob, findRun } from './job.ts';

interface BonusRoute {
  Params: { year: string };
  Body: { points: number };
}

const tags = ['bonus'];
const params = { type: 'object', properties: { year: { type: 'string', pattern: '^20[0-9]{2}$' } } };
const body = {
  type: 'object',
  required: ['points'],
  properties: { points: { type: 'integer', minimum: 1, maximum: 1_000_000 } },
};
const START = 'INSERT IGNORE INTO bonus_runs (year, points, total) SELECT ?, ?, COUNT(*) FROM users';

export const bonus: Part = (api, shop) => {
  const queue = openQueue<BonusJob>(shop, 'bonus');
  api.addHook('onClose', () => queue.close());

  const start = { tags, summary: 'Give each user the bonus of a year (operators only)', params, body };
  api.post<BonusRoute>(
    '/bonus/:year',
    { schema: start, preHandler: adminOnly(shop) },
    async (request, reply) => {
      const year = Number(request.params.year);
      const { points } = request.body;
      await shop.database.query<ResultSetHeader>(START, [year, points]);
      const run = (await findRun(shop, year))!;
      if (run.points !== points)
        throw new HttpError(409, 'BONUS_DIFFERS', `The bonus of ${year} is ${run.points} points already.`);
      if (run.endedAt === null) {
        const jobId = `bonus-${year}`;
        const job = await queue.getJob(jobId);
        // One that has used up its attempts would keep the name, and a new one would not be added.
        if (await job?.isFailed()) await job!.retry('failed', { resetAttemptsMade: true });
        else await queue.add('bonus', { year }, { jobId });
      }
      return reply.status(202).send(run);
    },
  );

  const look = { tags, summary: 'How far the bonus of a year is', params };
  api.get<BonusRoute>('/bonus/:year', { schema: look }, async request => {
    const run = await findRun(shop, Number(request.params.year));
    if (run === undefined) throw new HttpError(404, 'NO_BONUS', 'Nobody has started the bonus of this year.');
    return run;
  });
};
