/**
 * Two ways to a test's database and namespace: as the administrator, for what the test does itself (tables,
 * triggers, a look at every key), and as Sluice's users. On hostile pairings these have exactly the rights of
 * docs/rights.md; on the others both are the same.
 */
import { Redis } from 'ioredis';
import { inject } from 'vitest';
import { Database } from '../../src/shared/mysql/database.ts';
import { readMigrationRights, readRights } from './rights.ts';

export interface Servers {
  redisUrl: string;
  mysqlUrl: string;
}

export interface Access {
  readonly admin: Servers;
  /** For producers, workers and commands. */
  readonly user: Servers;
  /** URL of MySQL for `sluice migrate`. */
  readonly migratorUrl: string;
  /** Whether user and administrator differ, in Redis and in MySQL. */
  readonly separate: { readonly redis: boolean; readonly mysql: boolean };
  /** Gives the user the rights for a mapped table in another database. */
  reach(database: string): Promise<void>;
  /** Gives the user the rights for another namespace. */
  reachNamespace(namespace: string): Promise<void>;
  /** Drops the database and the users; all their connections must be closed before. */
  drop(): Promise<void>;
}

/** Has characters that both kinds of URL must escape. */
const PASSWORD = 'p:w@/d%';

/**
 * Creates the database and the users.
 * @param name of the database, the namespace and the users
 * @param servers instead of the project's; on these everybody is the administrator
 */
export async function openAccess(name: string, servers: Partial<Servers> = {}): Promise<Access> {
  const hostile = inject('hostile') === true;
  const separate = {
    redis: hostile && servers.redisUrl === undefined,
    mysql: hostile && servers.mysqlUrl === undefined,
  };
  const redisUrl = servers.redisUrl ?? inject('redisUrl');
  const server = servers.mysqlUrl ?? inject('mysqlUrl');
  const admin = { redisUrl, mysqlUrl: `${server}/${name}` };
  const rights = readRights(name, name);
  const asAdmin = (...statements: string[]) => runAsAdmin(server, statements);
  const createUser = (user: string) => `CREATE USER '${user}'@'%' IDENTIFIED BY '${PASSWORD}'`;
  const grants = (user: string, statements: string[]) =>
    statements.map(statement => statement.replace("'sluice'@", `'${user}'@`));
  const migrator = `${name}_m`;

  await asAdmin(`CREATE DATABASE ${name}`);
  if (separate.mysql)
    await asAdmin(
      createUser(name),
      ...grants(name, rights.mysql),
      createUser(migrator),
      ...grants(migrator, [...rights.mysql, readMigrationRights(name)]),
    );
  if (separate.redis)
    await callRedis(redisUrl, 'SETUSER', name, 'reset', 'on', `>${PASSWORD}`, ...rights.redis);

  return {
    admin,
    user: {
      redisUrl: separate.redis ? withUser(redisUrl, name) : redisUrl,
      mysqlUrl: separate.mysql ? withUser(admin.mysqlUrl, name) : admin.mysqlUrl,
    },
    migratorUrl: separate.mysql ? withUser(admin.mysqlUrl, migrator) : admin.mysqlUrl,
    separate,
    async reach(database) {
      if (separate.mysql) await asAdmin(`GRANT SELECT, INSERT, UPDATE ON ${database}.* TO '${name}'@'%'`);
    },
    async reachNamespace(namespace) {
      const { redis } = readRights(namespace, name);
      const patterns = redis.filter(rule => rule.startsWith('~'));
      if (separate.redis) await callRedis(redisUrl, 'SETUSER', name, ...patterns);
    },
    async drop() {
      const users = separate.mysql ? [`DROP USER '${name}'@'%', '${migrator}'@'%'`] : [];
      await asAdmin(`DROP DATABASE ${name}`, ...users);
      if (separate.redis) await callRedis(redisUrl, 'DELUSER', name);
    },
  };
}

async function runAsAdmin(server: string, statements: string[]): Promise<void> {
  const database = new Database(
    { url: `${server}/information_schema` },
    { connections: 1, idleTransactionSeconds: 60, lockWaitSeconds: 10 },
  );
  try {
    for (const statement of statements) await database.query(statement);
  } finally {
    await database.close();
  }
}

async function callRedis(url: string, ...words: [string, ...string[]]): Promise<void> {
  const redis = new Redis(url);
  try {
    await redis.call('ACL', ...words);
  } finally {
    redis.disconnect();
  }
}

function withUser(url: string, user: string): string {
  return url.replace(/^(\w+:\/\/)(?:[^@/]*@)?/, `$1${user}:${encodeURIComponent(PASSWORD)}@`);
}
