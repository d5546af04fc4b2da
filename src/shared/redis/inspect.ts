/** The content of partitions in Redis, for the sweep, the metrics, `status` and `drain`. */

import type { RedisConnection } from './connections.ts';
import type { Keys } from './keys.ts';
import { abreast } from './reply-size.ts';
import { defineScript, type Script } from './script.ts';
import { parseEnded } from './state.ts';

export interface PartitionStatus {
  readonly partition: number;
  readonly epoch: string;
  /** Sequence number of the batch claimed last. */
  readonly sequence: number;
  /** Token of the batch in flight, '' if there is none. */
  readonly token: string;
  /** Updates accepted so far, as far as Redis remembers. */
  readonly updates: number;
  readonly pendingUpdates: number;
  /** Distinct counter keys and accounts. */
  readonly pendingKeys: number;
  readonly pendingEntries: number;
  /** Updates in the batch in flight. */
  readonly inFlight: number;
  /** Age of the oldest update that is not acknowledged, seconds; 0 if there is none. */
  readonly lagSeconds: number;
  /** Known losses of ended incarnations of Redis. */
  readonly lost: readonly { readonly incarnation: string; readonly updates: number }[];
}

/** Reply of inspect.lua. */
type InspectReply = [
  time: number,
  epoch: string,
  sequence: number,
  token: string,
  pendingUpdates: number,
  pendingKeys: number,
  pendingEntries: number,
  inFlight: number,
  oldest: number,
  ended: string,
  updates: number,
];

/** Concurrent calls; each reply has up to a kilobyte. */
const ABREAST = 128;

export class Inspector {
  readonly #keys: Keys;
  readonly #inspect: Script<InspectReply | null>;

  constructor(redis: RedisConnection, keys: Keys) {
    this.#keys = keys;
    this.#inspect = defineScript(redis, 'inspect', new URL('./inspect.lua', import.meta.url));
  }

  /** Undefined if the partition has no state yet. */
  async partition(partition: number): Promise<PartitionStatus | undefined> {
    const reply = await this.#inspect(this.#keys.state(partition), this.#keys.owner);
    if (!reply) return undefined;
    const [time, epoch, sequence, token, pendingUpdates, pendingKeys, pendingEntries, ...rest] = reply;
    const [inFlight, oldest, ended, updates] = rest;
    return {
      ...{
        partition,
        epoch,
        sequence,
        token,
        updates,
        pendingUpdates,
        pendingKeys,
        pendingEntries,
        inFlight,
      },
      lagSeconds: oldest === 0 ? 0 : Math.max(0, time - oldest) / 1000,
      lost: lossesOf(ended),
    };
  }

  /** All partitions in order. A partition without a state counts as empty. */
  async all(): Promise<PartitionStatus[]> {
    const partitions = Array.from({ length: this.#keys.partitions }, (_, p) => p);
    const found = await abreast(partitions, ABREAST, partition => this.partition(partition));
    return found.map((status, partition) => status ?? { ...EMPTY, partition });
  }
}

const EMPTY: Omit<PartitionStatus, 'partition'> = {
  epoch: '',
  sequence: 0,
  token: '',
  updates: 0,
  pendingUpdates: 0,
  pendingKeys: 0,
  pendingEntries: 0,
  inFlight: 0,
  lagSeconds: 0,
  lost: [],
};

function lossesOf(ended: string): PartitionStatus['lost'] {
  return parseEnded(ended)
    .filter(({ lost }) => lost > 0)
    .map(({ incarnation, lost }) => ({ incarnation, updates: lost }));
}
