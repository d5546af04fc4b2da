/** `sluice worker`: flushes until SIGTERM, then finishes the batch at hand and exits 0. */
import type { Logger } from 'pino';
import { type Config, readConfig } from '../shared/config.ts';
import { readDefinitions } from '../shared/definitions.ts';
import { ConfigurationError } from '../shared/errors.ts';
import { createLog } from '../shared/log.ts';
import { packageVersion } from '../shared/version.ts';
import { reportEmf } from '../worker/emf.ts';
import { serve } from '../worker/http.ts';
import { Worker } from '../worker/worker.ts';
import { EXIT, type ExitCode } from './exit.ts';

/** Resolves with the exit code once the worker has stopped. Throws what `Worker.start` does. */
export async function runWorker(config: Config = readConfig(process.env)): Promise<ExitCode> {
  const log = createLog(config.logLevel ?? 'info', 'stdout');
  const stopped = stopSignal(log);
  const definitions = readDefinitions(config.definitionsPath);
  const { redis, mysql, namespace, settings, claimDurability, tracing } = config;
  const parts = { redis, mysql, definitions, namespace, settings, claimDurability, tracing, log };
  const worker = await Worker.start(parts);
  const { server, port } = await listen(worker, config);
  const { partitions } = settings;
  log.info(
    { version: packageVersion(), namespace, partitions, host: config.http.host, port },
    'worker started',
  );
  const endReports = config.emf
    ? reportEmf(worker.metrics.registry, namespace, line => process.stdout.write(line))
    : undefined;
  const signal = await stopped;
  endReports?.();
  log.info({ signal, deadlineMs: settings.shutdownDeadlineMs }, 'worker stops after the batch at hand');
  const inTime = await worker.stop();
  server.close();
  server.closeAllConnections();
  if (inTime) log.info('worker stopped');
  else log.error('worker did not stop inside its deadline; its batch is safe in flight for another worker');
  return inTime ? EXIT.ok : EXIT.found;
}

/** @throws ConfigurationError where the port cannot be had; the worker has stopped then. */
async function listen(worker: Worker, { http }: Config): ReturnType<typeof serve> {
  const parts = { registry: worker.metrics.registry, readiness: () => worker.readiness() };
  try {
    return await serve(parts, http.host, http.port);
  } catch (cause) {
    await worker.stop();
    throw new ConfigurationError(
      `The worker cannot listen on ${http.host}:${http.port} (${(cause as NodeJS.ErrnoException).code}); ` +
        'set SLUICE_HTTP_PORT to a free port, or to 0 for any, and SLUICE_HTTP_HOST to an address of this machine.',
      { cause },
    );
  }
}

/** npm passes Ctrl-C on to a program that the terminal has told already: both are the same request. */
const SAME_REQUEST_MS = 500;

/** A signal during start counts too. One that comes later again ends the process at once. */
function stopSignal(log: Logger): Promise<NodeJS.Signals> {
  return new Promise(resolve => {
    let askedAt: number | undefined;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (askedAt !== undefined && performance.now() - askedAt > SAME_REQUEST_MS) {
          log.error({ signal }, 'told twice to stop; the batch at hand is left in flight for another worker');
          process.exit(EXIT.found);
        }
        askedAt ??= performance.now();
        resolve(signal);
      });
    }
  });
}
