/** Both servers as every process meets them at its start: connected, and fit to keep what Sluice promises. */
import type { Definitions } from './definitions.ts';
import { DatabaseUnsuitableError, SluiceError } from './errors.ts';
import type { Keys } from './keys.ts';
import { failingTables, type OpenTables, openTables, type TableEvents } from './mapping.ts';
import { checkSchema } from './migrate.ts';
import type { Database } from './mysql.ts';
import { connectRedis, type RedisConnection } from './redis.ts';
import { checkRedis } from './redis-check.ts';
import { isPassing } from './start-wait.ts';

export interface Servers {
  readonly redis: RedisConnection;
  /** Of Redis, for messages. */
  readonly place: string;
  readonly database: Database;
  readonly keys: Keys;
}

/**
 * Connects to both, checks them and the tables that the definitions name, and tells `keys` the deployment's name.
 * @param looks for commands that only look: nothing is recorded, as Redis may be full and the database read-only, and
 * tables that do not fit are refused only when they are needed
 * @throws RedisUnavailableError, RedisUnsuitableError, DatabaseUnavailableError, DatabaseUnsuitableError,
 * NotMigratedError, NewerFormatError, PartitionCountError, AccessDeniedError, ConfigurationError, or what the clients throw
 */
export async function checkServers(
  { redis, place, database, keys }: Servers,
  definitions: Definitions,
  events?: TableEvents,
  looks = false,
): Promise<OpenTables> {
  const [, deployment] = await reachBoth(
    () => connectRedis(redis, place),
    () => checkSchema(database, keys.partitions, keys.namespace, looks),
  );
  keys.deployment = deployment;
  await checkRedis(redis, keys, place, looks);
  return openTables(database, definitions, events).catch(error => {
    if (looks && error instanceof DatabaseUnsuitableError) return failingTables(error);
    throw error;
  });
}

/**
 * Asks both at once: what waiting cannot cure, such as a wrong password of MySQL, is told at once although Redis is away
 * as well.
 */
async function reachBoth<First, Second>(
  first: () => Promise<First>,
  second: () => Promise<Second>,
): Promise<[First, Second]> {
  const passing = (error: unknown): SluiceError => {
    if (!isPassing(error)) throw error;
    return error;
  };
  const [one, two] = await Promise.all([
    first().then(answer => ({ answer }), passing),
    second().then(answer => ({ answer }), passing),
  ]);
  if (one instanceof SluiceError) throw one;
  if (two instanceof SluiceError) throw two;
  return [one.answer, two.answer];
}
