/** Passwords that change while processes run: first at the server, a little later in the processes' files. */
import { setTimeout as delay } from 'node:timers/promises';
import { redisCall } from '../../servers/redis-protocol.ts';
import type { Account, ServerKind } from '../accounts.ts';
import { endConnections } from '../connections.ts';
import type { Stack } from '../stack.ts';
import { between, type Fault, now, oneOf } from './fault.ts';

const names: Readonly<Record<ServerKind, string>> = { redis: 'Redis', mysql: 'the database' };

/** The old password and all its connections end at once. */
async function change(stack: Stack, kind: ServerKind, { name, secrets }: Account): Promise<void> {
  const password = secrets[kind].change();
  if (kind === 'redis') {
    const set = ['ACL', 'SETUSER', name, 'resetpass', `>${password}`];
    await Promise.all(stack.redis.nodes.map(node => redisCall(node, set)));
  } else {
    await stack.root.query(`ALTER USER '${name}'@'%' IDENTIFIED BY '${password}'`);
  }
  await endConnections(stack, kind, name);
}

export const passwordChanged: Fault = {
  kind: 'passwordChanged',
  isOutage: true,
  async run({ stack, random }) {
    const kind = oneOf(random, ['redis', 'mysql'] as const);
    const { accounts } = stack;
    const ms = between(random, 0, 3000);
    await Promise.all(accounts.all.map(account => change(stack, kind, account)));
    await delay(ms);
    for (const { secrets } of accounts.all) secrets[kind].publish();
    return { what: `passwords of ${names[kind]} changed, known after ${ms} ms`, since: now() };
  },
};
