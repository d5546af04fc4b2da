/** Finds the server of a partition: the only one, or on Redis Cluster the primary of its slot. */
import { Cluster, type Redis } from 'ioredis';
import type { RedisConnection } from './connections.ts';
import type { Keys } from './keys.ts';

export class Primaries {
  readonly #redis: RedisConnection;
  readonly #keys: Keys;
  readonly #slots = new Map<number, number>();

  constructor(redis: RedisConnection, keys: Keys) {
    this.#redis = redis;
    this.#keys = keys;
  }

  /** `host:port` on a Cluster, '' if its layout is not known yet. Always '' without a Cluster. */
  async serverOf(partition: number): Promise<string> {
    if (!(this.#redis instanceof Cluster)) return '';
    let slot = this.#slots.get(partition);
    if (slot === undefined) {
      slot = Number(await this.#redis.cluster('KEYSLOT', this.#keys.state(partition)));
      this.#slots.set(partition, slot);
    }
    return this.#redis.slots[slot]?.[0] ?? '';
  }

  /** Connections to all primaries, by the names of `serverOf`. */
  all(): Map<string, Redis> {
    if (!(this.#redis instanceof Cluster)) return new Map([['', this.#redis]]);
    const nodes = this.#redis.nodes('master');
    return new Map(nodes.map(node => [nameOf(node), node]));
  }

  /**
   * Calls the listener when the client's connection to a server ended, since other connections may lead to a
   * replaced server. The argument is the server's name of `serverOf`; undefined means any server.
   */
  onDisconnect(listener: (server?: string) => void): void {
    this.#redis.on('close', () => listener());
    if (this.#redis instanceof Cluster) this.#redis.on('-node', (node: Redis) => listener(nameOf(node)));
  }

  /** Reads the layout of a Cluster again, after a server answered that it has changed. */
  refresh(): void {
    if (this.#redis instanceof Cluster) this.#redis.refreshSlotsCache();
  }
}

function nameOf({ options }: Redis): string {
  return `${options.host}:${options.port}`;
}
