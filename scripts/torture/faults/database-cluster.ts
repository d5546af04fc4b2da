/** A database of three members: one is killed, stopped or cut off, or writes collide between members. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Random } from '../../load/zipf.ts';
import { asRoot, type DatabaseCluster, type RunningServer, waitFor } from '../../servers.ts';
import { HUNG_MS } from '../hung.ts';
import type { ClusteredDatabase } from '../servers.ts';
import type { Stack } from '../stack.ts';
import { partitions } from '../traffic.ts';
import { between, type Fault, now, oneOf } from './fault.ts';

const databases: readonly ClusteredDatabase[] = ['group-replication', 'galera'];

/** The primary, or any member if all take writes. */
async function victimOf(
  { database }: Stack,
  cluster: DatabaseCluster,
  random: Random,
): Promise<RunningServer> {
  return database === 'galera' ? oneOf(random, cluster.members) : cluster.primary();
}

/** Resolves once a member other than the victim has committed a write. */
async function takenOver(cluster: DatabaseCluster, victim: RunningServer): Promise<void> {
  const others = cluster.members.filter(member => member !== victim);
  await waitFor('a member that takes writes', HUNG_MS, () =>
    Promise.any(
      others.map(async member => {
        await asRoot(member, ask => ask('REPLACE INTO scratch.beat VALUES (1, UUID())'));
        return true;
      }),
    ),
  );
}

interface Outage {
  kind: string;
  what: string;
  begin(cluster: DatabaseCluster, victim: RunningServer): unknown;
  end(cluster: DatabaseCluster, victim: RunningServer): unknown;
}

/** Lasts some seconds after another member took over, so that the old one finds a cluster that went on. */
function outage({ kind, what, begin, end }: Outage): Fault {
  return {
    kind,
    databases,
    isOutage: true,
    async run({ stack, random }) {
      const cluster = stack.cluster!;
      const victim = await victimOf(stack, cluster, random);
      const ms = between(random, 0, 4000);
      await begin(cluster, victim);
      await takenOver(cluster, victim);
      const since = now();
      const meanwhile = delay(ms).then(async () => {
        await end(cluster, victim);
        await cluster.recovered();
      });
      const number = cluster.members.indexOf(victim) + 1;
      return { what: `${what} member ${number}, until ${ms} ms after another took over`, since, meanwhile };
    },
  };
}

export const primaryKill = outage({
  kind: 'primaryKill',
  what: 'SIGKILL of',
  begin: (_, victim) => victim.kill('SIGKILL'),
  end: (cluster, victim) => cluster.restart(victim),
});

export const primaryStop = outage({
  kind: 'primaryStop',
  what: 'SIGSTOP of',
  begin: (_, victim) => victim.kill('SIGSTOP'),
  end: (_, victim) => victim.kill('SIGCONT'),
});

/** The member still answers its clients; only the other members do not hear it. */
export const primaryCut = outage({
  kind: 'primaryCut',
  what: 'network cut around',
  begin: (cluster, victim) => cluster.cut(victim),
  end: (cluster, victim) => cluster.heal(victim),
});

export const memberKill: Fault = {
  kind: 'memberKill',
  weight: 1,
  databases: ['group-replication'],
  async run({ stack, random }) {
    const cluster = stack.cluster!;
    const primary = await cluster.primary();
    const victim = oneOf(
      random,
      cluster.members.filter(member => member !== primary),
    );
    const since = now();
    victim.kill('SIGKILL');
    const ms = between(random, 0, 8000);
    const meanwhile = delay(ms).then(async () => {
      await cluster.restart(victim);
      await cluster.recovered();
    });
    return { what: `SIGKILL of a secondary, back after ${ms} ms`, since, meanwhile };
  },
};

/** Writes the watermark rows through each member in turn, to collide with commits through other members. */
export const certificationConflict: Fault = {
  kind: 'certificationConflict',
  databases: ['galera'],
  async run({ stack, random }) {
    const ms = between(random, 500, 2000);
    const until = now() + ms;
    let written = 0;
    let refused = 0;
    await Promise.all(
      stack.cluster!.members.map(member =>
        asRoot(member, async ask => {
          while (now() < until) {
            const partition = between(random, 0, partitions - 1);
            try {
              await ask(
                `UPDATE torture.sluice_partitions SET updated_at = UTC_TIMESTAMP(3) WHERE partition_id = ${partition}`,
              );
              written++;
            } catch {
              refused++;
            }
          }
        }),
      ),
    );
    return { what: `${written} writes of watermarks through all members, ${refused} refused`, since: now() };
  },
};
