/** Checks at each start that a Redis can keep the promises of Sluice and belongs to this deployment. */
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
 * Refuses a Redis that may evict, is too old, hides commands, or is part of a Cluster but not addressed as
 * one. Also refuses data of another deployment, format or number of partitions. Records these three if they
 * are not recorded.
 * @param looks for commands that change nothing: nothing is recorded
 * @throws RedisUnsuitableError, NewerFormatError, PartitionCountError, RedisUnavailableError,
 * AccessDeniedError
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
  // Without this, commands would wait for a lost server for ever.
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

/** ioredis calls scripts with EVALSHA, and with EVAL if Redis has forgotten them. */
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

/** Writes only if something is not recorded yet: a worker must be able to start and drain a full Redis. */
async function checkRecord(
  connection: RedisConnection,
  keys: Keys,
  address: string,
  looks: boolean,
): Promise<void> {
  if (check(await read(connection, keys), keys, address) || looks) return;
  const record = (field: FormatField, value: string | number) => connection.hsetnx(keys.format, field, value);
  // If two deployments start at the same time, the first one wins and the other one finds its name.
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

/** Whether all three are recorded. @throws if a recorded one does not fit */
function check({ deployment, format, partitions }: Recorded, keys: Keys, address: string): boolean {
  if (Number(format) > REDIS_FORMAT) throw new NewerFormatError('Redis', Number(format), REDIS_FORMAT);
  if (deployment && deployment !== keys.deployment)
    throw anotherDeployment(`The data in Redis at ${address}`, keys, deployment);
  if (format && Number(format) < REDIS_FORMAT)
    throw anotherFormat(`Redis at ${address} has data`, keys, format);
  if (partitions && Number(partitions) !== keys.partitions)
    throw new PartitionCountError(keys.partitions, Number(partitions), 'Redis');
  return Boolean(deployment && format && partitions);
}

function anotherFormat(what: string, keys: Keys, format: string): RedisUnsuitableError {
  return new RedisUnsuitableError(
    `${what} of format ${format}, but this version of Sluice knows only ${REDIS_FORMAT}. Flush everything with the version ` +
      `that wrote it, stop that version, and delete the keys of the namespace (${keys.format} and {${keys.namespace}:*}*). ` +
      'Nothing was changed. What that does to ids: docs/operating.md, "Upgrade and rollback".',
  );
}

/** The answer of INFO on every primary. */
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
 * @param info the answer of INFO
 * @param asCluster whether the URL addresses a Cluster
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
  // Lua formats whole numbers with the bits of the machine, and sums need 53.
  if (infoField(info, 'arch_bits') === '32')
    throw new RedisUnsuitableError(`Redis at ${address} runs on 32 bits; use one on 64 bits.`);
  // Scripts declare all their keys only on Cluster connections, whose slots may move.
  if (!asCluster && infoField(info, 'cluster_enabled') === '1') {
    throw new RedisUnsuitableError(
      `Redis at ${address} is part of a Cluster; use redis+cluster://${address}, or rediss+cluster://, also if it has one node.`,
    );
  }
}

/**
 * The error of a process that finds another name in Redis than its own.
 * @param found the name of a deployment, or of the owner of a partition, which has a format too
 */
export function anotherDeployment(what: string, keys: Keys, found: string): RedisUnsuitableError {
  // Until format 4 a state had no format.
  const [, name = found, format = '4'] = /^(.*)\/(\d+)$/.exec(found) ?? [];
  if (name === keys.deployment)
    return anotherFormat(`${what} of namespace ${keys.namespace} has a state`, keys, format);
  return new RedisUnsuitableError(
    `${what} of namespace ${keys.namespace} belongs to another deployment (${name}), which has another database ` +
      `than this one (${keys.deployment}). Nothing was changed. Give this deployment its own SLUICE_NAMESPACE, or its own ` +
      'database number in REDIS_URL. If the database was created anew on purpose, see docs/operating.md, "Another deployment".',
  );
}
