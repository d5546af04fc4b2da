/**
 * What the people who run the shop need: is it well, what can it do, how long do requests take?
 *
 * `/health` says which servers answer. Its status is 503 only if Sluice's Redis is away, since then nothing can be
 * counted. While MySQL or the cache is away, the process still serves most requests: a load balancer that took all
 * processes out would turn a part of the trouble into all of it.
 *
 * It does not tell whether workers and jobs get on: that is what metrics and alerts are for.
 */
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { Histogram } from 'prom-client';
import type { Shop } from '../shop.ts';

/** Scripts and data from this server only. (Swagger's page has a style in its text.) */
const POLICY =
  "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/** Belongs to the server itself and comes before all parts, so it sees their routes and requests. */
export async function operation(api: FastifyInstance, shop: Shop): Promise<void> {
  measureRequests(api, shop);
  const info = { title: 'The shop', description: 'An example of Sluice.', version: '1.0.0' };
  await api.register(swagger, { openapi: { openapi: '3.1.0', info } });
  const uiConfig = { validatorUrl: null };
  await api.register(swaggerUi, { routePrefix: '/docs', staticCSP: POLICY, uiConfig });

  const schema = { tags: ['operation'], summary: 'Which servers answer; 503 if nothing can be counted' };
  api.get('/health', { schema }, async (_, reply) => {
    const [health, pong] = await Promise.all([shop.sluice.health(), shop.cacheRedis.ping().catch(() => '')]);
    const cache = pong === 'PONG' ? 'connected' : 'disconnected';
    return reply.status(health.redis === 'connected' ? 200 : 503).send({ ...health, cache });
  });
}

/** By the pattern of the route, never by the path: a label must have few values. */
function measureRequests(api: FastifyInstance, { registry }: Shop): void {
  const seconds = new Histogram({
    name: 'shop_http_request_duration_seconds',
    help: 'Time from the headers of a request to the end of its answer.',
    labelNames: ['method', 'route', 'status'],
    buckets: SECONDS,
    registers: [registry],
  });
  api.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none';
    const { method } = request;
    seconds.observe({ method, route, status: reply.statusCode }, reply.elapsedTime / 1000);
  });
}
