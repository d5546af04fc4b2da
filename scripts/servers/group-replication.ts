// MySQL Group Replication with three members on this machine, one of them primary. They talk in MySQL's own
// protocol (communication stack MYSQL), each through a proxy, so that their network can be cut.

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { asRoot, type DatabaseCluster } from './database-cluster.ts';
import { MemberLinks } from './member-links.ts';
import { startMysql } from './mysql.ts';
import { type RunningServer, waitFor } from './process.ts';

const size = 3;
/** Account with which members log in to each other. */
const [user, password] = ['member', 'member'];
const settleLimit = 90_000;
/** Minimum interval, in ms, between attempts to start replication on a member that has left the group. */
const nudgeEvery = 3000;

export async function startGroupReplication({ directory }: { directory: string }): Promise<DatabaseCluster> {
  const links = await MemberLinks.open(size);
  const name = randomUUID();
  const starting = links.ports.map((_, index) => startMember(directory, index, name, links.ports));
  try {
    const members = await Promise.all(starting);
    links.lead(members);
    const group = new Group(members, links);
    await group.form();
    return group;
  } catch (error) {
    await Promise.allSettled(starting.map(async member => (await member).stop()));
    await links.close();
    throw error;
  }
}

function startMember(
  directory: string,
  index: number,
  group: string,
  ports: readonly number[],
): Promise<RunningServer> {
  const address = (port: number) => `127.0.0.1:${port}`;
  // A restarted member that did not know its group from its arguments would take writes alone.
  const settings = {
    communication_stack: 'MYSQL',
    group_name: group,
    local_address: address(ports[index]!),
    group_seeds: ports.map(address).join(),
    recovery_get_public_key: 'ON',
    start_on_boot: 'OFF',
    // Expels a dead member after five seconds instead of ten.
    member_expel_timeout: '0',
  };
  return startMysql({
    flavour: 'mysql97',
    directory: join(directory, `member${index}`),
    args: [
      `--server-id=${index + 1}`,
      '--gtid-mode=ON',
      '--enforce-gtid-consistency=ON',
      '--report-host=127.0.0.1',
      '--plugin-load-add=group_replication.so',
      ...Object.entries(settings).map(([name, value]) => `--loose-group_replication_${name}=${value}`),
      // The states of members are in the performance schema.
      '--performance-schema=ON',
      '--innodb-buffer-pool-size=96M',
    ],
  });
}

class Group implements DatabaseCluster {
  readonly members: readonly RunningServer[];
  readonly #links: MemberLinks;
  readonly #nudged = new Map<RunningServer, number>();

  constructor(members: readonly RunningServer[], links: MemberLinks) {
    this.members = members;
    this.#links = links;
  }

  async form(): Promise<void> {
    await Promise.all(this.members.map(member => this.#introduce(member)));
    for (const [index, member] of this.members.entries()) {
      await asRoot(member, async ask => {
        if (index === 0) await ask('SET GLOBAL group_replication_bootstrap_group = ON');
        await ask('START GROUP_REPLICATION');
        await ask('SET GLOBAL group_replication_bootstrap_group = OFF');
      });
    }
    await this.recovered();
  }

  /** Creates the users that each member needs locally, and the settings of the group. */
  async #introduce(member: RunningServer): Promise<void> {
    await asRoot(member, async ask => {
      await ask('SET SESSION sql_log_bin = 0');
      await ask(`CREATE USER '${user}'@'%' IDENTIFIED BY '${password}'`);
      const rights = 'REPLICATION SLAVE, CONNECTION_ADMIN, BACKUP_ADMIN, GROUP_REPLICATION_STREAM';
      await ask(`GRANT ${rights} ON *.* TO '${user}'@'%'`);
      await ask('RESET BINARY LOGS AND GTIDS');
      const login = `SOURCE_USER = '${user}', SOURCE_PASSWORD = '${password}'`;
      await ask(`CHANGE REPLICATION SOURCE TO ${login} FOR CHANNEL 'group_replication_recovery'`);
    });
  }

  /**
   * Waits until the others have noticed: a member that was just cut off still believes to be in the group.
   */
  primary(): Promise<RunningServer> {
    const claims = this.members.map(async member => {
      const rows = await states(member);
      const own = rows.find(row => row.port === member.port);
      const online = rows.filter(row => row.state === 'ONLINE').length;
      if (own?.state !== 'ONLINE' || own.role !== 'PRIMARY' || online <= rows.length / 2)
        throw new Error('not the primary');
      return member;
    });
    return Promise.any(claims);
  }

  async cut(member: RunningServer): Promise<void> {
    this.#links.cut(this.members.indexOf(member));
  }

  async heal(member: RunningServer): Promise<void> {
    this.#links.heal(this.members.indexOf(member));
  }

  restart(member: RunningServer): Promise<void> {
    return member.restart();
  }

  async recovered(): Promise<void> {
    await waitFor('a group of three', settleLimit, async () => {
      const primary = await this.primary();
      const rows = await states(primary);
      const online = new Set(rows.filter(row => row.state === 'ONLINE').map(row => row.port));
      const missing = this.members.filter(member => !online.has(member.port));
      await Promise.all(missing.map(member => this.#nudge(member)));
      return missing.length === 0;
    });
  }

  async #nudge(member: RunningServer): Promise<void> {
    if (Date.now() - (this.#nudged.get(member) ?? 0) < nudgeEvery) return;
    this.#nudged.set(member, Date.now());
    await asRoot(member, async ask => {
      const own = (await states(member)).find(row => row.port === member.port);
      if (own?.state === 'RECOVERING') return;
      await ask('STOP GROUP_REPLICATION');
      await ask('START GROUP_REPLICATION');
    }).catch(() => {});
  }

  async discard(): Promise<void> {
    await Promise.all(this.members.map(member => member.discard()));
    await this.#links.close();
  }
}

async function states(member: RunningServer) {
  const rows = await asRoot(member, ask =>
    ask(
      'SELECT member_port AS port, member_state AS state, member_role AS role FROM performance_schema.replication_group_members',
    ),
  );
  return rows.map(({ port, state, role }) => ({ port: Number(port), state, role }));
}
