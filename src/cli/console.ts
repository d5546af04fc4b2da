/** `sluice console`: shows the operator's page until SIGTERM. */
import type { Logger } from 'pino';
import { openConsole, type RunningConsole } from '../console/run.ts';
import { type Config, readConfig } from '../shared/config/config.ts';
import { packageVersion } from '../shared/config/version.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { listening } from './listening.ts';
import { withServingLog } from './serving-log.ts';
import { stopSignal } from './stop-signal.ts';

/** Resolves with the exit code once it has stopped. @throws ConfigurationError */
export async function runConsole(config: Config = readConfig(process.env)): Promise<ExitCode> {
  return withServingLog(config, async log => {
    const stopped = stopSignal(signal => log.error({ signal }, 'second signal to stop'));
    const page = await startConsole(config, log);
    const signal = await stopped;
    log.info({ signal }, 'console stops');
    const inTime = await page.close(config.settings.shutdownDeadlineMs);
    return inTime ? EXIT.ok : EXIT.found;
  });
}

/** Opens the console, and logs its address. @throws ConfigurationError */
export async function startConsole(config: Config, log: Logger): Promise<RunningConsole> {
  const { host, tls } = config.console;
  const page = await listening('SLUICE_CONSOLE', config.console, () => openConsole(config, log));
  const url = `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${page.port}/`;
  log.info({ version: packageVersion(), host, port: page.port, url }, 'console started');
  return page;
}
