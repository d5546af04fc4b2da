// A Galera cluster of MariaDB: three members on this machine, each of which takes writes. They start from
// copies of one data folder, so none needs a full copy: it gets missed writes from another member's cache.

import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder, findBinary } from './binaries.ts';
import { asRoot, type DatabaseCluster } from './database-cluster.ts';
import { startMysql, temporary } from './mysql.ts';
import { freePort, type RunningServer, waitFor } from './process.ts';

const size = 3;
const settleLimit = 90_000;
const synced = '4';
const run = promisify(execFile);

interface Ports {
  readonly group: number;
  readonly transfer: number;
}

export async function startGalera({ directory }: { directory: string }): Promise<DatabaseCluster> {
  const ports: Ports[] = [];
  for (let index = 0; index < size; index++)
    ports.push({ group: await freePort(), transfer: await freePort() });
  const members: RunningServer[] = [];
  try {
    const first = await startMember(directory, 0, ports, () => members.length === 0);
    members.push(first);
    await copyToOthers(first, directory);
    const others = [1, 2].map(index => startMember(directory, index, ports));
    for (const other of await Promise.allSettled(others)) {
      if (other.status === 'rejected') throw other.reason;
      members.push(other.value);
    }
    const cluster = new Cluster(members);
    await cluster.recovered();
    return cluster;
  } catch (error) {
    await Promise.all(members.map(member => member.stop()));
    throw error;
  }
}

/** The first member founds the cluster at its first start, and again after it was stopped to be copied. */
async function copyToOthers(first: RunningServer, directory: string): Promise<void> {
  await first.stop();
  for (let index = 1; index < size; index++) {
    await mkdir(folderOf(directory, index), { recursive: true });
    await cp(dataOf(directory, 0), dataOf(directory, index), { recursive: true });
  }
  founding.add(dataOf(directory, 0));
  await first.restart();
  founding.delete(dataOf(directory, 0));
}

/** Data folders whose server founds a cluster at its next start instead of joining one. */
const founding = new Set<string>();

const folderOf = (directory: string, index: number) => join(directory, `member${index}`);
const dataOf = (directory: string, index: number) => join(folderOf(directory, index), 'data');

function startMember(
  directory: string,
  index: number,
  ports: readonly Ports[],
  isFirst: () => boolean = () => false,
): Promise<RunningServer> {
  const data = dataOf(directory, index);
  const { group, transfer } = ports[index]!;
  const address = (port: number) => `127.0.0.1:${port}`;
  const settings = [
    `--server-id=${index + 1}`,
    '--binlog-format=ROW',
    '--innodb-autoinc-lock-mode=2',
    '--innodb-buffer-pool-size=96M',
    '--wsrep-on=ON',
    `--wsrep-provider=${join(cacheFolder(), 'servers/galera/root/usr/lib/galera/libgalera_smm.so')}`,
    '--wsrep-cluster-name=test',
    `--wsrep-cluster-address=gcomm://${ports.map(member => address(member.group)).join()}`,
    `--wsrep-node-address=${address(group)}`,
    // scripts/unpack-server.sh writes this script.
    '--wsrep-sst-method=ist',
    `--wsrep-provider-options=${[
      `gmcast.listen_addr=tcp://${address(group)}`,
      `ist.recv_addr=${address(transfer)}`,
      'gcache.size=128M',
      // Excludes a silent member after two seconds instead of five.
      'evs.keepalive_period=PT0.5S',
      'evs.suspect_timeout=PT2S',
      'evs.inactive_timeout=PT4S',
    ].join(';')}`,
  ];
  const args = async () => {
    const founds = isFirst() || founding.has(data);
    return [...settings, ...(founds ? ['--wsrep-new-cluster'] : []), ...(await recovered(data, settings))];
  };
  return startMysql({ flavour: 'galera', directory: folderOf(directory, index), args });
}

/** A killed member must be told the position of its own data. */
async function recovered(data: string, settings: string[]): Promise<string[]> {
  const state = join(data, 'grastate.dat');
  if (!existsSync(state) || !/seqno:\s*-1\b/.test(readFileSync(state, 'utf8'))) return [];
  const root = process.getuid?.() === 0 ? ['--user=root'] : [];
  const { stderr, stdout } = await run(findBinary('galera', ['mariadbd']), [
    ...root,
    `--datadir=${data}`,
    `--tmpdir=${temporary(data)}`,
    ...settings,
    '--innodb-log-file-size=96M',
    '--skip-networking',
    '--socket=mysql.sock',
    '--wsrep-recover',
  ]);
  const position = /Recovered position: (\S+)/.exec(stderr + stdout)?.[1];
  if (!position) throw new Error(`no position in what ${data} recovered:\n${stderr}`);
  return [`--wsrep-start-position=${position}`];
}

class Cluster implements DatabaseCluster {
  readonly members: readonly RunningServer[];

  constructor(members: readonly RunningServer[]) {
    this.members = members;
  }

  primary(): Promise<RunningServer> {
    const claims = this.members.map(async member => {
      if (!isIn(await status(member))) throw new Error('not in the cluster');
      return member;
    });
    return Promise.any(claims);
  }

  /** Galera's switch for tests: the member drops what the others send, and sends nothing. */
  async cut(member: RunningServer): Promise<void> {
    await isolate(member, 1);
  }

  async heal(member: RunningServer): Promise<void> {
    await isolate(member, 0);
  }

  restart(member: RunningServer): Promise<void> {
    return member.restart();
  }

  async recovered(): Promise<void> {
    await waitFor('a cluster of three', settleLimit, async () => {
      const all = await Promise.all(this.members.map(status));
      return all.every(found => isIn(found) && found.wsrep_cluster_size === String(size));
    });
  }

  async discard(): Promise<void> {
    await Promise.all(this.members.map(member => member.discard()));
  }
}

async function isolate(member: RunningServer, value: 0 | 1): Promise<void> {
  await asRoot(member, ask => ask(`SET GLOBAL wsrep_provider_options = 'gmcast.isolate=${value}'`));
}

async function status(member: RunningServer): Promise<Record<string, string>> {
  const rows = await asRoot(member, ask => ask(`SHOW GLOBAL STATUS LIKE 'wsrep\\_%'`));
  return Object.fromEntries(rows.map(row => [row.Variable_name, String(row.Value)]));
}

function isIn({ wsrep_ready, wsrep_local_state }: Record<string, string>): boolean {
  return wsrep_ready === 'ON' && wsrep_local_state === synced;
}
