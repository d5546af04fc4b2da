/** Opens both servers with all that reads and repairs values needs, for one command or for the console. */
import type { Logger } from 'pino';
import { pause } from './clock.ts';
import type { Config } from './config/config.ts';
import type { Definitions } from './config/definitions.ts';
import { explain } from './explain.ts';
import { Database } from './mysql/database.ts';
import { Aligner } from './partition/align.ts';
import { openRedis } from './redis/connections.ts';
import { Inspector } from './redis/inspect.ts';
import { Keys } from './redis/keys.ts';
import { type FlushQueue, openQueue } from './redis/queue.ts';
import { redisAddress } from './redis/url.ts';
import { checkServers, type Servers } from './start-checks.ts';
import { ColdReader } from './values/cold-read.ts';
import type { ValueTables } from './values/tables.ts';

export interface OpenServers extends Servers {
  readonly queue: FlushQueue;
  readonly inspector: Inspector;
  readonly tables: ValueTables;
  readonly cold: ColdReader;
  readonly aligner: Aligner;
}

export interface Opened {
  readonly open: OpenServers;
  close(): Promise<void>;
}

const CONNECTIONS = 4;
const CLOSE_MS = 1000;

/**
 * One attempt, which closes what it opened if it fails.
 * @param looks for those that change nothing; see `checkServers`
 * @throws what `checkServers` throws
 */
export async function openServers(
  config: Config,
  definitions: Definitions,
  log: Logger,
  looks: boolean,
): Promise<Opened> {
  const address = redisAddress(config.redis);
  const keys = new Keys(config.namespace, config.settings.partitions);
  const redis = openRedis(config.redis, error => log.debug({ err: error }, 'Redis connection failed'));
  const limits = { ...config.settings, connections: CONNECTIONS, onlyReads: looks };
  const database = new Database(config.mysql, limits);
  let queue: FlushQueue | undefined;
  const close = async () => {
    await Promise.race([queue?.close().catch(() => {}), pause(CLOSE_MS)]);
    redis.disconnect();
    await Promise.race([database.close().catch(() => {}), pause(CLOSE_MS)]);
  };
  try {
    const tables = await checkServers({ redis, address, database, keys }, definitions, undefined, looks);
    const aligner = new Aligner(redis, database, keys, log);
    const cold = new ColdReader(redis, address, database, keys, tables, aligner);
    queue = openQueue(redis, keys);
    const inspector = new Inspector(redis, keys);
    return { open: { redis, address, database, keys, queue, inspector, tables, cold, aligner }, close };
  } catch (error) {
    await close();
    throw explain(error, address, database.address);
  }
}
