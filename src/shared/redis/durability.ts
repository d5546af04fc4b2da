/** How safe a write must be before it counts as confirmed, and whether the servers can provide that. */
import { ConfigurationError, RedisUnsuitableError } from '../errors.ts';
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

/**
 * Refuses a durability that the servers cannot give.
 * @param replicas how many must confirm
 * @throws RedisUnsuitableError
 */
export async function checkDurability(
  redis: RedisConnection,
  durability: Durability,
  replicas: number,
  address: string,
): Promise<void> {
  if (durability === 'replica') {
    const found = await countReplicas(redis);
    if (found >= replicas) return;
    throw new RedisUnsuitableError(
      `Redis at ${address} has a primary with ${found} replicas, and durability "replica" needs ${replicas}; add replicas, lower barrierReplicas, or choose another durability.`,
    );
  }
  if (durability !== 'fsync') return;
  for (const info of await infoOfPrimaries(redis, 'everything')) {
    const [major = 0, minor = 0] = (infoField(info, 'redis_version') ?? '0').split('.').map(Number);
    if (infoField(info, 'aof_enabled') !== '1' || major < 7 || (major === 7 && minor < 2)) {
      throw new RedisUnsuitableError(
        `Redis at ${address} cannot confirm that data is on disk; durability "fsync" needs version 7.2 or newer and appendonly yes.`,
      );
    }
  }
}
