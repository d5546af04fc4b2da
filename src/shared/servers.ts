/** Both servers as every process meets them at its start: connected, and fit to keep what Sluice promises. */
import type { Definitions } from './definitions.ts';
import type { Keys } from './keys.ts';
import { openTables } from './mapping.ts';
import { checkSchema } from './migrate.ts';
import type { Database } from './mysql.ts';
import { connectRedis, type RedisConnection } from './redis.ts';
import { checkRedis } from './redis-check.ts';
import type { ValueTables } from './tables.ts';

export interface Servers {
  readonly redis: RedisConnection;
  /** Of Redis, for messages. */
  readonly place: string;
  readonly database: Database;
  readonly keys: Keys;
}

/**
 * Connects to both, checks them and the tables that the definitions name, and tells `keys` the deployment's name.
 * @param looks for commands that only look: nothing is recorded in Redis, which may be full
 * @throws RedisUnavailableError, RedisUnsuitableError, DatabaseUnavailableError, DatabaseUnsuitableError,
 * NotMigratedError, NewerFormatError, PartitionCountError, AccessDeniedError, ConfigurationError, or what the clients throw
 */
export async function checkServers(
  { redis, place, database, keys }: Servers,
  definitions: Definitions,
  onUndefined?: Parameters<typeof openTables>[2],
  looks = false,
): Promise<ValueTables> {
  await connectRedis(redis, place);
  keys.deployment = await checkSchema(database, keys.partitions, keys.namespace);
  await checkRedis(redis, keys, place, looks);
  return openTables(database, definitions, onUndefined);
}
