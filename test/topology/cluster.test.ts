// Redis Cluster: partitions are spread over its masters, everything else is as with one Redis.

import { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { createProducer } from '../../src/producer/index.ts';
import { definitions, openEngine } from '../support/engine.ts';
import { ownCluster } from '../support/servers.ts';

it('partitions on several masters count exactly, can be read, and resolve receipts', async () => {
  const { cluster, servers } = await ownCluster();
  const engine = await openEngine({ partitions: 16 }, servers);
  const sluice = await engine.producer();
  await engine.worker();
  const updates = Array.from({ length: 5000 }, (_, i) => ({
    counter: 'views',
    key: `k${i % 500}`,
    by: 1 + (i % 3),
  }));
  const results = await sluice.apply(updates);
  expect(results.every(result => result.ok)).toBe(true);
  for (const result of results.slice(-16)) if (result.ok) await result.persisted();
  const entries = await sluice.apply(
    Array.from({ length: 300 }, (_, i) => ({
      points: 'loyalty',
      account: `${i % 50}`,
      amount: 1,
      id: `${i}`,
    })),
  );
  for (const result of entries) if (result.ok) await result.persisted();
  const sum = updates.reduce((total, update) => total + update.by, 0);
  await engine.drain();
  expect((await engine.database.query('SELECT SUM(value) AS total FROM sluice_counters'))[0]!.total).toBe(
    String(sum),
  );
  expect((await engine.database.query('SELECT SUM(balance) AS total FROM sluice_accounts'))[0]!.total).toBe(
    '300',
  );
  expect(
    (await sluice.counter('views').getMany(Array.from({ length: 500 }, (_, i) => `k${i}`))).reduce(
      (a, b) => a + b,
      0,
    ),
  ).toBe(sum);
  expect((await sluice.points('loyalty').history('7')).length).toBe(6);
  for (const node of cluster.nodes) {
    const direct = new Redis(node.url);
    expect(await direct.dbsize()).toBeGreaterThan(0);
    direct.disconnect();
  }
  const { mysqlUrl, name } = engine;
  const settings = { partitions: 16 };
  const asSingle = { redis: cluster.nodes[0]!.url, mysql: mysqlUrl, namespace: name, definitions, settings };
  await expect(createProducer(asSingle)).rejects.toMatchObject({ code: 'REDIS_UNSUITABLE' });
});
