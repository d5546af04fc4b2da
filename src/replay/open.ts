/** Opens failed updates for programs: connects to both servers and checks them. */
import type { Logger } from 'pino';
import { within } from '../shared/clock.ts';
import { type Definitions, type DefinitionsInput, parseDefinitions } from '../shared/config/definitions.ts';
import { checkNamespace } from '../shared/config/namespace.ts';
import { parseSettings, type Settings } from '../shared/config/settings.ts';
import { explain } from '../shared/explain.ts';
import { createLog } from '../shared/log.ts';
import { Database } from '../shared/mysql/database.ts';
import type { MysqlLocation } from '../shared/mysql/url.ts';
import { Aligner } from '../shared/partition/align.ts';
import { openRedis } from '../shared/redis/connections.ts';
import { Keys } from '../shared/redis/keys.ts';
import { openQueue } from '../shared/redis/queue.ts';
import { type RedisLocation, redisAddress } from '../shared/redis/url.ts';
import { RepeatedLines } from '../shared/repeated.ts';
import { checkServers } from '../shared/start-checks.ts';
import { whenReachable } from '../shared/start-wait.ts';
import { FailedUpdates } from './failed.ts';

export interface FailedOptions {
  /** URL, or URL with credentials apart. */
  readonly redis: string | RedisLocation;
  /** URL, or URL with credentials apart. */
  readonly mysql: string | MysqlLocation;
  /** The definitions of the producers. */
  readonly definitions: DefinitionsInput;
  /** `sluice` by default. */
  readonly namespace?: string;
  /** The number of partitions must be that of the other processes. */
  readonly settings?: Partial<Settings>;
  /** A pino logger; silent by default. */
  readonly log?: Logger;
}

const CONNECTIONS = 2;
const FAREWELL_MS = 1000;

/**
 * Connects to both servers. Waits for them up to `startWaitMs`.
 * @throws ConfigurationError, RedisUnavailableError, RedisUnsuitableError, DatabaseUnavailableError,
 * DatabaseUnsuitableError, NotMigratedError, NewerFormatError, PartitionCountError, AccessDeniedError
 */
export async function openFailed(options: FailedOptions): Promise<OpenFailedUpdates> {
  const definitions = parseDefinitions(options.definitions);
  const settings = parseSettings(options.settings);
  const keys = new Keys(checkNamespace(options.namespace ?? 'sluice'), settings.partitions);
  const log = options.log ?? createLog('silent', 'stderr');
  const at = typeof options.redis === 'string' ? { url: options.redis } : options.redis;
  const mysql = typeof options.mysql === 'string' ? { url: options.mysql } : options.mysql;
  return whenReachable(() => connect(at, mysql, definitions, settings, keys, log), {
    waitMs: settings.startWaitMs,
    log,
  });
}

/** One attempt. It closes its connections if it fails. */
async function connect(
  at: RedisLocation,
  mysql: MysqlLocation,
  definitions: Definitions,
  settings: Settings,
  keys: Keys,
  log: Logger,
): Promise<OpenFailedUpdates> {
  const address = redisAddress(at);
  const database = new Database(mysql, { ...settings, connections: CONNECTIONS });
  const lines = new RepeatedLines(log);
  const redis = openRedis(at, error => lines.warn({ err: error }, 'Redis connection failed, reconnecting'));
  try {
    const tables = await checkServers({ redis, address, database, keys }, definitions);
    const aligner = new Aligner(redis, database, keys, log);
    const queue = openQueue(redis, keys);
    const parts = { redis, address, keys, settings, aligner, queue, log, database, tables, definitions };
    return new OpenFailedUpdates(parts, async () => {
      await within(queue.close(), FAREWELL_MS);
      redis.disconnect();
      await database.close();
    });
  } catch (error) {
    redis.disconnect();
    await database.close();
    throw explain(error, address, database.address);
  }
}

/** Failed updates with their own connections. */
export class OpenFailedUpdates extends FailedUpdates {
  /** Closes the connections. */
  readonly close: () => Promise<void>;

  constructor(parts: ConstructorParameters<typeof FailedUpdates>[0], close: () => Promise<void>) {
    super(parts);
    this.close = close;
  }
}
