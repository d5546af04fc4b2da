/** Puts the console together: opens the servers, takes samples, answers requests, and ends all of it. */
import type { Logger } from 'pino';
import { RunningOperations } from '../http/running-operations.ts';
import { FailedUpdates } from '../replay/failed.ts';
import type { Config } from '../shared/config/config.ts';
import { type Definitions, readDefinitions } from '../shared/config/definitions.ts';
import { processFacts } from '../shared/config/process-facts.ts';
import { Database } from '../shared/mysql/database.ts';
import { Heartbeat } from '../shared/redis/heartbeat.ts';
import { Keys } from '../shared/redis/keys.ts';
import { ConsoleAccess } from './access.ts';
import { PageAssets } from './assets.ts';
import { type ConsoleServerParts, createConsole } from './console.ts';
import { LoginLimits } from './login-limits.ts';
import { OpenId } from './openid.ts';
import { openIdRoutes } from './openid-routes.ts';
import { Sampler } from './sampler.ts';
import { ConsoleServers } from './servers.ts';
import { Sessions } from './sessions.ts';
import { Users } from './users.ts';
import { VerifyRuns } from './verify-runs.ts';

export interface RunningConsole {
  readonly port: number;
  /** Waits for open requests at most this long. @returns whether all ended */
  close(deadlineMs: number): Promise<boolean>;
}

const CONNECTIONS = 2;

/**
 * Listens at once, and connects meanwhile.
 * @throws ConfigurationError if the page is not built, the definitions are wrong, or others could reach the console and
 * nobody could log in; the error of `listen`
 */
export async function openConsole(
  config: Config,
  log: Logger,
  assets = new PageAssets(),
): Promise<RunningConsole> {
  const definitions = readDefinitions(config.definitionsPath);
  const { openid } = config.console;
  const servers = new ConsoleServers(config, definitions, log);
  // Logins have connections of their own, which nothing checks at the start: they must work while Redis is away.
  const database = new Database(config.mysql, {
    ...config.settings,
    connections: CONNECTIONS,
    onlyReads: true,
  });
  const sampler = new Sampler(servers, log);
  const running = new RunningOperations(log);
  const verifyRuns = new VerifyRuns(log);
  const parts: ConsoleServerParts = {
    ...{ config, definitions, log, running, verifyRuns, sampler, assets },
    servers: () => servers.get(),
    failed: failedOf(servers, config, definitions, log),
    login: loginPartsOf(database, config, log),
    moreLogins: openid ? openIdRoutes(new OpenId(openid, log)) : [],
  };
  const server = createConsole(parts, config.console);
  const keys = new Keys(config.namespace, config.settings.partitions);
  const heartbeat = Heartbeat.open(
    config.redis,
    keys,
    log,
    processFacts('console', config.settings, definitions),
  );
  const end = async () => {
    await sampler.stop();
    await running.close();
    await verifyRuns.close();
    await heartbeat.stop();
    await servers.close();
    await database.close();
  };
  sampler.start();
  try {
    await parts.login.access.checkStart();
    const port = await server.listen();
    return {
      port,
      async close(deadlineMs) {
        const inTime = await server.close(deadlineMs);
        await end();
        return inTime;
      },
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/** With the connections of the servers, made once. */
function failedOf(servers: ConsoleServers, { settings }: Config, definitions: Definitions, log: Logger) {
  let failed: FailedUpdates | undefined;
  return async () => {
    failed ??= new FailedUpdates({ ...servers.get(), settings, definitions, log });
    return failed;
  };
}

function loginPartsOf(database: Database, config: Config, log: Logger): ConsoleServerParts['login'] {
  const sessions = new Sessions(() => database, log);
  return {
    config: config.console,
    namespace: config.namespace,
    access: new ConsoleAccess(config.console, sessions),
    users: new Users(() => database),
    sessions,
    limits: new LoginLimits(),
    log,
  };
}
