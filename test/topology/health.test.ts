// What a producer's health says of its servers: while they answer, while one is gone, while one is silent.

import { expect, it } from 'vitest';
import { openEngine, until } from '../support/engine.ts';
import { openProxy } from '../support/proxy.ts';
import { ownServers } from '../support/servers.ts';

it('health tells a missing server from one that answers, and notices its return', async () => {
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

it('health does not wait for silent servers', async () => {
  const { servers } = await ownServers();
  const engine = await openEngine({}, servers);
  const redis = await openProxy(engine.redisUrl);
  const mysql = await openProxy(engine.mysqlUrl);
  const sluice = await engine.producer({ redisUrl: redis.url, mysqlUrl: mysql.url });
  // New connections must be silent too, since this producer has not used MySQL yet.
  redis.silence('silent');
  mysql.silence('silent');
  const answer = await Promise.race([
    sluice.health(),
    // Far above the timeout of health: only a call that never ends fails here.
    new Promise(resolve => setTimeout(resolve, 10_000, 'no answer').unref()),
  ]);
  expect(answer).toEqual({ redis: 'disconnected', database: 'disconnected' });
});
