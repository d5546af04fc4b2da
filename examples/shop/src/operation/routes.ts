/** What the people who run the shop need: is it well? */
import type { FastifyInstance } from 'fastify';
import type { Shop } from '../shop.ts';

export async function operation(api: FastifyInstance, { sluice }: Shop): Promise<void> {
  api.get('/health', async (_, reply) => {
    const health = await sluice.health();
    const well = health.redis === 'connected' && health.database === 'connected';
    return reply.status(well ? 200 : 503).send(health);
  });
}
