/** A fault: it breaks something, says from when on flushing should work again, and repairs the rest. */
import type { Random } from '../../load/zipf.ts';
import type { TortureDurability } from '../durability.ts';
import type { Processes } from '../processes.ts';
import type { DatabaseName, TopologyName } from '../servers.ts';
import type { Stack } from '../stack.ts';
import type { TransferOperator } from '../transfer-operator.ts';

export interface Scene {
  readonly stack: Stack;
  readonly processes: Processes;
  readonly random: Random;
  readonly operator: TransferOperator;
  /** Durability of calls and claims. */
  readonly durability: TortureDurability;
}

interface Injury {
  /** Description of what was done. */
  readonly what: string;
  /** Start of the recovery time (performance.now()). */
  readonly since: number;
  /** Work that goes on while flushing must work again. */
  readonly meanwhile?: Promise<void>;
}

export interface Fault {
  readonly kind: string;
  /** Frequency relative to other faults; 2 by default. */
  readonly weight?: number;
  /** Whether a server is unusable for a while; afterwards processes must be as small as before. */
  readonly isOutage?: boolean;
  /** By default all. */
  readonly topologies?: readonly TopologyName[];
  /** By default all. */
  readonly databases?: readonly DatabaseName[];
  run(scene: Scene): Promise<Injury>;
}

export const now = () => performance.now();

/** A whole number from `from` to `to`, excluding `to`. */
export function between(random: Random, from: number, to: number): number {
  return from + Math.floor(random() * (to - from + 1));
}

export function oneOf<Item>(random: Random, items: readonly Item[]): Item {
  return items[Math.floor(random() * items.length)]!;
}
