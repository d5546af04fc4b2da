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

/** Above the longest time that BullMQ's worker blocks. */
const SOCKET_TIMEOUT_MS = 15_000;

/** Called each time a connection fails or is closed by the other side; reconnecting goes on by itself. */
export type ConnectionErrorListener = (error: Error) => void;

/** @throws ConfigurationError where the URL is not of a known form. */
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
    // A connection that fell silent without being closed is opened anew.
    socketTimeout: socketTimeoutMs,
    // Who leaves a server that stands still waits no longer for it to close its side.
    disconnectTimeout: 500,
    // Restarted, Redis guesses how long it will load, at first wrongly, and ioredis would wait for up to ten seconds.
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
      // Certificates name hosts, so the addresses that CLUSTER SLOTS gives must not be resolved first.
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
      // A primary that Sentinels have replaced while it was alive goes on taking writes, which are lost, for about ten
      // seconds: whoever is connected to it leaves as soon as the Sentinels say so.
      failoverDetector: true,
      // Without this, ioredis speaks plain text to the Sentinels and to the primary.
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

/** Within so many ms, errors come from commands that were sent together. */
const TOGETHER_MS = 20;
const READONLY_MEMORY_MS = 5000;

/**
 * After a failover the old primary answers READONLY: connect anew, then send again (scripts recognise repeats). A server
 * that does so again and again, as behind a proxy that mixes up its servers, is asked ever more slowly.
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

/** What an unanswered call means: why the connection cannot be made, if that is known. */
export function unavailable(connection: RedisConnection, address: string, details: { cause?: unknown } = {}) {
  return redisError(failures.get(connection) ?? details.cause, address);
}

/** A connection that the other side closes before anything is written ends without an error. */
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
 * Connects, at most `timeoutMs`.
 * @throws RedisUnavailableError, which waiting may cure; RedisUnsuitableError, AccessDeniedError, which it does not
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
    // Those of a Sentinel come again and again, and end no attempt.
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
