/** Starts the service. On SIGTERM it answers open requests, sends what Sluice has buffered, and closes. */
import { createServer } from 'node:http';
import { Registry } from 'prom-client';
import { createProducer } from 'sluice';
import { createApi } from './api.ts';
import { definitions } from './definitions.ts';
import { settings } from './settings.ts';

const registry = new Registry();
const { redis, mysql, host, port, metricsPort } = settings;
const sluice = await createProducer({ redis, mysql, definitions, registry });
const api = createApi(sluice);
const metrics = createServer(async (_, response) => {
  response.writeHead(200, { 'content-type': registry.contentType }).end(await registry.metrics());
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, async () => {
    api.log.info({ signal }, 'stopping');
    await api.close();
    await sluice.close();
    metrics.close();
    metrics.closeAllConnections();
  });
}

await new Promise<void>(resolve => metrics.listen(metricsPort, host, resolve));
await api.listen({ host, port });
