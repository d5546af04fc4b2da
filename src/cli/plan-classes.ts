/** Classes of ElastiCache and RDS, from small to large. `sluice plan` takes the first that suffices. */

const GIB = 1024 ** 3;

/** ElastiCache's default for reserved-memory-percent, kept for replication and failover. */
const RESERVED = 0.25;
/** Share of usable memory at which the alarm on memory goes off. */
const ALARM = 0.8;
/** Share of the memory that RDS gives InnoDB's buffer pool by default. */
const BUFFER_POOL = 0.75;

interface NodeClass {
  readonly name: string;
  readonly vcpu: number;
  /** Cores that scripts can keep busy: Redis runs them on one thread, and burstable classes have a baseline. */
  readonly core: number;
  /** maxmemory by the table of AWS, bytes. */
  readonly maxmemory: number;
}

/** Classes with the most memory for their price. m7g.xlarge is not one: r7g.large has as much memory. */
export const nodeClasses: readonly NodeClass[] = [
  { name: 'cache.t4g.small', vcpu: 2, core: 0.4, maxmemory: 1_471_026_299 },
  { name: 'cache.t4g.medium', vcpu: 2, core: 0.4, maxmemory: 3_317_862_236 },
  { name: 'cache.m7g.large', vcpu: 2, core: 1, maxmemory: 6_854_542_746 },
  { name: 'cache.r7g.large', vcpu: 2, core: 1, maxmemory: 14_037_181_030 },
  { name: 'cache.r7g.xlarge', vcpu: 4, core: 1, maxmemory: 28_261_849_702 },
  { name: 'cache.r7g.2xlarge', vcpu: 8, core: 1, maxmemory: 56_711_183_565 },
  { name: 'cache.r7g.4xlarge', vcpu: 16, core: 1, maxmemory: 113_609_865_216 },
  { name: 'cache.r7g.8xlarge', vcpu: 32, core: 1, maxmemory: 225_000_375_228 },
  { name: 'cache.r7g.16xlarge', vcpu: 64, core: 1, maxmemory: 450_000_750_456 },
];

interface InstanceClass {
  readonly name: string;
  readonly vcpu: number;
  /** vCPUs that it can keep busy: burstable classes have a baseline. */
  readonly sustained: number;
  /** Bytes. */
  readonly memory: number;
}

const instance = (name: string, vcpu: number, memoryGiB: number, sustained = vcpu): InstanceClass => ({
  name,
  vcpu,
  sustained,
  memory: memoryGiB * GIB,
});

export const instanceClasses: readonly InstanceClass[] = [
  instance('db.t4g.medium', 2, 4, 0.4),
  instance('db.m7g.large', 2, 8),
  instance('db.r7g.large', 2, 16),
  instance('db.m7g.xlarge', 4, 16),
  instance('db.r7g.xlarge', 4, 32),
  instance('db.m7g.2xlarge', 8, 32),
  instance('db.r7g.2xlarge', 8, 64),
  instance('db.m7g.4xlarge', 16, 64),
  instance('db.r7g.4xlarge', 16, 128),
  instance('db.m7g.8xlarge', 32, 128),
  instance('db.r7g.8xlarge', 32, 256),
  instance('db.m7g.16xlarge', 64, 256),
  instance('db.r7g.16xlarge', 64, 512),
];

/** Bytes of data below the alarm. */
export function usableBytes({ maxmemory }: NodeClass): number {
  return maxmemory * (1 - RESERVED) * ALARM;
}

export function bufferPoolBytes({ memory }: InstanceClass): number {
  return memory * BUFFER_POOL;
}

/** How many primaries these bytes and cores need, and the smallest class that suffices for each of them. */
export function nodesFor(bytes: number, cores: number) {
  const largest = nodeClasses.at(-1)!;
  const primaries = Math.max(1, Math.ceil(cores / largest.core), Math.ceil(bytes / usableBytes(largest)));
  const suffices = (node: NodeClass) =>
    usableBytes(node) >= bytes / primaries && node.core >= cores / primaries;
  return { primaries, node: nodeClasses.find(suffices) ?? largest };
}

/** The smallest instance with these vCPUs and room for these bytes of rows; undefined if none suffices. */
export function instanceFor(bytes: number, vcpu: number): InstanceClass | undefined {
  return instanceClasses.find(one => bufferPoolBytes(one) >= bytes && one.sustained >= vcpu);
}
