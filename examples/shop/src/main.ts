/** Starts one process of the API. On SIGTERM it answers open requests, sends what Sluice has buffered, and closes. */
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from './server.ts';
import { orSayTaken, settings } from './settings.ts';
import { closeShop, openShop } from './shop.ts';

const { host, port, metricsPort } = settings;
const shop = await openShop(settings);
const api = await createServer(shop);
const metrics = createHttpServer(async (_, response) => {
  response.writeHead(200, { 'content-type': shop.registry.contentType }).end(await shop.registry.metrics());
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, async () => {
    api.log.info({ signal }, 'stopping');
    // A client that connects and says nothing would keep the process alive until the time limit of headers.
    const impatience = setTimeout(() => api.server.closeAllConnections(), settings.closingMs);
    await api.close();
    clearTimeout(impatience);
    await closeShop(shop);
    metrics.close();
    metrics.closeAllConnections();
  });
}

await once(metrics.listen(metricsPort, host), 'listening').catch(orSayTaken('METRICS_PORT', metricsPort));
await api.listen({ host, port }).catch(orSayTaken('PORT', port));
