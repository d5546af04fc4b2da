// ioredis gives a connection up for good if Sentinels report a failover while it is reconnecting.

import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { startRedisSentinel } from '../../scripts/servers.ts';
import { connectRedis, openRedis } from '../../src/shared/redis/connections.ts';
import { cleanUp } from '../support/cleanup.ts';
import { until } from '../support/engine.ts';
import { temporaryFolder } from '../support/servers.ts';

it('a connection that ioredis gave up is opened again, and a closed one is not', async () => {
  const servers = await startRedisSentinel({
    flavour: 'redis8',
    directory: join(await temporaryFolder(), 'redis'),
  });
  cleanUp(() => servers.discard());
  const connection = openRedis({ url: servers.url }, () => {}) as Redis;
  await connectRedis(connection, 'test');
  const ended = new Promise(resolve => connection.once('end', resolve));
  // The failover detector of ioredis does the same when it hears of a failover.
  const { connector } = connection as unknown as { connector: { disconnect(): void } };
  connection.once('connecting', () => connector.disconnect());
  connection.disconnect(true);
  await ended;
  await until(() => connection.status === 'ready', 'the connection to come back');
  expect(await connection.ping()).toBe('PONG');

  const closed = new Promise(resolve => connection.once('end', resolve));
  connection.disconnect();
  await closed;
  await new Promise(resolve => setTimeout(resolve, 200));
  expect(connection.status).toBe('end');
});
