/** For the example shop (examples/shop): its requests, its jobs, and both of its Redis servers. */
import { dashboard, quantile, rate, series, stat } from './panels.ts';

const SECONDS = 'shop_http_request_duration_seconds';
const REQUESTS = `${SECONDS}_count`;
const byRoute = (share: number) => `histogram_quantile(${share}, ${rate(`${SECONDS}_bucket`, 'le, route')})`;
/** Each process of jobs reports the same of a server or a queue. */
const perServer = (metric: string) => `max by (server) (${metric})`;
const ratePerServer = (metric: string) => perServer(`rate(${metric}[$__rate_interval])`);
const READS = 'shop_cache_reads_total';
const hitRate = `(${rate(`${READS}{result="hit"}`)} or vector(0)) / ${rate(READS)}`;
const found = 'rate(shop_redis_hits{server="cache"}[$__rate_interval])';
const notFound = 'rate(shop_redis_misses{server="cache"}[$__rate_interval])';

export const shop = dashboard('shop', 'shop', 'The example shop: requests, cache, jobs.', [
  [
    'Now',
    [
      stat('Requests', 'Requests answered a second, by all processes.', 'reqps', [
        rate(REQUESTS),
        'requests',
      ]),
      stat('Errors', 'Share of the answers with a status of 5xx.', 'percentunit', [
        `(${rate(`${REQUESTS}{status=~"5.."}`)} or vector(0)) / ${rate(REQUESTS)}`,
        'errors',
      ]),
      stat('Time of a request', '99 % of the requests take less.', 's', [quantile(0.99, SECONDS), '99 %']),
      stat('Hit rate', 'Share of the reads that needed nothing from MySQL.', 'percentunit', [
        hitRate,
        'hits',
      ]),
      stat('Jobs that wait', 'Jobs of all queues that no process has taken yet.', 'short', [
        'sum(max by (queue) (shop_queue_jobs{state="wait"}))',
        'jobs',
      ]),
      stat('Failed jobs', 'Jobs that have used up their attempts and wait for an operator.', 'short', [
        'sum(max by (queue) (shop_queue_jobs{state="failed"}))',
        'jobs',
      ]),
    ],
  ],
  [
    'Requests',
    [
      series('By route', 'Requests answered, by the pattern of the route.', 'reqps', [
        [rate(REQUESTS, 'route'), '{{route}}'],
      ]),
      series('Time by route', '99 % of the requests of a route take less.', 's', [
        [byRoute(0.99), '{{route}}'],
      ]),
      series(
        'Refused',
        'Answers of 4xx and 5xx by status: 429 are limits, 503 a server that is away.',
        'reqps',
        [[rate(`${REQUESTS}{status=~"[45].."}`, 'status'), '{{status}}']],
      ),
    ],
  ],
  [
    'Cache',
    [
      series(
        'Reads',
        'Reads of the cache by result. `stale` and `failed`: MySQL did not answer in time.',
        'ops',
        [[rate(READS, 'kind, result'), '{{kind}}: {{result}}']],
      ),
      series('Loads', 'Loads for the cache, by kind and result; a stampede would show here.', 'ops', [
        [rate('shop_cache_loads_total', 'kind, result'), '{{kind}}: {{result}}'],
      ]),
      series('Queries', 'Queries of products and users that MySQL got, with and without the cache.', 'ops', [
        [rate('shop_catalogue_queries_total'), 'queries'],
      ]),
    ],
  ],
  [
    'Redis',
    [
      series(
        'Memory',
        'Memory in use. At its limit, the cache evicts; the Redis of Sluice refuses.',
        'bytes',
        [
          [perServer('shop_redis_used_memory_bytes'), '{{server}}'],
          [perServer('shop_redis_max_memory_bytes'), '{{server}}: limit'],
        ],
      ),
      series(
        'Found in the cache',
        "Share of the reads of the cache's Redis that found their key. What processes have in their own memory is not asked for.",
        'percentunit',
        [[`max(${found} / (${found} + ${notFound}))`, 'found']],
      ),
      series('Evicted', 'Keys evicted for room. Of the Redis of Sluice, never any.', 'ops', [
        [ratePerServer('shop_redis_evicted_keys'), '{{server}}'],
      ]),
      series('Answers', '1 if the server answered when it was asked last.', 'none', [
        ['min by (server) (shop_redis_up)', '{{server}}'],
      ]),
      series(
        'SLOWLOG',
        'Slow commands that the servers remember; the log of the jobs names the new ones.',
        'short',
        [[perServer('shop_redis_slowlog_length'), '{{server}}']],
      ),
    ],
  ],
  [
    'Jobs',
    [
      series(
        'By state',
        'Jobs of each queue. `delayed` are those that failed and are tried again.',
        'short',
        [['max by (queue, state) (shop_queue_jobs)', '{{queue}} {{state}}']],
      ),
      series('Runs', 'Jobs that ran, by kind and outcome.', 'ops', [
        [rate('shop_jobs_total', 'queue, job, outcome'), '{{queue}} {{job}}: {{outcome}}'],
      ]),
    ],
  ],
]);
