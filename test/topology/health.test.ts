// What a producer says of its servers: while they answer, while one is gone, while one is silent.

import { expect, it } from 'vitest';
import { openEngine, until } from '../support/engine.ts';
import { openProxy } from '../support/proxy.ts';
import { ownServers } from '../support/servers.ts';

it('tells a server that is gone from one that answers, and sees it return', async () => {
  const { redis, mysql, servers } = await ownServers();
  const engine = await openEngine({}, servers);
  const sluice = await engine.producer();
  const connected = { redis: 'connected', database: 'connected' };
  expect(await sluice.health()).toEqual(connected);
  mysql.kill('SIGKILL');
  expect(await sluice.health()).toEqual({ redis: 'connected', database: 'disconnected' });
  redis.kill('SIGKILL');
  expect(await sluice.health()).toEqual({ redis: 'disconnected', database: 'disconnected' });
  await Promise.all([redis.restart(), mysql.restart()]);
  await until(
    async () => JSON.stringify(await sluice.health()) === JSON.stringify(connected),
    'both to be back',
  );
});

it('does not wait for servers that fell silent', async () => {
  const { servers } = await ownServers();
  const engine = await openEngine({}, servers);
  const redis = await openProxy(engine.redisUrl);
  const mysql = await openProxy(engine.mysqlUrl);
  const sluice = await engine.producer({ redisUrl: redis.url, mysqlUrl: mysql.url });
  // New connections too: a producer that has asked MySQL nothing yet makes one.
  redis.silence('silent');
  mysql.silence('silent');
  const answer = await Promise.race([
    sluice.health(),
    // Far above the limit of health itself: what would fail here is an answer that never comes.
    new Promise(resolve => setTimeout(resolve, 10_000, 'no answer').unref()),
  ]);
  expect(answer).toEqual({ redis: 'disconnected', database: 'disconnected' });
});
