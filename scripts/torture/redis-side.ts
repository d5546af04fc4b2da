/** The Redis of a torture: which servers there are, who is primary now, and whether all replicas follow. */
import { redisCall } from '../servers/redis-protocol.ts';
import {
  isCopying,
  type RedisFlavour,
  type RunningServer,
  startRedis,
  startRedisCluster,
  startRedisSentinel,
  waitFor,
} from '../servers.ts';
import type { DatabaseName, TopologyName } from './options.ts';

export interface RedisSide {
  readonly topology: TopologyName;
  readonly url: string;
  readonly flavour: RedisFlavour;
  /** All that hold data. */
  readonly nodes: readonly RunningServer[];
  readonly sentinels: readonly RunningServer[];
  /** Those that take writes now. */
  primaries(): Promise<RunningServer[]>;
  /** Resolves when every other node is a replica that follows. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

/** Together the six combinations run every flavour twice. */
const flavours: Record<TopologyName, Record<DatabaseName, RedisFlavour>> = {
  standalone: { mariadb: 'redis7', mysql97: 'valkey9' },
  sentinel: { mariadb: 'redis8', mysql97: 'redis7' },
  cluster: { mariadb: 'valkey9', mysql97: 'redis8' },
};
const settleLimit = 60_000;

export async function startRedisSide(
  topology: TopologyName,
  database: DatabaseName,
  directory: string,
): Promise<RedisSide> {
  const flavour = flavours[topology][database];
  if (topology === 'standalone') {
    const args = ['--appendfsync', 'always'];
    const server = await startRedis({ flavour, directory, args });
    const settled = async () => {};
    const stop = () => server.stop();
    return { topology, url: server.url, flavour, nodes: [server], sentinels: [], primaries, settled, stop };
    async function primaries() {
      return [server];
    }
  }
  if (topology === 'sentinel') {
    const sentinel = await startRedisSentinel({ flavour, directory });
    const { nodes, sentinels, url } = sentinel;
    const primaries = async () => {
      const port = await sentinel.primaryPort();
      return nodes.filter(node => node.port === port);
    };
    const settled = () => followed(nodes, async () => (await primaries()).map(node => node.port));
    return { topology, url, flavour, nodes, sentinels, primaries, settled, stop: () => sentinel.stop() };
  }
  const cluster = await startRedisCluster({ flavour, directory, replicas: 1, nodeTimeoutMs: 1000 });
  const { nodes, url } = cluster;
  const primaries = async () => {
    const roles = await Promise.allSettled(nodes.map(isPrimary));
    return nodes.filter((_, index) => {
      const role = roles[index]!;
      return role.status === 'fulfilled' && role.value;
    });
  };
  const settled = async () => {
    await followed(nodes, async () => (await primaries()).map(node => node.port));
    await Promise.all(
      nodes.map(node => waitFor('agreement of the cluster', settleLimit, () => agrees(node))),
    );
  };
  return { topology, url, flavour, nodes, sentinels: [], primaries, settled, stop: () => cluster.stop() };
}

export async function isPrimary(node: RunningServer): Promise<boolean> {
  const [info = ''] = await redisCall(node, ['INFO', 'replication']);
  return info.includes('role:master\r\n');
}

export async function agrees(node: RunningServer): Promise<boolean> {
  const [info = ''] = await redisCall(node, ['CLUSTER', 'INFO']);
  return info.includes('cluster_state:ok\r\n') && info.includes('cluster_slots_fail:0\r\n');
}

async function followed(
  nodes: readonly RunningServer[],
  primaryPorts: () => Promise<number[]>,
): Promise<void> {
  await waitFor('following of all replicas', settleLimit, async () => {
    const primaries = await primaryPorts();
    const others = nodes.filter(node => !primaries.includes(node.port));
    return primaries.length > 0 && (await Promise.all(others.map(isCopying))).every(copying => copying);
  });
}
