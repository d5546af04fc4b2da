/** `sluice serve`: answers the HTTP API until SIGTERM, then finishes what it has and exits 0. */
import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import { createApi } from '../http/api.ts';
import { KeyRing } from '../http/key-ring.ts';
import { KeyStore } from '../http/key-store.ts';
import { ApiMetrics } from '../http/metrics.ts';
import { requestTraces } from '../http/request-traces.ts';
import { RunningOperations } from '../http/running-operations.ts';
import type { HttpServer } from '../http/server.ts';
import type { Sluice } from '../producer/client.ts';
import { createProducer } from '../producer/producer.ts';
import { type OpenFailedUpdates, openFailed } from '../replay/index.ts';
import { pause } from '../shared/clock.ts';
import { isLoopback } from '../shared/config/api.ts';
import { type Config, readConfig } from '../shared/config/config.ts';
import { readDefinitions } from '../shared/config/definitions.ts';
import { processFacts } from '../shared/config/process-facts.ts';
import { packageVersion } from '../shared/config/version.ts';
import { ConfigurationError } from '../shared/errors.ts';
import { Database } from '../shared/mysql/database.ts';
import { Heartbeat } from '../shared/redis/heartbeat.ts';
import { Keys } from '../shared/redis/keys.ts';
import { redisAddress } from '../shared/redis/url.ts';
import { listenForHealth } from '../shared/telemetry/health-port.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { listening } from './listening.ts';
import { withServingLog } from './serving-log.ts';
import { stopSignal } from './stop-signal.ts';

/** Resolves with the exit code once it has stopped. @throws errors of `createProducer` */
export async function runServe(config: Config = readConfig(process.env)): Promise<ExitCode> {
  return withServingLog(config, log => serveUntilStopped(config, log));
}

async function serveUntilStopped(config: Config, log: Logger): Promise<ExitCode> {
  const stopped = stopSignal(signal =>
    log.error({ signal }, 'second signal to stop; clients of open requests get no answer'),
  );
  // Before anything is opened: a mistake in it ends the start.
  const { api } = config;
  const registry = new Registry();
  let readiness: () => Promise<{ ready: boolean }> = async () => ({ ready: false, state: 'starting' });
  // Listens before it connects, so that a health check learns that the process runs.
  const health = await listening('SLUICE_HTTP', config.http, () =>
    listenForHealth({ registry, readiness: () => readiness() }, config.http.host, config.http.port),
  );
  const closeHealth = () => {
    health.server.close();
    health.server.closeAllConnections();
  };
  try {
    const starting = start(config, log, registry);
    const first = await Promise.race([starting, stopped]);
    if (typeof first === 'string') {
      starting.catch(() => {});
      log.info({ signal: first }, 'stopped before it took requests');
      return EXIT.ok;
    }
    readiness = () => readinessOf(first.sluice);
    log.info(
      {
        version: packageVersion(),
        host: api.host,
        port: first.port,
        healthPort: health.port,
        tls: !!api.tls,
      },
      'API started',
    );
    const signal = await stopped;
    readiness = async () => ({ ready: false, state: 'stopping' });
    log.info({ signal, drainMs: api.drainMs }, 'API stops: it answers on, while /readyz says that it stops');
    return await stop(first, config, log);
  } finally {
    closeHealth();
  }
}

interface Running {
  readonly api: HttpServer;
  readonly port: number;
  readonly sluice: Sluice;
  readonly ring: KeyRing;
  readonly database: Database;
  readonly running: RunningOperations;
  readonly replaying: Once<OpenFailedUpdates>;
  readonly heartbeat: Heartbeat;
}

async function start(config: Config, log: Logger, registry: Registry): Promise<Running> {
  const definitions = readDefinitions(config.definitionsPath);
  const { redis, mysql, namespace, durability, tracing, workerSettings: settings } = config;
  const connecting = { redis, mysql, definitions, namespace, settings, durability, tracing, log, registry };
  const sluice = (await createProducer(connecting)) as Sluice;
  const database = new Database(mysql, { ...settings, connections: 2 });
  const ring = new KeyRing(new KeyStore(database), log);
  try {
    await ring.start();
    if (ring.live === 0 && !isLoopback(config.api.host))
      throw new ConfigurationError(
        `There is no key yet, so the API does not open ${config.api.host} to others; make one with "sluice keys create", or set SLUICE_API_HOST=127.0.0.1.`,
      );
    const running = new RunningOperations(log);
    const replaying = once(() => openFailed({ redis, mysql, definitions, namespace, settings, log }));
    const trace = tracing ? await requestTraces() : undefined;
    const metrics = new ApiMetrics(registry);
    const facts = processFacts('serve', settings, definitions, { SLUICE_DURABILITY: durability });
    const addresses = { redis: redisAddress(redis), database: database.address };
    const handling = { sluice, definitions, log, addresses, trace, running, failed: replaying.get };
    const api = createApi({ ...handling, ring, metrics }, config.api);
    const port = await listening('SLUICE_API', config.api, () => api.listen());
    const heartbeat = Heartbeat.open(redis, new Keys(namespace, settings.partitions), log, facts);
    return { api, port, sluice, ring, database, running, replaying, heartbeat };
  } catch (error) {
    await ring.stop();
    await sluice.close();
    await database.close();
    throw error;
  }
}

async function stop(parts: Running, config: Config, log: Logger): Promise<ExitCode> {
  const { api, sluice, ring, database, running, replaying, heartbeat } = parts;
  api.drain();
  await pause(config.api.drainMs);
  const inTime = await api.close(config.settings.shutdownDeadlineMs);
  await running.close();
  await heartbeat.stop();
  await (await replaying.made())?.close();
  await sluice.close();
  await ring.stop();
  await database.close();
  if (inTime) log.info('API stopped');
  else log.error('the API closed connections with open requests, since its deadline to stop was over');
  return inTime ? EXIT.ok : EXIT.found;
}

interface Once<Made> {
  get(): Promise<Made>;
  /** What was made, if anything was. */
  made(): Promise<Made | undefined>;
}

/** Makes something when it is first asked for: most processes never deal with failed updates. */
function once<Made>(make: () => Promise<Made>): Once<Made> {
  let making: Promise<Made> | undefined;
  return {
    get() {
      making ??= make().catch(error => {
        making = undefined;
        throw error;
      });
      return making;
    },
    made: async () => making?.catch(() => undefined),
  };
}

/** Without MySQL the API still takes updates, so that is no reason to take it out of service. */
async function readinessOf(sluice: Sluice) {
  const { redis, database } = await sluice.health();
  return { ready: redis === 'connected', state: 'serving', redis, database };
}
