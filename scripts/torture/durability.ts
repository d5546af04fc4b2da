/**
 * Durability of processes: runs with a failover of Redis ask for copies on a replica, unless they should lose
 * updates and see them declared. On a single Redis, appendfsync always makes that unnecessary.
 */
import type { Durability } from '../../src/shared/redis/durability.ts';
import type { TopologyName } from './servers.ts';

export type TortureDurability = Extract<Durability, 'memory' | 'replica'>;

export function defaultDurability(topology: TopologyName): TortureDurability {
  return topology === 'standalone' ? 'memory' : 'replica';
}

/** Environment of the workers. */
export function workerDurability(durability: TortureDurability): Record<string, string> {
  return { SLUICE_CLAIM_DURABILITY: durability };
}
