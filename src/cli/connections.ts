/** Opens both servers for one command, and closes them after it. */
import type { Logger } from 'pino';
import { pause } from '../shared/clock.ts';
import { type Config, readConfig } from '../shared/config/config.ts';
import { type Definitions, readDefinitions } from '../shared/config/definitions.ts';
import { DatabaseUnavailableError, type SluiceError } from '../shared/errors.ts';
import { explain } from '../shared/explain.ts';
import { createLog } from '../shared/log.ts';
import { type Condition, sessionCondition } from '../shared/mysql/writable.ts';
import { type OpenServers, openServers } from '../shared/open-servers.ts';
import { unavailable } from '../shared/redis/connections.ts';
import { whenReachable } from '../shared/start-wait.ts';

export interface Connections extends OpenServers {
  readonly config: Config;
  readonly definitions: Definitions;
  /** Whether the database takes writes; undefined unless the command only looks. */
  readonly condition: Condition | undefined;
  readonly log: Logger;
}

const ASK_EVERY_MS = 1000;
const SILENCE_MS = 10_000;

/**
 * Opens and checks both servers, waits at most `startWaitMs` for them, runs `use`, and closes them.
 * @param options `looks`: the command changes nothing, so it works with servers that take no writes;
 * `silenceMs`: how long a server may be silent before the command gives up
 * @throws any of our errors
 */
export async function withConnections<Result>(
  use: (open: Connections) => Promise<Result>,
  { looks = false, silenceMs = SILENCE_MS } = {},
): Promise<Result> {
  const config = readConfig(process.env);
  const definitions = readDefinitions(config.definitionsPath);
  const log = createLog(config.logLevel ?? 'error', 'stderr');
  const { open, close } = await whenReachable(() => connect(config, definitions, log, looks), {
    waitMs: config.settings.startWaitMs,
    log,
  });
  const { redis, database, address } = open;
  const ended = new AbortController();
  try {
    return await Promise.race([
      use(open),
      silence(
        () => redis.ping(),
        () => unavailable(redis, address),
        { ended: ended.signal, silenceMs },
      ),
      silence(
        () => database.query('SELECT 1'),
        () => new DatabaseUnavailableError(database.address),
        { ended: ended.signal, silenceMs },
      ),
    ]);
  } catch (error) {
    throw explain(error, address, database.address);
  } finally {
    ended.abort();
    await close();
  }
}

/** One attempt, which closes what it opened if it fails. */
async function connect(config: Config, definitions: Definitions, log: Logger, looks: boolean) {
  const { open, close } = await openServers(config, definitions, log, looks);
  const { database } = open;
  try {
    const condition = looks ? await database.session(sessionCondition) : undefined;
    if (condition && condition.writes !== 'yes')
      console.error(
        `sluice: the database at ${database.address} takes no writes now (${condition.why}); updates wait in Redis until it does, and what this command shows may be out of date`,
      );
    return { open: { ...open, config, definitions, log, condition } satisfies Connections, close };
  } catch (error) {
    await close();
    throw explain(error, open.address, database.address);
  }
}

/**
 * Rejects once the server has been silent for a while. The command's own calls would wait for ever, since
 * these connections are made to outlast any outage.
 */
async function silence(
  ask: () => Promise<unknown>,
  error: () => SluiceError,
  { ended, silenceMs }: { readonly ended: AbortSignal; readonly silenceMs: number },
): Promise<never> {
  while (!ended.aborted) {
    await pause(ASK_EVERY_MS, ended);
    const answer = ask().then(
      () => true,
      () => false,
    );
    const answered = await Promise.race([answer, pause(silenceMs, ended).then(() => false)]);
    if (!answered && !ended.aborted) throw error();
  }
  return new Promise(() => {});
}
