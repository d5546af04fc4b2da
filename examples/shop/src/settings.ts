/** Addresses and keys of the shop; the only file that reads the environment. */
import { readFileSync } from 'node:fs';

const environment = process.env;

/** A secret from the file that NAME_FILE names, as container platforms provide them, else from NAME. */
function secret(name: string): string | undefined {
  const path = environment[`${name}_FILE`];
  return path ? readFileSync(path, 'utf8').trimEnd() : environment[name];
}

/** Whether connections to MySQL are encrypted: `1` trusts the authorities of Node, `rds` those of Amazon RDS. */
function mysqlTls(): boolean | 'rds' {
  const text = environment.MYSQL_TLS ?? '0';
  if (text === 'rds') return text;
  if (text === '0' || text === '1') return text === '1';
  throw new Error(`MYSQL_TLS must be 0, 1 or rds, not ${JSON.stringify(text)}.`);
}

const password = (name: string) => {
  const text = secret(name);
  return text === undefined ? {} : { password: text };
};

export const settings = {
  host: environment.HOST ?? '127.0.0.1',
  port: Number(environment.PORT ?? 3000),
  /** A separate port, since metrics are not for callers. 9464 may belong to a worker on the same machine. */
  metricsPort: Number(environment.METRICS_PORT ?? 9465),
  /** Sluice's Redis, with `noeviction`: also for jobs, sessions and limits, of which none may be evicted. */
  redis: { url: environment.REDIS_URL ?? 'redis://127.0.0.1', ...password('REDIS_PASSWORD') },
  /**
   * The cache's own Redis, with `allkeys-lru`. One Redis cannot be both: under `noeviction` a full cache refuses
   * counts, and under `allkeys-lru` it evicts counts that are not in MySQL yet.
   */
  cacheRedis: {
    url: environment.CACHE_REDIS_URL ?? 'redis://127.0.0.1:6380',
    ...password('CACHE_REDIS_PASSWORD'),
  },
  /** Prefix of Sluice's keys and of the shop's queues; workers have the same. */
  namespace: environment.SLUICE_NAMESPACE ?? 'sluice',
  /** Of the deployment, as its workers have it; 4 by default. */
  partitions: Number(environment.SLUICE_PARTITIONS ?? 4),
  mysql: {
    url: environment.MYSQL_URL ?? 'mysql://root@127.0.0.1/app',
    ...password('MYSQL_PASSWORD'),
    tls: mysqlTls(),
  },
  /** Connections of each process to MySQL for the shop's own tables; Sluice has its own. */
  connections: Number(environment.CONNECTIONS ?? 10),
  /** Signs the session's cookie; the same in all processes, at least 32 characters. */
  sessionSecret: secret('SESSION_SECRET') ?? 'only for a machine of your own, never for others',
  /** Callers of `POST /cache/clear` and of other routes of the operators send it as `x-admin-key`. Without one nobody may. */
  adminKey: secret('ADMIN_KEY'),
  /** Whether the session's cookie is for HTTPS only. Off for plain HTTP on a machine of your own. */
  secureCookies: environment.SECURE_COOKIES === '1',
  /** Networks of the balancers, `10.0.0.0/16`: only their `X-Forwarded-For` says who the caller is. */
  trustedProxies: environment.TRUSTED_PROXIES,
  /** Posts of authors with more followers are not put into feeds, but read with them. */
  followersLimit: Number(environment.FOLLOWERS_LIMIT ?? 10_000),
  /** Posts that a feed keeps. */
  feedLength: Number(environment.FEED_LENGTH ?? 1000),
  /** Users that get the yearly bonus together. */
  bonusPage: Number(environment.BONUS_PAGE ?? 1000),
  /** After this time, another process takes the job of one that died. */
  jobLockMs: Number(environment.JOB_LOCK_MS ?? 30_000),
} as const;

export type Settings = typeof settings;
