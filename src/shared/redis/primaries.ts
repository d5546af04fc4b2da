/** Which server a partition's data is on: the only one, or on Redis Cluster the primary of its slot. */
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

  /** `host:port` on a Cluster, as far as its layout is known; '' where there is one server, or one at a time. */
  async serverOf(partition: number): Promise<string> {
    if (!(this.#redis instanceof Cluster)) return '';
    let slot = this.#slots.get(partition);
    if (slot === undefined) {
      slot = Number(await this.#redis.cluster('KEYSLOT', this.#keys.state(partition)));
      this.#slots.set(partition, slot);
    }
    return this.#redis.slots[slot]?.[0] ?? '';
  }

  /** Connections to all of them, by what `serverOf` calls them. */
  all(): Map<string, Redis> {
    if (!(this.#redis instanceof Cluster)) return new Map([['', this.#redis]]);
    const nodes = this.#redis.nodes('master');
    return new Map(nodes.map(node => [nameOf(node), node]));
  }

  /**
   * Calls the listener when the client's own connection to a server ended: other connections may lead to a server that was
   * replaced. The argument is that server, as `serverOf` calls it; without one, all servers are concerned.
   */
  onDisconnect(listener: (server?: string) => void): void {
    this.#redis.on('close', () => listener());
    if (this.#redis instanceof Cluster) this.#redis.on('-node', (node: Redis) => listener(nameOf(node)));
  }

  /** Has the layout of a Cluster read anew, after a server answered that it is another. */
  refresh(): void {
    if (this.#redis instanceof Cluster) this.#redis.refreshSlotsCache();
  }
}

function nameOf({ options }: Redis): string {
  return `${options.host}:${options.port}`;
}
