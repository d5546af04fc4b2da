/** `sluice worker`: flushes until SIGTERM, then finishes the batch at hand and exits 0. */
import { type Config, readConfig } from '../shared/config.ts';
import { readDefinitions } from '../shared/definitions.ts';
import { createLog } from '../shared/log.ts';
import { serve } from '../worker/http.ts';
import { Worker } from '../worker/worker.ts';
import { EXIT, type ExitCode } from './exit.ts';

/** Resolves with the exit code once the worker has stopped. Throws what `Worker.start` does. */
export async function runWorker(config: Config = readConfig(process.env)): Promise<ExitCode> {
  const log = createLog(config.logLevel ?? 'info', 'stdout');
  const stopped = stopSignal();
  const definitions = readDefinitions(config.definitionsPath);
  const { redis, mysql, namespace, settings } = config;
  const worker = await Worker.start({ redis, mysql, definitions, namespace, settings, log });
  const { server, port } = await serve(
    { registry: worker.metrics.registry, readiness: () => worker.readiness() },
    config.http.host,
    config.http.port,
  );
  log.info({ namespace, partitions: settings.partitions, host: config.http.host, port }, 'worker started');
  const signal = await stopped;
  log.info({ signal, deadlineMs: settings.shutdownDeadlineMs }, 'worker stops after the batch at hand');
  const inTime = await worker.stop();
  server.close();
  server.closeAllConnections();
  if (inTime) log.info('worker stopped');
  else log.error('worker did not stop inside its deadline; its batch is safe in flight for another worker');
  return inTime ? EXIT.ok : EXIT.found;
}

/** A signal during start counts too. A second one ends the process at once. */
function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise(resolve => {
    let asked = false;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (asked) process.exit(EXIT.found);
        asked = true;
        resolve(signal);
      });
    }
  });
}
