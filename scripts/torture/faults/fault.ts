/** What a fault is: it breaks something, says from when on flushing should work again, and mends what is left. */
import type { Random } from '../../load/zipf.ts';
import type { TortureDurability } from '../durability.ts';
import type { Processes } from '../processes.ts';
import type { DatabaseName, TopologyName } from '../servers.ts';
import type { Stack } from '../stack.ts';

export interface Scene {
  readonly stack: Stack;
  readonly processes: Processes;
  readonly random: Random;
  /** The durability of calls and claims. */
  readonly durability: TortureDurability;
}

interface Injury {
  /** What was done, for people. */
  readonly what: string;
  /** Recovery is measured from here (performance.now()). */
  readonly since: number;
  /** What goes on while flushing has to work again. */
  readonly meanwhile?: Promise<void>;
}

export interface Fault {
  readonly kind: string;
  /** How often it occurs, beside others; 2 where nothing is said. */
  readonly weight?: number;
  /** Whether a server is away or of no use for a while: after it, processes must be as small as before. */
  readonly isOutage?: boolean;
  /** All, where nothing is said. */
  readonly topologies?: readonly TopologyName[];
  /** All, if nothing is said. */
  readonly databases?: readonly DatabaseName[];
  run(scene: Scene): Promise<Injury>;
}

export const now = () => performance.now();

/** A whole number from `from` up to `to`. */
export function between(random: Random, from: number, to: number): number {
  return from + Math.floor(random() * (to - from + 1));
}

export function oneOf<Item>(random: Random, items: readonly Item[]): Item {
  return items[Math.floor(random() * items.length)]!;
}
