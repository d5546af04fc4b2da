/**
 * Checks of every process at its start: both servers can be reached and can keep the promises of Sluice, the
 * schema has this version's format, both servers hold data of this deployment, and the mapped tables fit
 * their definitions.
 */
import type { Definitions } from './config/definitions.ts';
import { DatabaseUnsuitableError, NotMigratedError, SluiceError } from './errors.ts';
import type { Database } from './mysql/database.ts';
import { deploymentOf } from './mysql/deployment.ts';
import { checkRecorded, checkServerVersion, FORMAT, readMeta } from './mysql/schema.ts';
import { checkRedis } from './redis/check.ts';
import { connectRedis, type RedisConnection } from './redis/connections.ts';
import type { Keys } from './redis/keys.ts';
import { isPassing } from './start-wait.ts';
import { failingTables, type OpenTables, openTables, type TableEvents } from './values/mapping.ts';

export interface Servers {
  readonly redis: RedisConnection;
  /** Address of Redis, for messages. */
  readonly address: string;
  readonly database: Database;
  readonly keys: Keys;
}

/**
 * Connects to both servers, checks them and the mapped tables, and sets `keys.deployment`.
 * @param looks for commands that change nothing: nothing is recorded, since Redis may be full and the
 * database read-only, and tables that do not fit are refused only when they are used
 * @throws RedisUnavailableError, RedisUnsuitableError, DatabaseUnavailableError, DatabaseUnsuitableError,
 * NotMigratedError, NewerFormatError, PartitionCountError, AccessDeniedError, ConfigurationError, or an error
 * of a client
 */
export async function checkServers(
  { redis, address, database, keys }: Servers,
  definitions: Definitions,
  events?: TableEvents,
  looks = false,
): Promise<OpenTables> {
  const [, deployment] = await reachBoth(
    () => connectRedis(redis, address),
    () => checkSchema(database, keys.partitions, keys.namespace, looks),
  );
  keys.deployment = deployment;
  await checkRedis(redis, keys, address, looks);
  return openTables(database, definitions, events).catch(error => {
    if (looks && error instanceof DatabaseUnsuitableError) return failingTables(error);
    throw error;
  });
}

/**
 * Asks both at once. An error that waiting does not cure, such as a wrong password of MySQL, is thrown at
 * once, even while the other server is away.
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

/**
 * Checks the schema, for every process except `migrate`.
 * @param looks for commands that change nothing: nothing is written
 * @returns the deployment's name
 * @throws NotMigratedError, NewerFormatError, PartitionCountError, ConfigurationError,
 * DatabaseUnavailableError, AccessDeniedError
 */
export async function checkSchema(
  database: Database,
  partitions: number,
  namespace: string,
  looks = false,
): Promise<string> {
  const recorded = await database.explained(() =>
    database.session(async connection => {
      await checkServerVersion(connection, database.address);
      return readMeta(connection);
    }),
  );
  checkRecorded(recorded, partitions);
  if (recorded.format !== FORMAT) {
    throw new NotMigratedError(
      `The schema at ${database.address} has format ${recorded.format ?? 'none'}, this version needs ${FORMAT}`,
    );
  }
  return deploymentOf(database, namespace, looks);
}
