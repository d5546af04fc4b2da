/**
 * What a torture runs on: Redis in one of three topologies, a database, a migrated schema with a user that has the
 * documented rights only, and proxies between the processes and the servers.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createPool, type Pool } from 'mysql2/promise';
import { migrate } from '../../src/shared/migrate.ts';
import { Database } from '../../src/shared/mysql.ts';
import { parseSettings } from '../../src/shared/settings.ts';
import { readRights } from '../../test/support/rights.ts';
import type { Place } from '../load/processes.ts';
import { type RunningServer, startMysql } from '../servers.ts';
import type { DatabaseName, TopologyName } from './options.ts';
import { Line, TcpProxy } from './proxy.ts';
import { type RedisSide, startRedisSide } from './redis-side.ts';
import { definitions, partitions } from './traffic.ts';

export const namespace = 'torture';
const databaseName = 'torture';
const user = 'sluice';
const password = 'torture';

/** The workers' connections to a server, and the producers'. */
export interface Lines {
  readonly workers: Line;
  readonly producers: Line;
}

export interface Stack {
  readonly folder: string;
  readonly database: DatabaseName;
  readonly redis: RedisSide;
  readonly mysql: RunningServer;
  /** As root, beside every proxy. */
  readonly root: Pool;
  readonly mysqlLines: Lines;
  readonly workers: Place;
  readonly producers: Place;
  /** Without proxies before the database, for whoever looks. */
  readonly direct: Place;
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
  try {
    const starting = [
      startRedisSide(topology, database, join(folder, 'redis')),
      startMysql({ flavour: database, directory: join(folder, 'mysql') }),
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
    const [redis, mysql] = await Promise.all(starting);
    await prepareDatabase(mysql);
    const root = createPool({ uri: `${mysql.url}/${databaseName}`, connectionLimit: 4 });
    undo.push(() => root.end().catch(() => {}));
    const mysqlLines: Lines = { workers: new Line(), producers: new Line() };
    const ports = await Promise.all(
      [mysqlLines.workers, mysqlLines.producers].map(async line => {
        const proxy = await TcpProxy.open(mysql.port, line);
        undo.push(() => proxy.close());
        return proxy.port;
      }),
    );
    const config = join(folder, 'sluice.config.json');
    writeFileSync(config, JSON.stringify(definitions));
    const place = (mysqlPort: number): Place => ({
      redisUrl: redis.url,
      mysqlUrl: `mysql://${user}:${password}@127.0.0.1:${mysqlPort}/${databaseName}`,
      namespace,
      config,
    });
    return {
      folder,
      database,
      redis,
      mysql,
      root,
      mysqlLines,
      workers: place(ports[0]!),
      producers: place(ports[1]!),
      direct: place(mysql.port),
      stop,
    };
  } catch (error) {
    await stop().catch(() => {});
    throw error;
  }
}

async function prepareDatabase(mysql: RunningServer): Promise<void> {
  const limits = { ...parseSettings(), connections: 1 };
  const server = new Database({ url: `${mysql.url}/mysql` }, limits);
  await server.query(`CREATE DATABASE ${databaseName}`);
  // Of the torture's own: rows that make its transactions heavy.
  await server.query('CREATE DATABASE scratch');
  await server.query('CREATE TABLE scratch.ballast (n BIGINT NOT NULL) ENGINE = InnoDB');
  await server.query(`CREATE USER '${user}'@'%' IDENTIFIED BY '${password}'`);
  for (const grant of readRights(namespace, databaseName).mysql) await server.query(grant);
  await server.close();
  const own = new Database({ url: `${mysql.url}/${databaseName}` }, limits);
  await migrate(own, partitions);
  await own.close();
}
