/** Queries a database of three members as root: one member of the cluster, or all of them for differences. */
import { createPool, type Pool } from 'mysql2/promise';
import { asRoot, type DatabaseCluster, type RunningServer, waitFor } from '../servers.ts';
import { HUNG_MS } from './hung.ts';

const askAgainAfter = 300;
const queryLimit = 5000;

/** The part that a single server's pool has too. */
export type Root = Pick<Pool, 'query' | 'getConnection'>;

export class ClusterRoot implements Root {
  readonly #cluster: DatabaseCluster;
  readonly #pools: Map<RunningServer, Pool>;
  #asked = 0;
  #member: Promise<RunningServer> | undefined;

  constructor(cluster: DatabaseCluster, database: string) {
    this.#cluster = cluster;
    this.#pools = new Map(
      cluster.members.map(member => [
        member,
        createPool({ uri: `${member.url}/${database}`, connectionLimit: 4, connectTimeout: 2000 }),
      ]),
    );
  }

  /** With a limit, since the member may have stopped since it was chosen. */
  readonly query = (async (sql: string, values?: unknown[]) =>
    (await this.#pool()).query({ sql, values: values ?? [], timeout: queryLimit })) as Pool['query'];

  async getConnection() {
    return (await this.#pool()).getConnection();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map(pool => pool.end().catch(() => {})));
  }

  async #pool(): Promise<Pool> {
    if (!this.#member || performance.now() - this.#asked > askAgainAfter) {
      this.#asked = performance.now();
      this.#member = this.#cluster.primary();
      this.#member.catch(() => {});
    }
    return this.#pools.get(await this.#member)!;
  }
}

/** Waits until every member holds the same data; returns a difference that remains. */
export async function differenceOfMembers(
  cluster: DatabaseCluster,
  database: string,
): Promise<string | undefined> {
  let sums: string[] = [];
  try {
    await waitFor('equal members', HUNG_MS, async () => {
      sums = await Promise.all(cluster.members.map(member => checksums(member, database)));
      return new Set(sums).size === 1;
    });
    return undefined;
  } catch {
    return `the members differ: ${sums.join(' / ')}`;
  }
}

function checksums(member: RunningServer, database: string): Promise<string> {
  return asRoot(member, async ask => {
    const tables = await ask(
      `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = '${database}' ORDER BY table_name`,
    );
    const names = tables.map(({ name }) => `${database}.${name}`).join(', ');
    const rows = await ask(`CHECKSUM TABLE ${names}`);
    return rows.map(row => `${row.Table} ${row.Checksum}`).join(', ');
  });
}
