/** The names of keys in Redis: namespace, partitions, and the keys of each. */
import { crc32 } from 'node:zlib';
import { type BoardKey, FORMAT_KEY, type PartitionKey, PROCESSES_KEY, REDIS_FORMAT } from './layout.ts';

const STATE = 'state' satisfies PartitionKey;

/** Another key of the partition that has this state key. */
export function besideState(state: string, key: PartitionKey): string {
  return state.slice(0, -STATE.length) + key;
}

export class Keys {
  readonly namespace: string;
  readonly partitions: number;
  /** The deployment's name in the database; '' until `checkServers` has read it, or without a database. */
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

  /** The name in the states of its partitions, with their format; '' without a deployment. */
  get owner(): string {
    return this.deployment === '' ? '' : `${this.deployment}/${REDIS_FORMAT}`;
  }

  /** The partition of a counter key or an account. */
  partitionOf(key: string): number {
    return crc32(key) % this.partitions;
  }

  /** The state key of a partition. Scripts derive all other keys from it. */
  state(partition: number): string {
    return this.#states[partition]!;
  }

  /** Another key of a partition. */
  of(partition: number, key: PartitionKey): string {
    return besideState(this.state(partition), key);
  }

  /** A key of a board in a partition. @param board kind and name */
  ofBoard(partition: number, key: BoardKey, board: string): string {
    return this.state(partition).slice(0, -STATE.length) + key.replace('<board>', board);
  }

  /** The hash of format version, number of partitions and deployment. */
  get format(): string {
    return `{${this.namespace}}:${FORMAT_KEY}`;
  }

  /** The hash of processes that live; see heartbeat.ts. */
  get processes(): string {
    return `{${this.namespace}}:${PROCESSES_KEY}`;
  }

  /** Prefix of BullMQ's keys: a hash tag, so that they share one slot. */
  get queuePrefix(): string {
    return `{${this.namespace}}`;
  }
}
