// Starts Redis or Valkey: alone, with TLS, or as a cluster with or without replicas (Sentinel: sentinel.ts).
// By default with what the engine requires: an append-only file and no eviction.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findBinary, versionOf } from './binaries.ts';
import { makeCertificates } from './certificates.ts';
import { freePort, type RunningServer, startServer, waitFor } from './process.ts';
import { type RedisAddress, redisCall } from './redis-protocol.ts';

export type RedisFlavour = 'redis7' | 'redis8' | 'valkey9' | 'path';

export interface RedisOptions {
  flavour: RedisFlavour;
  /** Folder for data and log of one server, created if needed. */
  directory: string;
  /** Added last, so they override the defaults: ['--appendfsync', 'always']. */
  args?: string[] | ((port: number) => Promise<string[]>);
  password?: string;
}

/** Port that a node announces for a proxy before it. Called at every start; must not change. */
export type Announce = (port: number) => Promise<number>;

export interface RedisCluster {
  /** redis+cluster://127.0.0.1:7000,127.0.0.1:7001,..., with the announced ports */
  url: string;
  /** Initial masters first, then their replicas. */
  nodes: RunningServer[];
  /** Kills all of them: nobody needs their data any more. */
  discard(): Promise<void>;
}

const clusterSlots = 16_384;
const clusterLimit = 60_000;

export function startRedis(options: RedisOptions): Promise<RunningServer> {
  return start(options, { scheme: 'redis', args: port => ['--port', String(port)] });
}

export async function startRedisTls(options: RedisOptions): Promise<RunningServer & { caFile: string }> {
  const { caFile, certFile, keyFile } = await makeCertificates(join(options.directory, 'tls'));
  const files = ['--tls-cert-file', certFile, '--tls-key-file', keyFile, '--tls-ca-cert-file', caFile];
  const server = await start(options, {
    scheme: 'rediss',
    ca: await readFile(caFile, 'utf8'),
    args: port => ['--port', '0', '--tls-port', String(port), '--tls-auth-clients', 'no', ...files],
  });
  // No spread, which would copy the process id; it changes with a restart.
  return Object.assign(server, { caFile });
}

interface Listening {
  scheme: 'redis' | 'rediss';
  ca?: string;
  args(port: number): string[] | Promise<string[]>;
}

export function redisProgram(flavour: RedisFlavour): string {
  return findBinary(flavour, flavour === 'valkey9' ? ['valkey-server'] : ['redis-server', 'valkey-server']);
}

/** Whether this very process answers: its id tells it from another run's server on the same port. */
export async function redisAnswers(address: RedisAddress, pid: number): Promise<boolean> {
  const [pong, info] = await redisCall(address, ['PING'], ['INFO', 'server']);
  return pong === 'PONG' && new RegExp(`^process_id:${pid}\\r?$`, 'm').test(info ?? '');
}

async function start(options: RedisOptions, listening: Listening): Promise<RunningServer> {
  const { directory, password, args = [] } = options;
  const file = redisProgram(options.flavour);
  const credentials = password ? `:${encodeURIComponent(password)}@` : '';
  return startServer({
    name: 'redis',
    version: await versionOf(file),
    directory,
    file,
    url: port => `${listening.scheme}://${credentials}127.0.0.1:${port}`,
    args: async port => [
      ...(await listening.args(port)),
      ...['--bind', '127.0.0.1', '--dir', directory, '--save', ''],
      ...['--appendonly', 'yes', '--appendfsync', 'everysec', '--maxmemory-policy', 'noeviction'],
      ...(password ? ['--requirepass', password] : []),
      ...(typeof args === 'function' ? await args(port) : args),
    ],
    answers: ({ port, pid }) => redisAnswers({ port, password, ca: listening.ca }, pid),
  });
}

export interface ClusterOptions {
  flavour: RedisFlavour;
  directory: string;
  masters?: number;
  /** Per master. */
  replicas?: number;
  /** Time after which a silent node counts as failed, ms; a failover takes about twice as long. */
  nodeTimeoutMs?: number;
  announce?: Announce;
  /** Options of every node, computed at each of its starts. */
  args?: () => string[];
}

