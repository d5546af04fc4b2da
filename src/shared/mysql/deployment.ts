/**
 * The deployment that a database and a Redis belong to. A database records a random name and the namespace
 * that used it first. Redis records the same name beside the format and in the state of each partition. So
 * two deployments notice when they meet in one Redis and one namespace, at their start or later, for example
 * after a DNS change.
 */
import type { PoolConnection } from 'mysql2/promise';
import { randomToken } from '../clock.ts';
import { ConfigurationError, NotMigratedError } from '../errors.ts';
import { type Database, queryRows } from './database.ts';

/** Names the deployment if it has no name yet. A restored backup keeps its name. */
export async function nameDeployment(connection: PoolConnection): Promise<void> {
  await connection.query("INSERT IGNORE INTO sluice_meta (name, value) VALUES ('deployment', ?)", [
    Buffer.from(randomToken()),
  ]);
}

/**
 * Reads the deployment's name. A database belongs to the namespace that used it first: with two namespaces,
 * the live values of each would miss the other's updates.
 * @param looks for commands that change nothing: nothing is recorded, and a database without a namespace is
 * accepted
 * @throws ConfigurationError, NotMigratedError, DatabaseUnavailableError, AccessDeniedError
 */
export async function deploymentOf(database: Database, namespace: string, looks: boolean): Promise<string> {
  const recorded = await database.explained(() =>
    database.session(async (connection): Promise<Recorded> => {
      const found = await read(connection);
      if (found.namespace && found.deployment) return found;
      if (looks) return { namespace, ...found };
      await nameDeployment(connection);
      await connection.query("INSERT IGNORE INTO sluice_meta (name, value) VALUES ('namespace', ?)", [
        Buffer.from(namespace),
      ]);
      return read(connection);
    }),
  );
  if (!recorded.namespace || !recorded.deployment)
    throw new NotMigratedError(`The database at ${database.address} did not keep the name of its deployment`);
  if (recorded.namespace === namespace) return recorded.deployment;
  throw new ConfigurationError(
    `The database at ${database.address} belongs to the namespace ${recorded.namespace}, not ${namespace}; set SLUICE_NAMESPACE=${recorded.namespace} or use another database.`,
  );
}

interface Recorded {
  namespace?: string;
  deployment?: string;
}

async function read(connection: PoolConnection): Promise<Recorded> {
  const rows = await queryRows(
    connection,
    "SELECT name, value FROM sluice_meta WHERE name IN ('namespace', 'deployment')",
  );
  return Object.fromEntries(rows.map(row => [String(row.name), String(row.value)]));
}
