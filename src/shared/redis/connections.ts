/** Connections to Redis or Valkey: standalone, TLS, Sentinel, Cluster. */
import { readFileSync } from 'node:fs';
import { Cluster, type Redis } from 'ioredis';
import type { SluiceError } from '../errors.ts';
import { currentPassword } from '../password.ts';
import { redisError, replyCode } from './errors.ts';
import { GuardedRedis } from './guarded-redis.ts';
import { mend } from './ioredis.ts';
import { parseRedisUrl, type RedisLocation } from './url.ts';

export type RedisConnection = Redis | Cluster;

/** Longer than BullMQ's worker blocks. */
const SOCKET_TIMEOUT_MS = 15_000;

/** Called each time a connection fails or is closed by the server; it reconnects by itself. */
export type ConnectionErrorListener = (error: Error) => void;

/** @throws ConfigurationError if the URL has no known form */
export function openRedis(
  location: RedisLocation,
  onError: ConnectionErrorListener,
  socketTimeoutMs = SOCKET_TIMEOUT_MS,
): RedisConnection {
  const { scheme, secure, hosts, options, name } = parseRedisUrl(location);
  const common = {
    ...options,
    ...(typeof location.password === 'function' ? { currentPassword: location.password } : {}),
    lazyConnect: true,
    maxRetriesPerRequest: null,
    connectTimeout: 5000,
    // A silent connection is opened again.
    socketTimeout: socketTimeoutMs,
    // How long to wait for a frozen server to close its side.
    disconnectTimeout: 500,
    // Redis first gives a wrong estimate of its loading time, and ioredis would wait for up to ten seconds.
    maxLoadingRetryTime: 250,
    ...reconnection(),
    ...(secure ? { tls: location.caFile ? { ca: readFileSync(location.caFile) } : {} } : {}),
  };
  let connection: RedisConnection;
  if (scheme === 'cluster') {
    const { lazyConnect, retryStrategy: _, ...redisOptions } = common;
    connection = new Cluster(hosts, {
      lazyConnect,
      redisOptions,
      clusterRetryStrategy: backoff,
      // Certificates name hosts, so the host names of CLUSTER SLOTS must not be resolved first.
      ...(secure ? { dnsLookup: (address, callback) => callback(null, address) } : {}),
    });
  } else if (scheme === 'sentinel') {
    const { sentinelUsername, sentinelPassword } = location;
    connection = new GuardedRedis({
      ...common,
      sentinels: hosts,
      name,
      sentinelUsername,
      ...(sentinelPassword ? { sentinelPassword: currentPassword(sentinelPassword) } : {}),
      ...(typeof sentinelPassword === 'function' ? { currentSentinelPassword: sentinelPassword } : {}),
      // A replaced primary that is still alive takes writes for about ten seconds, and they are lost. With
      // this, ioredis disconnects as soon as the Sentinels announce the new primary.
      failoverDetector: true,
      // Without this, ioredis sends plain text to the Sentinels and to the primary.
      ...(common.tls ? { enableTLSForSentinelMode: true, sentinelTLS: common.tls } : {}),
    });
  } else {
    connection = new GuardedRedis({ ...common, ...hosts[0]! });
  }
  tellFailures(connection, onError);
  mend(connection, scheme === 'sentinel', location.password);
  return connection;
}

const BACKOFF_CAP_MS = 1000;
const backoff = (attempt: number) => Math.min(BACKOFF_CAP_MS, 25 * 2 ** Math.min(attempt, 6));

/** Errors within this time come from commands that were sent together, ms. */
const TOGETHER_MS = 20;
const READONLY_MEMORY_MS = 5000;

/**
 * After a failover the old primary answers READONLY. The client reconnects and resends the command, since
 * scripts recognise repetitions. If READONLY keeps coming, for example behind a wrong proxy, it backs off.
 */
function reconnection() {
  let strikes = 0;
  let struckAt = Number.NEGATIVE_INFINITY;
  return {
    reconnectOnError: (error: Error) => {
      if (replyCode(error) !== 'READONLY') return false;
      const sinceMs = performance.now() - struckAt;
      if (sinceMs > READONLY_MEMORY_MS) strikes = 0;
      if (sinceMs > TOGETHER_MS) strikes++;
      struckAt = performance.now();
      return 2 as const;
    },
    retryStrategy: (attempt: number) => {
      const again = performance.now() - struckAt > READONLY_MEMORY_MS ? 0 : strikes;
      return backoff(Math.max(attempt, again)) * (0.5 + Math.random() / 2);
    },
  };
}

const failures = new WeakMap<RedisConnection, Error>();

/** The error of an unanswered call, with the reason why the connection fails, if that is known. */
export function unavailable(connection: RedisConnection, address: string, details: { cause?: unknown } = {}) {
  return redisError(failures.get(connection) ?? details.cause, address);
}

/** If the server closes a connection before anything is written, ioredis raises no error. */
function tellFailures(connection: RedisConnection, onError: ConnectionErrorListener): void {
  let isTold = false;
  const tell = (error: Error) => {
    failures.set(connection, error);
    onError(error);
  };
  connection.on('ready', () => failures.delete(connection));
  connection.on('error', error => {
    isTold = true;
    tell(error);
  });
  connection.on('reconnecting', () => {
    if (!isTold) tell(new Error('the connection was closed'));
    isTold = false;
  });
}

/**
 * Connects within `timeoutMs`.
 * @throws RedisUnavailableError, which may pass by itself; RedisUnsuitableError, AccessDeniedError
 */
export async function connectRedis(
  connection: RedisConnection,
  address: string,
  timeoutMs = 5000,
): Promise<void> {
  let lastError: SluiceError | undefined;
  let refuse: (error: SluiceError) => void = () => {};
  const note = (error: Error) => {
    lastError = redisError(error, address);
    // Errors of Sentinels come repeatedly and do not end the attempt to connect.
    if (!lastError.retryable) refuse(lastError);
  };
  connection.on('error', note);
  let timer: NodeJS.Timeout | undefined;
  try {
    const late = new Promise<never>((_, reject) => {
      refuse = reject;
      timer = setTimeout(() => reject(lastError ?? notInTime()), timeoutMs);
    });
    late.catch(() => {});
    const connected =
      connection.status === 'wait'
        ? connection.connect().catch(error => Promise.reject(lastError ?? error))
        : Promise.resolve();
    await Promise.race([connected.then(() => connection.ping()), late]);
  } catch (error) {
    connection.disconnect();
    throw redisError(error, address);
  } finally {
    clearTimeout(timer);
    connection.off('error', note);
  }
}

function notInTime(): Error {
  return Object.assign(new Error('no connection in time'), { code: 'ETIMEDOUT' });
}
