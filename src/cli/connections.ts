/** Both servers, opened for one command and closed after it. */
import { Aligner } from '../shared/align.ts';
import { ColdReader } from '../shared/cold-read.ts';
import { type Config, readConfig } from '../shared/config.ts';
import { type Definitions, readDefinitions } from '../shared/definitions.ts';
import { explain } from '../shared/explain.ts';
import { Inspector } from '../shared/inspect.ts';
import { Keys } from '../shared/keys.ts';
import { createLog } from '../shared/log.ts';
import { openTables } from '../shared/mapping.ts';
import { checkSchema } from '../shared/migrate.ts';
import { Database } from '../shared/mysql.ts';
import { type FlushQueue, openQueue } from '../shared/queue.ts';
import { checkRedis, connectRedis, openRedis, type RedisConnection, redisPlace } from '../shared/redis.ts';
import type { ValueTables } from '../shared/tables.ts';

export interface Connections {
  readonly config: Config;
  readonly definitions: Definitions;
  readonly keys: Keys;
  readonly redis: RedisConnection;
  readonly database: Database;
  readonly queue: FlushQueue;
  readonly inspector: Inspector;
  readonly tables: ValueTables;
  readonly cold: ColdReader;
}

/** Opens and checks both servers, lends them, and closes them. @throws any of our errors */
export async function withConnections<Result>(use: (open: Connections) => Promise<Result>): Promise<Result> {
  const config = readConfig(process.env);
  const definitions = readDefinitions(config.definitionsPath);
  const log = createLog(config.logLevel ?? 'error', 'stderr');
  const place = redisPlace(config.redis);
  const keys = new Keys(config.namespace, config.settings.partitions);
  const redis = openRedis(config.redis, error => log.debug({ err: error }, 'Redis connection failed'));
  const database = new Database(config.mysql, { ...config.settings, connections: 4 });
  let queue: FlushQueue | undefined;
  try {
    await connectRedis(redis, place);
    await checkSchema(database, keys.partitions);
    await checkRedis(redis, keys, place);
    const tables = await openTables(database, definitions);
    const aligner = new Aligner(redis, database, keys, log);
    const cold = new ColdReader(redis, place, database, keys, tables, aligner, config.settings.liveTtlMs);
    queue = openQueue(redis, keys);
    const inspector = new Inspector(redis, keys);
    return await use({ config, definitions, keys, redis, database, queue, inspector, tables, cold });
  } catch (error) {
    throw explain(error, place, database.place);
  } finally {
    await queue?.close().catch(() => {});
    redis.disconnect();
    await database.close().catch(() => {});
  }
}
