/** Whether a Redis is fit to keep what Sluice promises, and is the one that is meant: asked at each start. */
import { Cluster, type Redis } from 'ioredis';
import { pause } from '../clock.ts';
import { NewerFormatError, PartitionCountError, RedisUnsuitableError } from '../errors.ts';
import { type RedisConnection, unavailable } from './connections.ts';
import { redisError, replyCode } from './errors.ts';
import type { Keys } from './keys.ts';
import { type FormatField, formatFields, REDIS_FORMAT } from './layout.ts';
import { checkReplyLimit } from './reply-size.ts';

const ANSWER_MS = 5000;

/**
 * Refuses a Redis that may evict, is too old, hides commands, is a Cluster's and not addressed as one, or holds data of another
 * deployment, another format or another number of partitions; records these where none are recorded.
 * @param looks whether the process only looks: then nothing is recorded
 * @throws RedisUnsuitableError, NewerFormatError, PartitionCountError, RedisUnavailableError, AccessDeniedError
 */
export async function checkRedis(
  connection: RedisConnection,
  keys: Keys,
  address: string,
  looks = false,
): Promise<void> {
  const fits = async () => {
    for (const info of await infoOfPrimaries(connection, 'everything'))
      checkServer(info, address, connection instanceof Cluster);
    await checkScripts(connection);
    await checkReplyLimit(primariesOf(connection), address);
    await checkRecord(connection, keys, address, looks);
  };
  const answered = new AbortController();
  // By themselves, commands wait for a lost server for ever.
  const late = pause(ANSWER_MS, answered.signal).then(() => {
    throw unavailable(connection, address);
  });
  late.catch(() => {});
  try {
    await Promise.race([fits(), late]);
  } catch (error) {
    throw redisError(error, address);
  } finally {
    answered.abort();
  }
}

/** Scripts are called by EVALSHA, and by EVAL where Redis has forgotten them. */
async function checkScripts(connection: RedisConnection): Promise<void> {
  const known = (error: unknown) => {
    if (replyCode(error) !== 'NOSCRIPT') throw error;
  };
  await Promise.all(
    primariesOf(connection).flatMap(node => [
      node.evalsha('0'.repeat(40), 0).catch(known),
      node.eval('return 1', 0),
    ]),
  );
}

/** Writes only if something is not recorded: a worker must be able to start, and drain, when Redis is full. */
async function checkRecord(
  connection: RedisConnection,
  keys: Keys,
  address: string,
  looks: boolean,
): Promise<void> {
  if (check(await read(connection, keys), keys, address) || looks) return;
  const record = (field: FormatField, value: string | number) => connection.hsetnx(keys.format, field, value);
  // Of two first starts with two databases one is the first, and the other finds its name.
  await record('deployment', keys.deployment);
  check(await read(connection, keys), keys, address);
  await record('partitions', keys.partitions);
  await record('format', REDIS_FORMAT);
  check(await read(connection, keys), keys, address);
}

type Recorded = { readonly [Field in FormatField]: string | null };

async function read(connection: RedisConnection, keys: Keys): Promise<Recorded> {
  const fields = Object.keys(formatFields) as FormatField[];
  const found = await connection.hmget(keys.format, ...fields);
  return Object.fromEntries(fields.map((field, at) => [field, found[at] ?? null])) as Recorded;
}

/** Whether all is recorded. Throws where something is that does not fit. */
function check({ deployment, format, partitions }: Recorded, keys: Keys, address: string): boolean {
  if (Number(format) > REDIS_FORMAT) throw new NewerFormatError('Redis', Number(format), REDIS_FORMAT);
  if (deployment && deployment !== keys.deployment)
    throw anotherDeployment(`The data in Redis at ${address}`, keys, deployment);
  if (format && Number(format) < REDIS_FORMAT)
    throw new RedisUnsuitableError(
      `Redis at ${address} has data of format ${format}, but this version of Sluice knows only ${REDIS_FORMAT}. Flush everything with ` +
        `the version that wrote it, stop that version, and delete the keys of the namespace (${keys.format} and {${keys.namespace}:*}*).`,
    );
  if (partitions && Number(partitions) !== keys.partitions)
    throw new PartitionCountError(keys.partitions, Number(partitions), 'Redis');
  return Boolean(deployment && format && partitions);
}

/** What INFO answers on every primary. */
export async function infoOfPrimaries(connection: RedisConnection, section: string): Promise<string[]> {
  return Promise.all(primariesOf(connection).map(node => node.info(section)));
}

function primariesOf(connection: RedisConnection): Redis[] {
  return connection instanceof Cluster ? connection.nodes('master') : [connection];
}

export function infoField(info: string, name: string): string | undefined {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1];
}

/**
 * @param info what INFO answered
 * @param asCluster whether it is addressed as part of a Cluster
 * @throws RedisUnsuitableError
 */
export function checkServer(info: string, address: string, asCluster: boolean): void {
  const version = infoField(info, 'redis_version') ?? '0';
  if (Number.parseInt(version, 10) < 7) {
    throw new RedisUnsuitableError(
      `Redis at ${address} is version ${version}; Sluice needs Redis 7 or newer, or Valkey.`,
    );
  }
  const policy = infoField(info, 'maxmemory_policy');
  if (policy !== undefined && policy !== 'noeviction') {
    throw new RedisUnsuitableError(
      `Redis at ${address} has maxmemory-policy ${policy} and may evict updates that are not in the database; set it to noeviction.`,
    );
  }
  // Lua writes whole numbers with as many bits as the machine has, and sums need 53.
  if (infoField(info, 'arch_bits') === '32')
    throw new RedisUnsuitableError(`Redis at ${address} runs on 32 bits; use one on 64 bits.`);
  // Scripts declare all their keys only where slots may move.
  if (!asCluster && infoField(info, 'cluster_enabled') === '1') {
    throw new RedisUnsuitableError(
      `Redis at ${address} is part of a Cluster; use redis+cluster://${address}, or rediss+cluster://, also if it has one node.`,
    );
  }
}

/** For a process that finds another deployment's name in Redis. */
export function anotherDeployment(what: string, keys: Keys, found: string): RedisUnsuitableError {
  return new RedisUnsuitableError(
    `${what} of namespace ${keys.namespace} belongs to another deployment (${found}), which has another database ` +
      `than this one (${keys.deployment}). Nothing was changed. Give this deployment its own SLUICE_NAMESPACE, or its own ` +
      'database number in REDIS_URL. If the database was created anew on purpose, see docs/operating.md, "Another deployment".',
  );
}
