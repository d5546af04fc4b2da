/**
 * Memory and connections of the processes. After an outage both must be what they were before the first
 * fault: whatever is not released would grow with each outage.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseSettings } from '../../src/shared/config/settings.ts';
import type { ServerKind } from './accounts.ts';
import { countConnections } from './connections.ts';
import type { TortureDurability } from './durability.ts';
import { HUNG_MS } from './hung.ts';
import type { Processes, Role, Slot } from './processes.ts';
import type { Stack } from './stack.ts';

export interface Footprint {
  readonly role: Role;
  /** Heap in use after a garbage collection. */
  readonly megabytes: number;
  /** Largest number on one server. */
  readonly connections: Readonly<Record<ServerKind, number>>;
}

/** Code loaded since then and work in progress take 4 MB at most, measured after a garbage collection. */
const spareMegabytes = 20;
/** Limits of the pools; one more connection asks a member of a cluster whether it takes writes. */
const { concurrency } = parseSettings();
const poolLimits: Readonly<Record<Role, number>> = {
  worker: 2 * concurrency + 5 + 1,
  producer: 4 + 1,
  // A producer, and two for keys.
  api: 4 + 1 + 2 + 1,
};
/** Connections of the barrier, which wait until a replica has the writes, come and go. */
const lanes: Readonly<Record<TortureDurability, number>> = { memory: 0, replica: 8 };
const lookAgainAfter = 100;

/** What exceeds the largest process of this role before the first fault. */
export function excess(found: Footprint, quiet: Footprint, durability: TortureDurability): string[] {
  const bounds: [string, number, number][] = [
    ['MB in use', found.megabytes, quiet.megabytes + spareMegabytes],
    ['connections to Redis', found.connections.redis, quiet.connections.redis + lanes[durability]],
    ['connections to MySQL', found.connections.mysql, poolLimits[found.role]],
  ];
  const quietly = [quiet.megabytes, quiet.connections.redis, quiet.connections.mysql];
  return bounds.flatMap(([what, number, bound], at) =>
    number > bound
      ? [`${round(number)} ${what}, ${round(quietly[at]!)} before, ${round(bound)} at most`]
      : [],
  );
}

const round = (number: number) => Math.round(number * 10) / 10;

export class Footprints {
  readonly #stack: Stack;
  readonly #processes: Processes;
  readonly #durability: TortureDurability;
  readonly #quiet = new Map<Role, Footprint>();

  constructor(stack: Stack, processes: Processes, durability: TortureDurability) {
    this.#stack = stack;
    this.#processes = processes;
    this.#durability = durability;
  }

  /** Records the current footprints as the standard. */
  async remember(): Promise<void> {
    for (const [role, found] of Map.groupBy((await this.#measure()).values(), ({ role }) => role)) {
      this.#quiet.set(role, {
        role,
        megabytes: Math.max(...found.map(({ megabytes }) => megabytes)),
        connections: {
          redis: Math.max(...found.map(({ connections }) => connections.redis)),
          mysql: Math.max(...found.map(({ connections }) => connections.mysql)),
        },
      });
    }
  }

  /** What is still too much after servers have had time to notice ended connections. */
  async excesses(): Promise<string[]> {
    const limit = performance.now() + HUNG_MS;
    for (;;) {
      // A server that has just come back may not answer yet.
      const found = await this.#excesses().catch((error: Error) => [`a footprint: ${error.message}`]);
      if (found.length === 0 || performance.now() > limit) return found;
      await delay(lookAgainAfter);
    }
  }

  async #excesses(): Promise<string[]> {
    return [...(await this.#measure())].flatMap(([{ name }, found]) =>
      excess(found, this.#quiet.get(found.role)!, this.#durability).map(text => `${name} has ${text}`),
    );
  }

  async #measure(): Promise<Map<Slot, Footprint>> {
    const slots = this.#processes.all.filter(({ pid }) => pid !== undefined);
    const [redis, mysql, ...bytes] = await Promise.all([
      countConnections(this.#stack, 'redis'),
      countConnections(this.#stack, 'mysql'),
      ...slots.map(({ inside }) => inside.ask({ ask: 'memory' })),
    ]);
    return new Map(
      slots.map((slot, at) => {
        const { role, account } = slot;
        const connections = { redis: redis.get(account.name) ?? 0, mysql: mysql.get(account.name) ?? 0 };
        return [slot, { role, megabytes: (bytes[at] ?? 0) / 2 ** 20, connections }];
      }),
    );
  }
}
