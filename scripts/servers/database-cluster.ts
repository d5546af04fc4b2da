// What tests and the torture need of a database with three members, whatever its kind.

import { type Connection, createConnection } from 'mysql2/promise';
import type { RunningServer } from './process.ts';

const connectLimit = 2000;

export interface DatabaseCluster {
  readonly members: readonly RunningServer[];
  /** The member that takes writes; of Galera, where all do, the first to answer. Rejects if there is none. */
  primary(): Promise<RunningServer>;
  /** Cuts the member off from the others, but not from clients. */
  cut(member: RunningServer): Promise<void>;
  heal(member: RunningServer): Promise<void>;
  /** Starts a killed member; resolves when its server runs, possibly before it has joined the cluster. */
  restart(member: RunningServer): Promise<void>;
  /**
   * Resolves when all members have joined and are up to date; helps those that do not rejoin by themselves.
   */
  recovered(): Promise<void>;
  /** Kills all of them: nobody needs their data any more. */
  discard(): Promise<void>;
}

/** `HOST:PORT,HOST:PORT,HOST:PORT`, as in MYSQL_URL. */
export function hostList({ members }: DatabaseCluster): string {
  return members.map(({ port }) => `127.0.0.1:${port}`).join(',');
}

/** Runs statements as root on a member, over a separate connection. */
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
