/** Connections to Redis or Valkey (standalone, TLS, Sentinel, Cluster), the scripts, and the check at start. */
import { readFileSync } from 'node:fs';
import { Cluster, Redis } from 'ioredis';
import {
  AccessDeniedError,
  NewerFormatError,
  PartitionCountError,
  RedisOutOfMemoryError,
  RedisUnavailableError,
  RedisUnsuitableError,
  type SluiceError,
} from './errors.ts';
import { mend } from './ioredis.ts';
import { type Keys, REDIS_FORMAT } from './keys.ts';
import { parseRedisUrl, type RedisLocation } from './redis-url.ts';

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
  const { scheme, secure, hosts, options, path } = parseRedisUrl(location);
  const common = {
    ...options,
    lazyConnect: true,
    maxRetriesPerRequest: null,
    connectTimeout: 5000,
    // A connection that fell silent without being closed is opened anew.
    socketTimeout: socketTimeoutMs,
    // Who leaves a server that stands still waits no longer for it to close its side.
    disconnectTimeout: 500,
    // Restarted, Redis guesses how long it will load, at first wrongly, and ioredis would wait for up to ten seconds.
    maxLoadingRetryTime: 250,
    retryStrategy: (attempt: number) =>
      Math.min(1000, 25 * 2 ** Math.min(attempt, 6)) * (0.5 + Math.random() / 2),
    // After a failover the old primary answers READONLY: connect anew, then send again (scripts recognise repeats).
    reconnectOnError: (error: Error) => (replyCode(error) === 'READONLY' ? (2 as const) : false),
    ...(secure ? { tls: location.caFile ? { ca: readFileSync(location.caFile) } : {} } : {}),
  };
  let connection: RedisConnection;
  if (scheme === 'cluster') {
    const { lazyConnect, retryStrategy: _, ...redisOptions } = common;
    connection = new Cluster(hosts, {
      lazyConnect,
      redisOptions,
      clusterRetryStrategy: attempt => Math.min(1000, 25 * 2 ** Math.min(attempt, 6)),
      // Certificates name hosts, so the addresses that CLUSTER SLOTS gives must not be resolved first.
      ...(secure ? { dnsLookup: (address, callback) => callback(null, address) } : {}),
    });
  } else if (scheme === 'sentinel') {
    connection = new Redis({
      ...common,
      sentinels: hosts,
      name: path,
      // A primary that Sentinels have replaced while it was alive goes on taking writes, which are lost, for about ten
      // seconds: whoever is connected to it leaves as soon as the Sentinels say so.
      failoverDetector: true,
      // Without this, ioredis speaks plain text to the Sentinels and to the primary.
      ...(common.tls ? { enableTLSForSentinelMode: true, sentinelTLS: common.tls } : {}),
    });
  } else {
    connection = new Redis({ ...common, ...hosts[0]! });
  }
  tellFailures(connection, onError);
  mend(connection, scheme === 'sentinel');
  return connection;
}

/** A connection that the other side closes before anything is written ends without an error. */
function tellFailures(connection: RedisConnection, onError: ConnectionErrorListener): void {
  let isTold = false;
  connection.on('error', error => {
    isTold = true;
    onError(error);
  });
  connection.on('reconnecting', () => {
    if (!isTold) onError(new Error('the connection was closed'));
    isTold = false;
  });
}

/** Connects, at most `timeoutMs`. @throws RedisUnavailableError, AccessDeniedError */
export async function connectRedis(
  connection: RedisConnection,
  place: string,
  timeoutMs = 5000,
): Promise<void> {
  let lastError: Error | undefined;
  const note = (error: Error) => {
    lastError = error;
  };
  connection.on('error', note);
  let timer: NodeJS.Timeout | undefined;
  try {
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(lastError ?? new Error('no connection in time')), timeoutMs);
    });
    const refused = new Promise<never>((_, reject) => {
      connection.on('error', error => {
        if (isDenied(error)) reject(error);
      });
    });
    refused.catch(() => {});
    const connected =
      connection.status === 'wait'
        ? connection.connect().catch(error => Promise.reject(lastError ?? error))
        : Promise.resolve();
    await Promise.race([connected.then(() => connection.ping()), late, refused]);
  } catch (error) {
    connection.disconnect();
    throw redisError(error, place);
  } finally {
    clearTimeout(timer);
    connection.off('error', note);
  }
}

/** The code that opens every error reply of Redis (`OOM`, `NOAUTH`, `READONLY`, ...), which is its protocol's stable part. */
export function replyCode(error: unknown): string | undefined {
  const cause = error instanceof Error ? error : undefined;
  if (cause?.name !== 'ReplyError' && cause?.constructor?.name !== 'ReplyError') return undefined;
  return /^[A-Z]+/.exec(cause.message)?.[0];
}

function isDenied(error: unknown): boolean {
  return ['NOAUTH', 'WRONGPASS', 'NOPERM'].includes(replyCode(error) ?? '');
}

/** Turns an error of ioredis into one of ours; anything not recognised counts as Redis being unavailable. */
export function redisError(error: unknown, place: string): SluiceError {
  if (isDenied(error)) return new AccessDeniedError('Redis', place, { cause: error });
  if (replyCode(error) === 'OOM') return new RedisOutOfMemoryError({ cause: error });
  return new RedisUnavailableError(place, { cause: error });
}

