/** `sluice health`: checks the worker on this machine, for the health check of a container. */
import { type Config, readConfig } from '../shared/config/config.ts';
import { ConfigurationError } from '../shared/errors.ts';
import { EXIT, type ExitCode } from './exit.ts';

const ANSWER_MS = 4000;
/** If a worker listens on every address, the loopback address reaches it. */
const LOOPBACK: Record<string, string> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

export interface HealthOptions {
  /** Whether it can flush now, rather than whether it runs. */
  ready?: boolean;
}

/** @throws ConfigurationError if the port is not known */
export async function runHealth(
  options: HealthOptions,
  { http }: Config = readConfig(process.env),
): Promise<ExitCode> {
  if (http.port === 0)
    throw new ConfigurationError(
      'SLUICE_HTTP_PORT is 0, so the worker took a free port; set SLUICE_HTTP_PORT to the port in the log of the worker.',
    );
  const host = LOOPBACK[http.host] ?? http.host;
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${http.port}${options.ready ? '/readyz' : '/healthz'}`;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) });
    console.log((await response.text()).trimEnd());
    return response.ok ? EXIT.ok : EXIT.found;
  } catch (error) {
    const { cause } = error as { cause?: { code?: string } };
    console.error(
      `sluice: no worker answers at ${url} (${cause?.code ?? (error as Error).name}); check that it runs, and SLUICE_HTTP_HOST and SLUICE_HTTP_PORT.`,
    );
    return EXIT.found;
  }
}
