/** The torture's Redis: its servers, the current primaries, and whether all replicas follow. */
import { redisCall } from '../servers/redis-protocol.ts';
import {
  type Announce,
  isCopying,
  type RedisFlavour,
  type RunningServer,
  startRedis,
  startRedisCluster,
  startRedisSentinel,
  waitFor,
} from '../servers.ts';
import type { Accounts } from './accounts.ts';
import { HUNG_MS } from './hung.ts';
import { RedisProxies } from './redis-proxies.ts';
import type { DatabaseName, TopologyName } from './servers.ts';

export interface RedisSide {
  readonly topology: TopologyName;
  /** URL through the proxies. */
  readonly url: string;
  /** Proxies before every node, with the connections of workers and of producers. */
  readonly proxies: RedisProxies;
  readonly flavour: RedisFlavour;
  /** All nodes with data. */
  readonly nodes: readonly RunningServer[];
  readonly sentinels: readonly RunningServer[];
  /** Nodes that take writes now. */
  primaries(): Promise<RunningServer[]>;
  /** Resolves when every other node is a replica that follows. */
  recovered(): Promise<void>;
  stop(): Promise<void>;
}

/** Together the six combinations run every flavour twice. */
const flavours: Record<TopologyName, Partial<Record<DatabaseName, RedisFlavour>>> = {
  standalone: { mariadb: 'redis7', mysql97: 'valkey9', 'group-replication': 'redis8', galera: 'redis8' },
  sentinel: { mariadb: 'redis8', mysql97: 'redis7' },
  cluster: { mariadb: 'valkey9', mysql97: 'redis8' },
};
/** Time without an answer after which Sentinels and a Cluster consider a primary gone. */
export const silenceMs = 1000;

export async function startRedisSide(
  topology: TopologyName,
  database: DatabaseName,
  directory: string,
  accounts: Accounts,
): Promise<RedisSide> {
  const proxies = new RedisProxies();
  const flavour = flavours[topology][database];
  if (!flavour) throw new Error(`${database} does not go with ${topology}`);
  const start = { standalone: startAlone, sentinel: startSentinels, cluster: startCluster }[topology];
  try {
    const side = await start({
      flavour,
      directory,
      announce: proxies.announce,
      args: () => accounts.redisArgs(),
    });
    const stop = async () => {
      await side.stop();
      await proxies.close();
    };
    return { ...side, topology, flavour, proxies, stop };
  } catch (error) {
    await proxies.close();
    throw error;
  }
}

type Servers = Omit<RedisSide, 'topology' | 'flavour' | 'proxies'>;

interface Wanted {
  readonly flavour: RedisFlavour;
  readonly directory: string;
  readonly announce: Announce;
  readonly args: () => string[];
}

async function startAlone({ flavour, directory, announce, args }: Wanted): Promise<Servers> {
  const server = await startRedis({
    flavour,
    directory,
    args: async () => ['--appendfsync', 'always', ...args()],
  });
  return {
    url: `redis://127.0.0.1:${await announce(server.port)}`,
    nodes: [server],
    sentinels: [],
    primaries: async () => [server],
    recovered: async () => {},
    stop: () => server.discard(),
  };
}

async function startSentinels(wanted: Wanted): Promise<Servers> {
  const sentinel = await startRedisSentinel({ ...wanted, downAfterMs: silenceMs });
  const { nodes, sentinels, url } = sentinel;
  const told = await Promise.all(nodes.map(node => wanted.announce(node.port)));
  const primaries = async () => {
    const port = await sentinel.primaryPort();
    return nodes.filter((_, index) => told[index] === port);
  };
  const recovered = () => followed(nodes, async () => (await primaries()).map(node => node.port));
  return { url, nodes, sentinels, primaries, recovered, stop: () => sentinel.discard() };
}

async function startCluster(wanted: Wanted): Promise<Servers> {
  const options = { ...wanted, replicas: 1, nodeTimeoutMs: silenceMs };
  const { nodes, url, discard } = await startRedisCluster(options);
  const primaries = async () => {
    const roles = await Promise.allSettled(nodes.map(isPrimary));
    return nodes.filter((_, index) => {
      const role = roles[index]!;
      return role.status === 'fulfilled' && role.value;
    });
  };
  const recovered = async () => {
    await followed(nodes, async () => (await primaries()).map(node => node.port));
    await Promise.all(nodes.map(node => waitFor('agreement of the cluster', HUNG_MS, () => agrees(node))));
  };
  return { url, nodes, sentinels: [], primaries, recovered, stop: discard };
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
  await waitFor('following of all replicas', HUNG_MS, async () => {
    const primaries = await primaryPorts();
    const others = nodes.filter(node => !primaries.includes(node.port));
    return primaries.length > 0 && (await Promise.all(others.map(isCopying))).every(copying => copying);
  });
}
