/** Counts the connections of each user at the servers, and ends them. */
import type { RowDataPacket } from 'mysql2/promise';
import { redisCall } from '../servers/redis-protocol.ts';
import { asRoot, type RunningServer } from '../servers.ts';
import type { ServerKind } from './accounts.ts';
import type { Stack } from './stack.ts';

/** The largest number on one server, by user. */
export type Connections = ReadonlyMap<string, number>;

export async function countConnections(stack: Stack, kind: ServerKind): Promise<Connections> {
  const lists = await Promise.all(
    kind === 'redis' ? stack.redis.nodes.map(redisUsers) : stack.members.map(mysqlUsers),
  );
  const most = new Map<string, number>();
  for (const users of lists) {
    for (const [user, list] of Map.groupBy(users, name => name))
      most.set(user, Math.max(most.get(user) ?? 0, list.length));
  }
  return most;
}

/** Ends every connection of the user. */
export async function endConnections(stack: Stack, kind: ServerKind, user: string): Promise<void> {
  if (kind === 'redis') {
    await Promise.all(stack.redis.nodes.map(node => redisCall(node, ['CLIENT', 'KILL', 'USER', user])));
    return;
  }
  await Promise.all(
    stack.members.map(member =>
      asRoot(member, async ask => {
        // The connection may have ended by itself.
        for (const { id } of await ask(
          `SELECT ID AS id FROM information_schema.PROCESSLIST WHERE USER = '${user}'`,
        ))
          await ask(`KILL ${Number(id)}`).catch(() => {});
      }),
    ),
  );
}

/** The user of each connection. */
async function redisUsers(node: RunningServer): Promise<string[]> {
  const [list = ''] = await redisCall(node, ['CLIENT', 'LIST']);
  return [...list.matchAll(/ user=(\S+)/g)].map(([, user]) => user!);
}

function mysqlUsers(member: RunningServer): Promise<string[]> {
  return asRoot(member, async (_, connection) => {
    const [rows] = await connection.query<RowDataPacket[]>(
      'SELECT USER AS user FROM information_schema.PROCESSLIST',
    );
    return rows.map(({ user }) => String(user));
  });
}
