/** The torture's database: one server or a cluster of three, with the rights and tables that Sluice needs. */
import { createPool } from 'mysql2/promise';
import { parseSettings } from '../../src/shared/config/settings.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { migrate } from '../../src/shared/mysql/migrate.ts';
import { readRights } from '../../test/support/rights.ts';
import {
  type DatabaseCluster,
  type RunningServer,
  startGalera,
  startGroupReplication,
  startMysql,
} from '../servers.ts';
import { ClusterRoot, type Root } from './cluster-root.ts';
import { type DatabaseName, isClustered } from './servers.ts';
import { mappedTables, partitions } from './traffic.ts';

export interface DatabaseSide {
  /** One for the only server, or one for each member. */
  readonly members: readonly RunningServer[];
  readonly cluster: DatabaseCluster | undefined;
  /** Root's connections, which bypass the proxies. */
  readonly root: Root;
  stop(): Promise<void>;
}

export interface Schema {
  readonly namespace: string;
  readonly database: string;
  readonly users: readonly { readonly name: string; readonly password: string }[];
}

export async function startDatabaseSide(
  name: DatabaseName,
  directory: string,
  schema: Schema,
): Promise<DatabaseSide> {
  if (!isClustered(name)) {
    const server = await startMysql({ flavour: name, directory });
    await prepare(server, schema);
    const root = createPool({ uri: `${server.url}/${schema.database}`, connectionLimit: 4 });
    const stop = async () => {
      await root.end().catch(() => {});
      await server.discard();
    };
    return { members: [server], cluster: undefined, root, stop };
  }
  const cluster = await (name === 'galera' ? startGalera : startGroupReplication)({ directory });
  await prepare(await cluster.primary(), schema);
  const root = new ClusterRoot(cluster, schema.database);
  const stop = async () => {
    await root.close();
    await cluster.discard();
  };
  return { members: cluster.members, cluster, root, stop };
}

async function prepare(server: RunningServer, { namespace, database, users }: Schema): Promise<void> {
  const limits = { ...parseSettings(), connections: 1 };
  const admin = new Database({ url: `${server.url}/mysql` }, limits);
  await admin.query(`CREATE DATABASE ${database}`);
  // The torture's own tables: rows that make transactions heavy, and a row that shows who takes writes.
  await admin.query('CREATE DATABASE scratch');
  await admin.query('CREATE TABLE scratch.ballast (n BIGINT NOT NULL) ENGINE = InnoDB');
  await admin.query('CREATE TABLE scratch.beat (id INT PRIMARY KEY, word CHAR(36)) ENGINE = InnoDB');
  for (const { name, password } of users) {
    await admin.query(`CREATE USER '${name}'@'%' IDENTIFIED BY '${password}'`);
    for (const grant of readRights(namespace, database).mysql)
      await admin.query(grant.replace("'sluice'@", `'${name}'@`));
  }
  await admin.close();
  const own = new Database({ url: `${server.url}/${database}` }, limits);
  await migrate(own, partitions);
  for (const { table, key, column } of Object.values(mappedTables))
    await own.query(
      `CREATE TABLE ${table} (${key} VARBINARY(64) PRIMARY KEY, ${column} BIGINT NOT NULL DEFAULT 0) ENGINE = InnoDB`,
    );
  await own.close();
}