export async function startRedisCluster(options: ClusterOptions): Promise<RedisCluster> {
  const { directory, masters = 3, replicas = 0 } = options;
  const members = await Promise.all(
    Array.from({ length: masters * (1 + replicas) }, (_, index) =>
      startMember(options, join(directory, `node${index}`)),
    ),
  );
  const nodes = members.map(member => member.node);
  const discard = async () => void (await Promise.all(nodes.map(node => node.discard())));
  try {
    await joinMembers(members, masters);
    await attachReplicas(nodes, masters);
  } catch (error) {
    await discard();
    throw error;
  }
  return {
    url: `redis+cluster://${members.map(({ told }) => `127.0.0.1:${told}`).join(',')}`,
    nodes,
    discard,
  };
}

interface Member {
  node: RunningServer;
  busPort: number;
  /** The announced port. */
  told: number;
}

async function startMember(
  { flavour, nodeTimeoutMs = 5000, announce = async port => port, args = () => [] }: ClusterOptions,
  directory: string,
): Promise<Member> {
  // The default bus port, port + 10,000, may be taken or too high. It stays the same after a restart.
  const busPorts = new Map<number, number>();
  const node = await start(
    { flavour, directory, args: async () => args() },
    {
      scheme: 'redis',
      args: async port => {
        const busPort = busPorts.get(port) ?? (await freePort());
        busPorts.set(port, busPort);
        const bus = ['--cluster-port', String(busPort), '--cluster-node-timeout', String(nodeTimeoutMs)];
        // A replica may take over however long it was without its master, since there is no other.
        const takeover = ['--cluster-replica-validity-factor', '0', ...quickReplication];
        const told = [
          '--cluster-announce-ip',
          '127.0.0.1',
          '--cluster-announce-port',
          String(await announce(port)),
        ];
        const announced = [...told, '--cluster-announce-bus-port', String(busPort)];
        return ['--port', String(port), '--cluster-enabled', 'yes', ...bus, ...announced, ...takeover];
      },
    },
  );
  return { node, busPort: busPorts.get(node.port) as number, told: await announce(node.port) };
}

/** Replicas sync at once and acknowledge often; a primary that is stopped does not wait for them. */
export const quickReplication = [
  ...['--repl-diskless-sync-delay', '0', '--repl-ping-replica-period', '1'],
  ...['--shutdown-timeout', '0'],
];

async function joinMembers(members: Member[], masters: number): Promise<void> {
  const share = clusterSlots / masters;
  await Promise.all(
    members.slice(0, masters).map(({ node }, index) => {
      const range = [Math.round(index * share), Math.round((index + 1) * share) - 1].map(String);
      const epoch = ['CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1)];
      return redisCall(node, ['CLUSTER', 'ADDSLOTSRANGE', ...range], epoch);
    }),
  );
  const [first, ...others] = members as [Member, ...Member[]];
  for (const { told, busPort } of others) {
    await redisCall(first.node, ['CLUSTER', 'MEET', '127.0.0.1', String(told), String(busPort)]);
  }
  await Promise.all(
    members.map(({ node }) =>
      waitFor('forming of the cluster', clusterLimit, async () => {
        const [info = ''] = await redisCall(node, ['CLUSTER', 'INFO']);
        const complete = [`cluster_slots_ok:${clusterSlots}`, `cluster_known_nodes:${members.length}`];
        return ['cluster_state:ok', ...complete].every(line => info.includes(`${line}\r\n`));
      }),
    ),
  );
}

/** Makes the nodes after the masters their replicas, in turn. */
async function attachReplicas(nodes: RunningServer[], masters: number): Promise<void> {
  await Promise.all(
    nodes.slice(masters).map(async (node, index) => {
      const [id = ''] = await redisCall(nodes[index % masters]!, ['CLUSTER', 'MYID']);
      await redisCall(node, ['CLUSTER', 'REPLICATE', id]);
      await waitFor('first copy of a replica', clusterLimit, () => isCopying(node));
    }),
  );
}

/** Whether the node is a replica that has its primary's data and follows it. */
export async function isCopying(node: RedisAddress): Promise<boolean> {
  const [info = ''] = await redisCall(node, ['INFO', 'replication']);
  return info.includes('role:slave\r\n') && info.includes('master_link_status:up\r\n');
}
