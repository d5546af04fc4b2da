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

const number = (name: string, otherwise: number) => Number(environment[name] ?? otherwise);

/** One of these texts; the first one if the environment names none. */
function choice<const T extends string>(name: string, choices: readonly [T, ...T[]]): T {
  const text = environment[name] ?? choices[0];
  const chosen = choices.find(one => one === text);
  if (chosen === undefined) throw new Error(`${name} is "${text}"; use one of: ${choices.join(', ')}`);
  return chosen;
}

export const settings = {
  host: environment.HOST ?? '127.0.0.1',
  port: Number(environment.PORT ?? 3000),
  /** After SIGTERM, open requests have this time, ms. Shorter than the platform waits before it kills. */
  closingMs: Number(environment.CLOSING_MS ?? 10_000),
  /**
   * A separate port, since metrics are not for callers. 9464 may belong to a worker on the same machine. Processes of
   * the API and of jobs on one machine need different ones.
   */
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
  cache: {
    /** How long data is fresh, ms, by its kind. `jitter` is the share of it by which a lifetime may be shorter. */
    freshMs: {
      product: number('PRODUCT_FRESH_MS', 3_600_000),
      list: number('LIST_FRESH_MS', 300_000),
      user: number('USER_FRESH_MS', 86_400_000),
      rate: number('RATE_FRESH_MS', 60_000),
    },
    jitter: number('CACHE_JITTER', 0.1),
    /** That there is no such product is believed only shortly: it may be added at any moment. */
    notFoundMs: number('NOT_FOUND_MS', 10_000),
    /** How long data is kept after that, for answers while MySQL is away. That there is none is not kept for them. */
    staleMs: number('STALE_MS', 86_400_000),
    /** How many entries a process keeps in its own memory, and for how long without asking Redis. */
    localEntries: number('LOCAL_ENTRIES', 10_000),
    localMs: number('LOCAL_MS', 30_000),
    /** What `PUT` does with the entry: it is dropped, or dropped and loaded at once. */
    write: choice('CACHE_WRITE', ['invalidate', 'write-through']),
    /** Who loads an entry that many ask for: one of all processes, one of each process, or every caller. */
    stampede: choice('STAMPEDE', ['lock', 'process', 'none']),
    /** Whether an entry in use is loaded again before its end: by chance (XFetch), in its last tenth, or never. */
    early: choice('EARLY_REFRESH', ['chance', 'ahead', 'none']),
    /** A load takes at most this time, ms, and so does a lock. */
    loadMs: number('LOAD_MS', 3000),
    /** Loads of a process at the same time, and calls that wait for one, at most `loadMs`; others get 503. */
    loads: number('LOADS', 8),
    waitingLoads: number('WAITING_LOADS', 5000),
    /** At start: so many of the most viewed products, and the start waits at most so long, ms. */
    warmUp: number('WARM_UP', 500),
    warmUpMs: number('WARM_UP_MS', 2000),
  },
  /** Prefix of Sluice's keys and of the shop's queues; workers have the same. */
  namespace: environment.SLUICE_NAMESPACE ?? 'sluice',
  /** Number of partitions, the same as that of the workers; 4 by default. */
  partitions: Number(environment.SLUICE_PARTITIONS ?? 4),
  mysql: {
    url: environment.MYSQL_URL ?? 'mysql://root@127.0.0.1/app',
    ...password('MYSQL_PASSWORD'),
    tls: mysqlTls(),
  },
  /** Connections of each process to MySQL for the shop's own tables; Sluice has its own. */
  connections: Number(environment.CONNECTIONS ?? 10),
  /** Callers that wait for one of them; others get 503. */
  waitingStatements: number('WAITING_STATEMENTS', 1000),
  /** A statement takes at most this time, ms, and so does the wait for a connection; then its caller gets 503. */
  statementMs: number('STATEMENT_MS', 3000),
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
  /** After this time without a change, the sweep finishes a payment: longer than any request runs. */
  paymentGraceMs: Number(environment.PAYMENT_GRACE_MS ?? 30_000),
  /**
   * The outside API of exchange rates; `npm run stub` stands for it. How long a call may take, and how long nothing is
   * asked after failures, ms: longer than the cache's own pause.
   */
  outsideUrl: environment.OUTSIDE_URL ?? 'http://127.0.0.1:4010',
  outsideTimeoutMs: number('OUTSIDE_TIMEOUT_MS', 1000),
  outsidePauseMs: number('OUTSIDE_PAUSE_MS', 5000),
} as const;

export type Settings = typeof settings;

/** What to do if another process has a port. @param name the variable that says which port to take */
export function orSayTaken(name: string, port: number) {
  return (cause: NodeJS.ErrnoException): never => {
    if (cause.code !== 'EADDRINUSE') throw cause;
    throw new Error(`Another process has port ${port}; set ${name} to another one.`, { cause });
  };
}
