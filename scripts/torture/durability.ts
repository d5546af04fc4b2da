/**
 * What processes are told about durability: runs that fail over a Redis ask for copies on a replica, unless they are to
 * lose something and see it declared. Runs on a single Redis have it write to disk before it answers, and ask for nothing.
 */
import type { Durability } from '../../src/shared/redis/durability.ts';
import type { TopologyName } from './servers.ts';

export type TortureDurability = Extract<Durability, 'memory' | 'replica'>;

export function defaultDurability(topology: TopologyName): TortureDurability {
  return topology === 'standalone' ? 'memory' : 'replica';
}

/** Environment of workers. */
export function workerDurability(durability: TortureDurability): Record<string, string> {
  return { SLUICE_CLAIM_DURABILITY: durability };
}
