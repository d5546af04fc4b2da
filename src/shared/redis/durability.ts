/** How safe a write must be before it counts as confirmed, and whether the servers can provide that. */
import {
  ConfigurationError,
  RedisUnsuitableError,
  type SluiceError,
  TooFewReplicasError,
} from '../errors.ts';
import { infoField, infoOfPrimaries } from './check.ts';
import type { RedisConnection } from './connections.ts';

/** A confirmed write is in the server's memory, also in a replica's, or in the append-only file on disk. */
export const DURABILITIES = ['memory', 'replica', 'fsync'] as const;
export type Durability = (typeof DURABILITIES)[number];

/** For claims; `auto` is `replica` if there is one, else `memory`. */
export const CLAIM_DURABILITIES = ['auto', ...DURABILITIES] as const;
export type ClaimDurability = (typeof CLAIM_DURABILITIES)[number];

/** @throws ConfigurationError */
export function parseDurability<Choice extends string>(
  value: string,
  name: string,
  choices: readonly Choice[],
): Choice {
  const found = choices.find(choice => choice === value);
  if (found) return found;
  // Without the value, which may be a secret in the wrong variable.
  throw new ConfigurationError(`${name} must be one of ${choices.join(', ')}.`);
}

/** Smallest number of connected replicas of any primary. */
export async function countReplicas(redis: RedisConnection): Promise<number> {
  const infos = await infoOfPrimaries(redis, 'replication');
  return Math.min(...infos.map(info => Number(infoField(info, 'connected_slaves') ?? 0)));
}

/** What servers lack for a durability. */
type Lack = { readonly replicas: number } | 'disk';

/** Undefined if every primary can give the durability now. @param replicas how many must confirm */
export async function findLack(
  redis: RedisConnection,
  durability: Durability,
  replicas: number,
): Promise<Lack | undefined> {
  if (durability === 'memory') return undefined;
  if (durability === 'replica') {
    const found = await countReplicas(redis);
    return found < replicas ? { replicas: found } : undefined;
  }
  const infos = await infoOfPrimaries(redis, 'everything');
  return infos.every(hasDiskBarrier) ? undefined : 'disk';
}

function hasDiskBarrier(info: string): boolean {
  const [major = 0, minor = 0] = (infoField(info, 'redis_version') ?? '0').split('.').map(Number);
  return infoField(info, 'aof_enabled') === '1' && (major > 7 || (major === 7 && minor >= 2));
}

/**
 * The error of a call with a durability that the servers lack something for. A replica may only be away, as after a
 * failover, so the call may be repeated; the disk does not come by itself.
 */
export function lackAtCall(lack: Lack, replicas: number, address: string): SluiceError {
  return lack === 'disk' ? noDisk(address) : new TooFewReplicasError(address, lack.replicas, replicas);
}

/**
 * Refuses the start of a process with a durability that the servers cannot give.
 * @param replicas how many must confirm
 * @throws RedisUnsuitableError
 */
export async function checkDurability(
  redis: RedisConnection,
  durability: Durability,
  replicas: number,
  address: string,
): Promise<void> {
  const lack = await findLack(redis, durability, replicas);
  if (lack === undefined) return;
  if (lack === 'disk') throw noDisk(address);
  throw new RedisUnsuitableError(
    `Redis at ${address} has a primary with ${lack.replicas} replicas, and durability "replica" needs ${replicas}; add replicas, lower barrierReplicas, or choose another durability.`,
  );
}

function noDisk(address: string): RedisUnsuitableError {
  return new RedisUnsuitableError(
    `Redis at ${address} cannot confirm that data is on disk; durability "fsync" needs version 7.2 or newer and appendonly yes.`,
  );
}
