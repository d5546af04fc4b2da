/**
 * Starts a Redis with replicas under Sentinels, which promote a replica within seconds if the primary is
 * gone. A restarted node follows the current primary.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { versionOf } from './binaries.ts';
import { type RunningServer, startServer, waitFor } from './process.ts';
import {
  type Announce,
  isCopying,
  quickReplication,
  type RedisFlavour,
  redisAnswers,
  redisProgram,
  startRedis,
} from './redis.ts';
import { redisCall } from './redis-protocol.ts';

export interface RedisSentinel {
  /** redis+sentinel://127.0.0.1:26379,127.0.0.1:26380,.../primary */
  url: string;
  /** Initial primary first. */
  nodes: RunningServer[];
  sentinels: RunningServer[];
  /** Announced port of the node that the Sentinels call the primary. */
  primaryPort(): Promise<number>;
  /** Kills all of them: nobody needs their data any more. */
  discard(): Promise<void>;
}

export interface SentinelOptions {
  flavour: RedisFlavour;
  directory: string;
  replicas?: number;
  /** Time after which a silent primary counts as gone, ms. */
  downAfterMs?: number;
  announce?: Announce;
  /** Options of every data node, computed at each of its starts. */
  args?: () => string[];
}

const sentinelCount = 3;
const quorum = 2;
const formingLimit = 60_000;
const primaryName = 'primary';

export async function startRedisSentinel(options: SentinelOptions): Promise<RedisSentinel> {
  const { flavour, directory, replicas = 2, downAfterMs = 1000 } = options;
  const { announce = async port => port, args: added = () => [] } = options;
  const nodes: RunningServer[] = [];
  const sentinels: RunningServer[] = [];
  const discard = async () => {
    await Promise.all([...sentinels, ...nodes].map(server => server.discard()));
  };
  const primaryPort = () => askSentinels(sentinels);
  const start = async (index: number) => {
    const args = async (port: number) => {
      const own = await announce(port);
      const isFirst = index === 0 && nodes.length === 0;
      const primary = isFirst ? own : await primaryPort().catch(() => announce(nodes[0]!.port));
      const told = ['--replica-announce-ip', '127.0.0.1', '--replica-announce-port', String(own)];
      return [...quickReplication, ...told, ...(primary !== own ? replicaOf(primary) : []), ...added()];
    };
    return startRedis({ flavour, directory: join(directory, `node${index}`), args });
  };
  try {
    nodes.push(await start(0));
    nodes.push(...(await Promise.all(Array.from({ length: replicas }, (_, index) => start(index + 1)))));
    await Promise.all(nodes.slice(1).map(node => waitFor('first copy', formingLimit, () => isCopying(node))));
    const primary = await announce(nodes[0]!.port);
    const starting = Array.from({ length: sentinelCount }, (_, index) =>
      startSentinel(flavour, join(directory, `sentinel${index}`), primary, downAfterMs),
    );
    sentinels.push(...(await Promise.all(starting)));
    const complete = `slaves=${replicas},sentinels=${sentinelCount}`;
    const knowsAll = async (sentinel: RunningServer) => (await said(sentinel)).includes(complete);
    await Promise.all(
      sentinels.map(sentinel => waitFor('meeting of the Sentinels', formingLimit, () => knowsAll(sentinel))),
    );
  } catch (error) {
    await discard();
    throw error;
  }
  const hosts = sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',');
  return { url: `redis+sentinel://${hosts}/${primaryName}`, nodes, sentinels, primaryPort, discard };
}

const replicaOf = (port: number) => ['--replicaof', `127.0.0.1 ${port}`];

async function startSentinel(
  flavour: RedisFlavour,
  directory: string,
  primary: number,
  downAfterMs: number,
): Promise<RunningServer> {
  await mkdir(directory, { recursive: true });
  const config = join(directory, 'sentinel.conf');
  // Sentinel writes its knowledge into this file, and needs it after a restart.
  if (!existsSync(config)) {
    const lines = [
      `monitor ${primaryName} 127.0.0.1 ${primary} ${quorum}`,
      `down-after-milliseconds ${primaryName} ${downAfterMs}`,
      `failover-timeout ${primaryName} ${downAfterMs * 5}`,
      `parallel-syncs ${primaryName} 10`,
    ];
    writeFileSync(config, lines.map(line => `sentinel ${line}\n`).join(''));
  }
  const file = redisProgram(flavour);
  return startServer({
    name: 'sentinel',
    version: await versionOf(file),
    directory,
    file,
    url: port => `redis://127.0.0.1:${port}`,
    args: port => [config, '--sentinel', '--port', String(port), '--bind', '127.0.0.1', '--dir', directory],
    answers: ({ port, pid }) => redisAnswers({ port }, pid),
  });
}

async function said(sentinel: RunningServer): Promise<string> {
  const [info = ''] = await redisCall(sentinel, ['INFO', 'sentinel']);
  return info;
}

/** The answer of most of the Sentinels that answer. */
async function askSentinels(sentinels: RunningServer[]): Promise<number> {
  const answers = await Promise.allSettled(sentinels.map(said));
  const votes = new Map<number, number>();
  for (const answer of answers) {
    if (answer.status === 'rejected') continue;
    const port = Number(/address=127\.0\.0\.1:(\d+)/.exec(answer.value)?.[1]);
    votes.set(port, (votes.get(port) ?? 0) + 1);
  }
  const [most] = [...votes].sort((a, b) => b[1] - a[1]);
  if (!most) throw new Error('no Sentinel says which node is the primary');
  return most[0];
}
