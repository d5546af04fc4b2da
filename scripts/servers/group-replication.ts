// MySQL Group Replication: three members on this machine, one of them primary. The members speak MySQL's own protocol with
// one another (communication stack MYSQL), each through a proxy, so that their network can be cut.

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { asRoot, type DatabaseCluster } from './database-cluster.ts';
import { MemberLinks } from './member-links.ts';
import { startMysql } from './mysql.ts';
import { type RunningServer, waitFor } from './process.ts';

const size = 3;
/** Under which members log in to one another. */
const [user, password] = ['member', 'member'];
const settleLimit = 90_000;
/** A member that is neither in the group nor on its way gets a start of its own, at most this often, ms. */
const nudgeEvery = 3000;

export async function startGroupReplication({ directory }: { directory: string }): Promise<DatabaseCluster> {
  const starting = Array.from({ length: size }, (_, index) => startMember(directory, index));
  const stopAll = () => Promise.allSettled(starting.map(async member => (await member).stop()));
  let links: MemberLinks | undefined;
  try {
    const members = await Promise.all(starting);
    links = await MemberLinks.open(members);
    const group = new Group(members, links, randomUUID());
    await group.form();
    return group;
  } catch (error) {
    await stopAll();
    await links?.close();
    throw error;
  }
}

function startMember(directory: string, index: number): Promise<RunningServer> {
  return startMysql({
    flavour: 'mysql97',
    directory: join(directory, `member${index}`),
    args: [
      `--server-id=${index + 1}`,
      '--gtid-mode=ON',
      '--enforce-gtid-consistency=ON',
      '--report-host=127.0.0.1',
      '--plugin-load-add=group_replication.so',
      '--loose-group_replication_start_on_boot=OFF',
      // Where the state of members is read.
      '--performance-schema=ON',
      '--innodb-buffer-pool-size=96M',
    ],
  });
}

class Group implements DatabaseCluster {
  readonly members: readonly RunningServer[];
  readonly #links: MemberLinks;
  readonly #name: string;
  readonly #nudged = new Map<RunningServer, number>();

  constructor(members: readonly RunningServer[], links: MemberLinks, name: string) {
    this.members = members;
    this.#links = links;
    this.#name = name;
  }

  async form(): Promise<void> {
    await Promise.all(this.members.map((member, index) => this.#introduce(member, index)));
    for (const [index, member] of this.members.entries()) {
      await asRoot(member, async ask => {
        if (index === 0) await ask('SET GLOBAL group_replication_bootstrap_group = ON');
        await ask('START GROUP_REPLICATION');
        await ask('SET GLOBAL group_replication_bootstrap_group = OFF');
      });
    }
    await this.settled();
  }

  /** Users that each member knows by itself, and the group's settings. */
  async #introduce(member: RunningServer, index: number): Promise<void> {
    await asRoot(member, async ask => {
      await ask('SET SESSION sql_log_bin = 0');
      await ask(`CREATE USER '${user}'@'%' IDENTIFIED BY '${password}'`);
      const rights = 'REPLICATION SLAVE, CONNECTION_ADMIN, BACKUP_ADMIN, GROUP_REPLICATION_STREAM';
      await ask(`GRANT ${rights} ON *.* TO '${user}'@'%'`);
      await ask('RESET BINARY LOGS AND GTIDS');
      const login = `SOURCE_USER = '${user}', SOURCE_PASSWORD = '${password}'`;
      await ask(`CHANGE REPLICATION SOURCE TO ${login} FOR CHANNEL 'group_replication_recovery'`);
    });
    await this.#configure(member, index);
  }

  async #configure(member: RunningServer, index: number): Promise<void> {
    const address = (port: number) => `127.0.0.1:${port}`;
    const settings = {
      communication_stack: `'MYSQL'`,
      group_name: `'${this.#name}'`,
      local_address: `'${address(this.#links.ports[index]!)}'`,
      group_seeds: `'${this.#links.ports.map(address).join()}'`,
      recovery_get_public_key: 'ON',
      // A dead member is expelled five seconds after its last word, rather than ten.
      member_expel_timeout: '0',
    };
    // Kept over a restart: a member that does not know of its group would take writes by itself.
    const all = Object.entries(settings).map(
      ([name, value]) => `PERSIST group_replication_${name} = ${value}`,
    );
    await asRoot(member, ask => ask(`SET ${all.join(', ')}`));
  }

  /** Asks every member: a cut one still believes in the group that it had. Where two say so, the one with more company. */
  async primary(): Promise<RunningServer> {
    const claims = await Promise.all(
      this.members.map(async member => {
        const rows = await states(member).catch(() => []);
        const own = rows.find(row => row.port === member.port);
        const company = rows.filter(row => row.state === 'ONLINE').length;
        const isPrimary = own?.state === 'ONLINE' && own.role === 'PRIMARY';
        return { member, company: isPrimary && company > rows.length / 2 ? company : 0 };
      }),
    );
    const best = claims.toSorted((a, b) => b.company - a.company)[0]!;
    if (best.company === 0) throw new Error('the group has no primary');
    return best.member;
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

  async settled(): Promise<void> {
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

  async stop(): Promise<void> {
    await Promise.all(this.members.map(member => member.stop()));
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
