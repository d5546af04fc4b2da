// A bare fastify route: it parses the same body as the API and answers as long a text, and does nothing else.

import Fastify from 'fastify';
import { serve } from './serve.ts';

export interface BareApiPlan {
  port: number;
}

serve<BareApiPlan, void>(async ({ port }) => {
  const server = Fastify();
  server.post<{ Body: { key: string } }>('/v1/counters/page_views', async (request, reply) => {
    const value = request.body.key.length;
    return reply
      .header('content-type', 'application/json')
      .send(JSON.stringify({ value, duplicate: false, state: 'accepted' }));
  });
  await server.listen({ port, host: '127.0.0.1' });
  // The parent ends the process.
  return () => new Promise(() => {});
});
