// What tests and the torture ask of a database of three members, whichever kind it is.

import { type Connection, createConnection } from 'mysql2/promise';
import type { RunningServer } from './process.ts';

const connectLimit = 2000;

export interface DatabaseCluster {
  readonly members: readonly RunningServer[];
  /** The member that takes writes; of Galera, where all do, the quickest. Rejects if there is none. */
  primary(): Promise<RunningServer>;
  /** Cuts the member off from the others; clients still reach it. */
  cut(member: RunningServer): Promise<void>;
  heal(member: RunningServer): Promise<void>;
  /** Starts a member again that was killed; resolves when its server runs, which may be before it is in the cluster. */
  restart(member: RunningServer): Promise<void>;
  /** Resolves when all members are in the cluster and up to date; helps those that do not come back by themselves. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

/** `HOST:PORT,HOST:PORT,HOST:PORT`, as MYSQL_URL takes them. */
export function hostList({ members }: DatabaseCluster): string {
  return members.map(({ port }) => `127.0.0.1:${port}`).join(',');
}

/** Runs statements as root on one member, over a connection of their own. */
export async function asRoot<Result>(
  member: RunningServer,
  use: (ask: (sql: string) => Promise<Record<string, unknown>[]>, connection: Connection) => Promise<Result>,
): Promise<Result> {
  const connection = await createConnection({ uri: member.url, connectTimeout: connectLimit });
  connection.on('error', () => {});
  try {
    const ask = async (sql: string) => {
      const [rows] = await connection.query({ sql, timeout: 30_000 });
      return rows as Record<string, unknown>[];
    };
    return await use(ask, connection);
  } finally {
    connection.destroy();
  }
}
