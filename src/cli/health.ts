/** `sluice health`: asks the worker on this machine how it is, for the health check of a container. */
import { type Config, readConfig } from '../shared/config.ts';
import { ConfigurationError } from '../shared/errors.ts';
import { EXIT, type ExitCode } from './exit.ts';

const ANSWER_MS = 4000;
/** A worker that listens on every address is asked on the loopback's. */
const LOOPBACK: Record<string, string> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

export interface HealthOptions {
  /** Whether it can flush now, rather than whether it runs. */
  ready?: boolean;
}

/** @throws ConfigurationError where the port is not known */
export async function runHealth(
  options: HealthOptions,
  { http }: Config = readConfig(process.env),
): Promise<ExitCode> {
  if (http.port === 0)
    throw new ConfigurationError(
      'SLUICE_HTTP_PORT is 0, so the worker took any free port; set the one that the worker logged.',
    );
  const host = LOOPBACK[http.host] ?? http.host;
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${http.port}${options.ready ? '/readyz' : '/healthz'}`;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) });
    console.log((await response.text()).trimEnd());
    return response.ok ? EXIT.ok : EXIT.found;
  } catch (error) {
    const { cause } = error as { cause?: { code?: string } };
    console.error(`sluice: no worker answers at ${url} (${cause?.code ?? (error as Error).name}).`);
    return EXIT.found;
  }
}
