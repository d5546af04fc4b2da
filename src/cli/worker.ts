/** `sluice worker`: flushes until SIGTERM, then finishes the batch at hand and exits 0. */
import type { Logger } from 'pino';
import { type Config, readConfig } from '../shared/config.ts';
import { readDefinitions } from '../shared/definitions.ts';
import { ConfigurationError } from '../shared/errors.ts';
import { createLog } from '../shared/log.ts';
import { LogStream } from '../shared/log-stream.ts';
import { packageVersion } from '../shared/version.ts';
import { reportEmf } from '../worker/emf.ts';
import { type HttpParts, serve } from '../worker/http.ts';
import { WorkerMetrics } from '../worker/metrics.ts';
import { notStarted } from '../worker/readiness.ts';
import { Worker } from '../worker/worker.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { onStopSignal, type StopSignal } from './signals.ts';

/** Longest wait at the end for somebody to read the last lines. */
const FLUSH_MS = 1000;

/** Resolves with the exit code once the worker has stopped. Throws what `Worker.start` does. */
export async function runWorker(config: Config = readConfig(process.env)): Promise<ExitCode> {
  const output = new LogStream('stdout');
  const log = createLog(config.logLevel ?? 'info', output);
  try {
    return await flushUntilStopped(config, log, line => output.write(line));
  } finally {
    await output.flushed(FLUSH_MS);
  }
}

async function flushUntilStopped(
  config: Config,
  log: Logger,
  write: (line: string) => void,
): Promise<ExitCode> {
  const stopped = stopSignal(log);
  const definitions = readDefinitions(config.definitionsPath);
  const { redis, mysql, namespace, workerSettings: settings, claimDurability, tracing } = config;
  const { registry } = new WorkerMetrics();
  const parts = { redis, mysql, definitions, namespace, settings, claimDurability, tracing, log, registry };
  // Listens before it connects: whoever asks meanwhile is told that the worker runs, and what it waits for.
  let readiness = () => Promise.resolve(notStarted());
  const { server, port } = await listen({ registry, readiness: () => readiness() }, config);
  log.info({ version: packageVersion(), host: config.http.host, port }, 'worker listens, and connects');
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
    // Nothing is at hand yet, and what is being opened ends with the process.
    starting.catch(() => {});
    log.info({ signal: first }, 'worker stopped before it had started');
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
  log.info({ signal, deadlineMs: settings.shutdownDeadlineMs }, 'worker stops after the batch at hand');
  const inTime = await worker.stop();
  close();
  if (inTime) log.info('worker stopped');
  else log.error('worker did not stop inside its deadline; its batch is safe in flight for another worker');
  return inTime ? EXIT.ok : EXIT.found;
}

/** @throws ConfigurationError where the port cannot be had */
async function listen(parts: HttpParts, { http }: Config): ReturnType<typeof serve> {
  try {
    return await serve(parts, http.host, http.port);
  } catch (cause) {
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
function stopSignal(log: Logger): Promise<StopSignal> {
  return new Promise(resolve => {
    let askedAt: number | undefined;
    onStopSignal(signal => {
      if (askedAt !== undefined && performance.now() - askedAt > SAME_REQUEST_MS) {
        log.error({ signal }, 'told twice to stop; the batch at hand is left in flight for another worker');
        process.exit(EXIT.found);
      }
      askedAt ??= performance.now();
      resolve(signal);
    });
  });
}
