/** `sluice worker`: flushes until SIGTERM, then finishes its current batch and exits 0. */
import type { Logger } from 'pino';
import { type Config, readConfig } from '../shared/config/config.ts';
import { readDefinitions } from '../shared/config/definitions.ts';
import { packageVersion } from '../shared/config/version.ts';
import { listenForHealth } from '../shared/telemetry/health-port.ts';
import { reportEmf } from '../worker/emf.ts';
import { WorkerMetrics } from '../worker/metrics.ts';
import { notStarted } from '../worker/readiness.ts';
import { Worker } from '../worker/worker.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { listening } from './listening.ts';
import { withServingLog } from './serving-log.ts';
import { stopSignal } from './stop-signal.ts';

interface WorkerOptions {
  /** Whether the process also shows the operator's page. */
  readonly console?: boolean;
}

/** Resolves with the exit code once the worker has stopped. @throws errors of `Worker.start` */
export async function runWorker(
  { console: withConsole = false }: WorkerOptions = {},
  config: Config = readConfig(process.env),
): Promise<ExitCode> {
  return withServingLog(config, async (log, write) => {
    // A worker without the page loads nothing of its server.
    const page = withConsole ? await (await import('./console.ts')).startConsole(config, log) : undefined;
    let closed: Promise<unknown> | undefined;
    const closePage = async () => {
      closed ??= page?.close(config.settings.shutdownDeadlineMs);
      await closed;
    };
    try {
      return await flushUntilStopped(config, log, write, closePage);
    } finally {
      await closePage();
    }
  });
}

async function flushUntilStopped(
  config: Config,
  log: Logger,
  write: (line: string) => void,
  closePage: () => Promise<void>,
): Promise<ExitCode> {
  const stopped = stopSignal(signal =>
    log.error({ signal }, 'second signal to stop; the current batch stays in flight for another worker'),
  );
  const definitions = readDefinitions(config.definitionsPath);
  const { redis, mysql, namespace, workerSettings: settings, claimDurability, tracing } = config;
  const { registry } = new WorkerMetrics();
  const parts = { redis, mysql, definitions, namespace, settings, claimDurability, tracing, log, registry };
  // Listens before it connects, so that a health check learns that the worker runs, and what it waits for.
  let readiness = () => Promise.resolve(notStarted());
  const { server, port } = await listening('SLUICE_HTTP', config.http, () =>
    listenForHealth({ registry, readiness: () => readiness() }, config.http.host, config.http.port),
  );
  log.info({ version: packageVersion(), host: config.http.host, port }, 'worker listens, and is connecting');
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  const starting = Worker.start(parts, error => {
    readiness = () => Promise.resolve(notStarted(error));
  });
  const first = await Promise.race([starting, stopped]).catch(error => {
    close();
    throw error;
  });
  if (typeof first === 'string') {
    // There is no batch yet, and half-open connections end with the process.
    starting.catch(() => {});
    log.info({ signal: first }, 'worker stopped before it started to flush');
    close();
    return EXIT.ok;
  }
  const worker = first;
  readiness = () => worker.readiness();
  const { partitions } = settings;
  log.info(
    { version: packageVersion(), namespace, partitions, host: config.http.host, port },
    'worker started',
  );
  const endReports = config.emf ? reportEmf(registry, namespace, write) : undefined;
  const signal = await stopped;
  endReports?.();
  log.info({ signal, deadlineMs: settings.shutdownDeadlineMs }, 'worker stops after its current batch');
  // Meanwhile: one after the other could take twice the deadline. The caller waits for it, and gets its error.
  closePage().catch(() => {});
  const inTime = await worker.stop();
  close();
  if (inTime) log.info('worker stopped');
  else log.error('worker did not stop before its deadline; its batch stays in flight for another worker');
  return inTime ? EXIT.ok : EXIT.found;
}