/**
 * Refuses a Redis that may evict, is too old, is a Cluster's and not addressed as one, or holds data of another format or
 * another number of partitions; records format and partitions where none are recorded.
 * @throws RedisUnsuitableError, NewerFormatError, PartitionCountError
 */
export async function checkRedis(connection: RedisConnection, keys: Keys, place: string): Promise<void> {
  for (const info of await infoOfPrimaries(connection, 'everything'))
    checkServer(info, place, connection instanceof Cluster);
  // Writes only where nothing is recorded: a worker must be able to start, and drain, when Redis is full.
  let [format, partitions] = await connection.hmget(keys.format, 'format', 'partitions');
  if (!format || !partitions) {
    await connection.hsetnx(keys.format, 'partitions', keys.partitions);
    await connection.hsetnx(keys.format, 'format', REDIS_FORMAT);
    [format, partitions] = await connection.hmget(keys.format, 'format', 'partitions');
  }
  if (Number(format) > REDIS_FORMAT) throw new NewerFormatError('Redis', Number(format), REDIS_FORMAT);
  if (Number(format) < REDIS_FORMAT)
    throw new RedisUnsuitableError(
      `Redis at ${place} has data of format ${format}, this version of Sluice knows ${REDIS_FORMAT}. Let the version that wrote it ` +
        `flush everything, stop it, and delete the keys of the namespace (${keys.format} and {${keys.namespace}:*}*).`,
    );
  if (Number(partitions) !== keys.partitions)
    throw new PartitionCountError(keys.partitions, Number(partitions), 'Redis');
}

/** What INFO answers on every primary. */
export async function infoOfPrimaries(connection: RedisConnection, section: string): Promise<string[]> {
  const nodes = connection instanceof Cluster ? connection.nodes('master') : [connection];
  return Promise.all(nodes.map(node => node.info(section)));
}

export function infoField(info: string, name: string): string | undefined {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1];
}

/**
 * @param info what INFO answered
 * @param asCluster whether it is addressed as part of a Cluster
 * @throws RedisUnsuitableError
 */
export function checkServer(info: string, place: string, asCluster: boolean): void {
  const version = infoField(info, 'redis_version') ?? '0';
  if (Number.parseInt(version, 10) < 7) {
    throw new RedisUnsuitableError(
      `Redis at ${place} is version ${version}; Sluice needs Redis 7 or newer, or Valkey.`,
    );
  }
  const policy = infoField(info, 'maxmemory_policy');
  if (policy !== undefined && policy !== 'noeviction') {
    throw new RedisUnsuitableError(
      `Redis at ${place} has maxmemory-policy ${policy} and may evict updates that are not in the database; set it to noeviction.`,
    );
  }
  // Lua writes whole numbers with as many bits as the machine has, and sums need 53.
  if (infoField(info, 'arch_bits') === '32')
    throw new RedisUnsuitableError(`Redis at ${place} runs on 32 bits; Sluice needs 64.`);
  // Scripts declare all their keys only where slots may move.
  if (!asCluster && infoField(info, 'cluster_enabled') === '1') {
    throw new RedisUnsuitableError(
      `Redis at ${place} is part of a Cluster; use redis+cluster://${place}, or rediss+cluster://, also where it has one node.`,
    );
  }
}

type ScriptCall<Reply> = (stateKey: string, ...args: (string | number)[]) => Promise<Reply>;

/** A script: called with the partition's state key and its arguments. */
export interface Script<Reply> extends ScriptCall<Reply> {
  /** The same on another connection. */
  on(connection: RedisConnection): ScriptCall<Reply>;
}

/**
 * The keys of a partition beside its state, live values and last replies. Scripts derive them from the state's name, but in a
 * Cluster they are declared all the same: while it moves their slot, Redis then refuses the call (TRYAGAIN) before the
 * script starts, instead of stopping it at the first key that has moved, with half of its writes done.
 */
const SIBLINGS = [
  'armed',
  'counters',
  'order',
  'accounts',
  'entries',
  'ids',
  'entryIds',
  'counterIds',
  'idMarks',
  'segment:counters',
  'segment:order',
  'segment:accounts',
];

/** Loads the Lua file beside the calling module and defines it on the connection under its own name. */
export function defineScript<Reply>(connection: RedisConnection, name: string, file: URL): Script<Reply> {
  const command = `sluice_${name}`;
  const lua = readFileSync(file, 'utf8');
  // Elsewhere no slot moves (see checkServer), and a dozen names more would cost a small call a tenth of its time.
  const declared = connection instanceof Cluster ? SIBLINGS : [];
  const siblings = new Map<string, string[]>();
  const on = (target: RedisConnection): ScriptCall<Reply> => {
    const commands = target as unknown as Record<string, (...args: (string | number)[]) => Promise<Reply>>;
    if (!(command in commands)) target.defineCommand(command, { numberOfKeys: 1 + declared.length, lua });
    return (stateKey, ...args) => {
      let others = siblings.get(stateKey);
      if (!others) {
        others = declared.map(sibling => stateKey.slice(0, -'state'.length) + sibling);
        siblings.set(stateKey, others);
      }
      return commands[command]!(stateKey, ...others, ...args);
    };
  };
  return Object.assign(on(connection), { on });
}
