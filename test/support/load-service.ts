/**
 * An API service as a process: its producer counts, credits, transfers, reads and gets refusals until SIGTERM.
 * It serves its metrics on a port of its own, which it prints.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { createProducer } from '../../src/producer/producer.ts';
import { readConfig } from '../../src/shared/config/config.ts';
import { readDefinitions } from '../../src/shared/config/definitions.ts';
import { listenForHealth } from '../../src/shared/telemetry/health-port.ts';

const { redis, mysql, namespace, settings, definitionsPath } = readConfig(process.env);
const registry = new Registry();
collectDefaultMetrics({ register: registry });
const definitions = readDefinitions(definitionsPath);
const producer = await createProducer({ redis, mysql, namespace, settings, definitions, registry });
const { port } = await listenForHealth(
  {
    registry,
    readiness: async () => ({
      ready: true,
      redis: 'connected',
      database: 'connected',
      flushing: 'idle',
      lagSeconds: 0,
    }),
  },
  '127.0.0.1',
  0,
);
console.log(port);

let running = true;
process.once('SIGTERM', () => {
  running = false;
});
for (let round = 0; running; round++) {
  const key = String(round % 200);
  await producer.apply([
    ...Array.from({ length: 20 }, () => ({ counter: 'page_views', key: 'hot' })),
    { counter: 'page_views', key },
    { points: 'loyalty', account: key, amount: 5, id: `${round}` },
    // The same id makes it a duplicate.
    { points: 'loyalty', account: key, amount: 5, id: `${round}` },
    { points: 'loyalty', from: key, to: 'savings', amount: 1, id: `${round} saved` },
    { points: 'loyalty', account: key, amount: -1_000_000, id: `${round} too much` },
  ]);
  await producer.counter('page_views' as never).getMany(['hot', key]);
  await pause(20);
}
await producer.close();
process.exit(0);
