/**
 * The process that runs jobs; start as many as you need. On SIGTERM it takes no new job, ends those that are short and
 * gives long ones back, so that another process goes on with them.
 */
import Fastify from 'fastify';
import { type BonusJob, bonusJobs } from './bonus/job.ts';
import { type PostJob, postJobs } from './posts/jobs.ts';
import { countOutcomes, openQueue } from './queues.ts';
import { orSayTaken, settings } from './settings.ts';
import { closeShop, openShop } from './shop.ts';
import { watchQueues } from './watch/queues.ts';
import { watchRedis } from './watch/redis.ts';

const shop = await openShop(settings);
const { registry } = shop;
// Whoever reads metrics may be cut off at the end.
const metrics = Fastify({ logger: true, forceCloseConnections: true });
const { log } = metrics;
const stop = new AbortController();
const parts = { shop, log, stopping: stop.signal, outcomes: countOutcomes(shop) };
const posts = openQueue<PostJob>(shop, 'posts');
const bonuses = openQueue<BonusJob>(shop, 'bonus');
const workers = [await postJobs(parts, posts), bonusJobs(parts)];
watchQueues(shop, [posts, bonuses]);
const watch = watchRedis(shop, log);

metrics.get('/', { logLevel: 'warn' }, async (_, reply) => {
  reply.type(registry.contentType);
  return registry.metrics();
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, async () => {
    log.info({ signal }, 'stopping');
    stop.abort();
    await Promise.all(workers.map(worker => worker.close()));
    await Promise.all([posts.close(), bonuses.close()]);
    watch.close();
    await metrics.close();
    await closeShop(shop);
  });
}

const { host, metricsPort: port } = settings;
await metrics.listen({ host, port }).catch(orSayTaken('METRICS_PORT', port));
log.info('jobs started');
