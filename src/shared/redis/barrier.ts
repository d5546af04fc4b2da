/**
 * The barrier after a write: WAIT or WAITAOF on the connection that wrote, since both count only the writes
 * of their own connection. On Redis Cluster it must lead to the partition's primary.
 *
 * A lane is a connection that lives exactly as long as its socket: it never resends a command and never
 * reconnects, so it confirms only writes that went through it. If a lane breaks, nothing is confirmed and the
 * caller repeats the write on another lane. That is safe: a claim returns the batch in flight, and calls of
 * updates are numbered.
 */
import type { Redis } from 'ioredis';
import type { Durability } from './durability.ts';
import { replyCode } from './errors.ts';
import type { Primaries } from './primaries.ts';

interface Confirmed<Answer> {
  readonly answer: Answer;
  /** False if too few replicas confirmed in time: the write may be lost with this server. */
  readonly confirmed: boolean;
}

const MOVED = new Set(['MOVED', 'ASK', 'TRYAGAIN', 'CLUSTERDOWN', 'READONLY', 'LOADING', 'MASTERDOWN']);
/** Most free lanes of a server. */
const KEPT = 4;

export class Barrier {
  readonly #primaries: Primaries;
  readonly #replicas: number;
  readonly #free = new Map<string, Redis[]>();
  /** Lanes in use, with their servers. They are discarded too, or a frozen server would keep them waiting. */
  readonly #used = new Map<Redis, string>();
  #closed = false;

  /** @param replicas how many must confirm with durability `replica` */
  constructor(primaries: Primaries, replicas = 1) {
    this.#primaries = primaries;
    this.#replicas = replicas;
    primaries.onDisconnect(server => (server === undefined ? this.#discardAll() : this.#discard(server)));
  }

  /**
   * Runs `write` on a lane to the partition's primary and waits for its confirmation.
   * @param write must always change something, or the barrier has nothing to wait for
   * @throws what ioredis throws; then it is not known whether `write` was carried out
   */
  async run<Answer>(
    partition: number,
    durability: Exclude<Durability, 'memory'>,
    timeoutMs: number,
    write: (lane: Redis) => Promise<Answer>,
    replicas = this.#replicas,
  ): Promise<Confirmed<Answer>> {
    const server = await this.#primaries.serverOf(partition);
    const lane = await this.#take(server, partition);
    try {
      const answer = await write(lane);
      const confirmed = await confirm(lane, durability, replicas, Math.max(1, Math.floor(timeoutMs)));
      this.#giveBack(server, lane);
      return { answer, confirmed };
    } catch (error) {
      this.#used.delete(lane);
      lane.disconnect();
      // The lane led to a server that is no longer the partition's primary, and so do its other lanes.
      if (MOVED.has(replyCode(error) ?? '')) {
        this.#discard(server);
        this.#primaries.refresh();
      }
      throw error;
    }
  }

  close(): void {
    this.#closed = true;
    this.#discardAll();
  }

  #discardAll(): void {
    for (const server of new Set([...this.#free.keys(), ...this.#used.values()])) this.#discard(server);
  }

  #discard(server: string): void {
    for (const lane of this.#free.get(server) ?? []) lane.disconnect();
    this.#free.delete(server);
    for (const [lane, of] of this.#used) {
      if (of !== server) continue;
      this.#used.delete(lane);
      lane.disconnect();
    }
  }

  async #take(server: string, partition: number): Promise<Redis> {
    const free = this.#free.get(server)?.pop();
    if (free?.status === 'ready') {
      this.#used.set(free, server);
      return free;
    }
    free?.disconnect();
    const node = this.#primaries.all().get(server);
    if (!node) {
      // A Cluster client forgets a node whose connection ended, and refreshes only when it sends a command.
      this.#primaries.refresh();
      throw new Error(`no primary is known for partition ${partition}`);
    }
    const lane = node.duplicate({
      lazyConnect: true,
      retryStrategy: () => null,
      // The original connection detects failovers.
      failoverDetector: false,
      reconnectOnError: null,
      autoResendUnfulfilledCommands: false,
      enableOfflineQueue: false,
    });
    // The failed call reports the error.
    lane.on('error', () => {});
    this.#used.set(lane, server);
    await lane.connect().catch(error => {
      this.#used.delete(lane);
      throw error;
    });
    return lane;
  }

  #giveBack(server: string, lane: Redis): void {
    // It was discarded meanwhile.
    if (!this.#used.delete(lane)) return;
    const free = this.#free.get(server) ?? [];
    this.#free.set(server, free);
    if (this.#closed || free.length >= KEPT || lane.status !== 'ready') lane.disconnect();
    else free.push(lane);
  }
}

async function confirm(
  lane: Redis,
  durability: Durability,
  replicas: number,
  timeoutMs: number,
): Promise<boolean> {
  if (durability === 'replica') return (await lane.wait(replicas, timeoutMs)) >= replicas;
  const [onDisk] = (await lane.call('WAITAOF', 1, 0, timeoutMs)) as [number, number];
  return onDisk >= 1;
}
