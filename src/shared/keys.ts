/** Where things are in Redis: namespace, partitions, and the names of their keys. */
import { crc32 } from 'node:zlib';
import { FORMAT_KEY, type PartitionKey } from './redis/layout.ts';

/** `c` is a counter (item `name:key`), `p` is points (item `program:account`). */
export type Kind = 'c' | 'p';
/** A kind as the tables of Sluice write it. */
export const ROW_KINDS = { c: 'counter', p: 'entry' } as const satisfies Record<Kind, string>;
/** A kind as people read it: in logs, reports and labels. */
export const SHOWN_KINDS = { c: 'counter', p: 'points' } as const satisfies Record<Kind, string>;

/** Version of the tables in MySQL. A process that meets a newer one ends. */
export const FORMAT = 5;

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

/** `name:key`; unambiguous because names hold no colon. */
export function itemOf(name: string, key: string): string {
  return `${name}:${key}`;
}

export function splitItem(item: string): { name: string; key: string } {
  const colon = item.indexOf(':');
  return { name: item.slice(0, colon), key: item.slice(colon + 1) };
}
