/** Where things are in Redis: namespace, partitions, and the names of their keys. */
import { crc32 } from 'node:zlib';
import type { Kind } from '../item.ts';
import { FORMAT_KEY, type PartitionKey } from './layout.ts';

const STATE = 'state' satisfies PartitionKey;

/** Another key of the partition whose state this is. */
export function besideState(state: string, key: PartitionKey): string {
  return state.slice(0, -STATE.length) + key;
}

export class Keys {
  readonly namespace: string;
  readonly partitions: number;
  /** What the database calls this deployment; '' until `checkServers` has asked, and for tools that only look. */
  deployment = '';
  readonly #states: string[];

  constructor(namespace: string, partitions: number) {
    this.namespace = namespace;
    this.partitions = partitions;
    this.#states = Array.from(
      { length: partitions },
      (_, partition) => `{${namespace}:${partition}}:${STATE}`,
    );
  }

  /** The partition of a counter key or an account: a fixed share of all keys. */
  partitionOf(key: string): number {
    return crc32(key) % this.partitions;
  }

  /** The state hash of a partition, from which the scripts derive all its other keys. */
  state(partition: number): string {
    return this.#states[partition]!;
  }

  /** Another key of a partition. */
  of(partition: number, key: PartitionKey): string {
    return besideState(this.state(partition), key);
  }

  /** Pattern of a partition's live values of one epoch. */
  livePattern(partition: number, kind: Kind, epoch: string): string {
    return `{${this.namespace}:${partition}}:${kind}:${epoch}:`;
  }

  /** Format version, number of partitions, and whose they are. */
  get format(): string {
    return `{${this.namespace}}:${FORMAT_KEY}`;
  }

  /** BullMQ's prefix: a hash tag, so that its keys share one slot. */
  get queuePrefix(): string {
    return `{${this.namespace}}`;
  }
}
