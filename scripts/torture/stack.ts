/**
 * What a torture runs on: Redis in one of three topologies, a database with one server or three, a migrated
 * schema, users with only the documented rights, and proxies between processes and servers.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KeyStore } from '../../src/http/key-store.ts';
import { parseSettings } from '../../src/shared/config/settings.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import type { Deployment } from '../load/processes.ts';
import type { DatabaseCluster, RunningServer } from '../servers.ts';
import { Accounts } from './accounts.ts';
import type { Root } from './cluster-root.ts';
import { startDatabaseSide } from './database-side.ts';
import { Line, TcpProxy } from './proxy.ts';
import { type RedisSide, startRedisSide } from './redis-side.ts';
import type { DatabaseName, TopologyName } from './servers.ts';
import { definitions } from './traffic.ts';

export const namespace = 'torture';
const databaseName = 'torture';
/** The user for this program's own reads; its password does not change. */
const observer = { name: 'observer', password: 'torture' };

/** Connections of the workers and of the producers to a server. */
export interface Lines {
  readonly workers: Line;
  readonly producers: Line;
}

export interface Stack {
  readonly folder: string;
  readonly database: DatabaseName;
  readonly redis: RedisSide;
  /** The only server, or the first member. */
  readonly mysql: RunningServer;
  /** The only server, or all members. */
  readonly members: readonly RunningServer[];
  readonly cluster: DatabaseCluster | undefined;
  /** Root's connections, which bypass the proxies. */
  readonly root: Root;
  readonly mysqlLines: Lines;
  /** Users of the processes. */
  readonly accounts: Accounts;
  /** The deployment as each worker reaches it; with several hosts, each prefers another one. */
  readonly workers: readonly Deployment[];
  readonly producers: Deployment;
  /** The deployment without proxies before the database, for the observer's own user. */
  readonly direct: Deployment;
  /** With which clients use the HTTP API. */
  readonly apiKey: string;
  stop(): Promise<void>;
}

export async function openStack(
  folder: string,
  topology: TopologyName,
  database: DatabaseName,
): Promise<Stack> {
  const undo: (() => unknown)[] = [];
  const stop = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  mkdirSync(folder, { recursive: true });
  const accounts = new Accounts(join(folder, 'secrets'), namespace);
  const users = accounts.all.map(({ name, secrets }) => ({ name, password: secrets.mysql.current }));
  try {
    const starting = [
      startRedisSide(topology, database, join(folder, 'redis'), accounts),
      startDatabaseSide(database, join(folder, 'mysql'), {
        namespace,
        database: databaseName,
        users: [...users, observer],
      }),
    ] as const;
    undo.push(() =>
      Promise.all(
        starting.map(server =>
          server.then(
            started => started.stop(),
            () => {},
          ),
        ),
      ),
    );
    const [redis, { members, cluster, root }] = await Promise.all(starting);
    const mysqlLines: Lines = { workers: new Line(), producers: new Line() };
    const proxied = (line: Line) => openProxies(members, line, undo);
    const [workers, producers] = [await proxied(mysqlLines.workers), await proxied(mysqlLines.producers)];
    const config = join(folder, 'sluice.config.json');
    writeFileSync(config, JSON.stringify(definitions));
    const through = (ports: readonly number[], login = ''): Deployment => ({
      redisUrl: redis.url,
      mysqlUrl: `mysql://${login}${ports.map(port => `127.0.0.1:${port}`).join()}/${databaseName}`,
      namespace,
      config,
    });
    const direct = through(
      members.map(({ port }) => port),
      `${observer.name}:${observer.password}@`,
    );
    return {
      folder,
      database,
      redis,
      mysql: members[0]!,
      members,
      cluster,
      root,
      mysqlLines,
      accounts,
      workers: [through(workers), through([...workers.slice(1), workers[0]!])],
      producers: through(producers),
      direct,
      apiKey: await createKey(direct),
      stop,
    };
  } catch (error) {
    await stop().catch(() => {});
    throw error;
  }
}

/** Returns the ports of the proxies before these members. */
function openProxies(
  members: readonly RunningServer[],
  line: Line,
  undo: (() => unknown)[],
): Promise<number[]> {
  return Promise.all(
    members.map(async member => {
      const proxy = await TcpProxy.open(member.port, line);
      undo.push(() => proxy.close());
      return proxy.port;
    }),
  );
}

async function createKey({ mysqlUrl }: Deployment): Promise<string> {
  const database = new Database({ url: mysqlUrl }, { ...parseSettings(), connections: 1 });
  try {
    return (await new KeyStore(database).create('torture', { scopes: ['write'] }, null)).key;
  } finally {
    await database.close();
  }
}
