// A Redis Cluster moves the slot of a partition to another master while updates are pending: none that was acknowledged
// is lost, and whoever calls in between hears that the call may be repeated.

import { join } from 'node:path';
import { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { type RedisCluster, startMysql, startRedisCluster } from '../../scripts/servers.ts';
import { cleanUp } from '../support/cleanup.ts';
import { openEngine } from '../support/engine.ts';
import { temporaryFolder } from '../support/servers.ts';

async function openCluster() {
  const folder = await temporaryFolder();
  const [cluster, mysql] = await Promise.all([
    startRedisCluster({ flavour: 'redis8', directory: join(folder, 'redis') }),
    startMysql({ flavour: 'mysql97', directory: join(folder, 'mysql') }),
  ]);
  cleanUp(async () => {
    await cluster.stop();
    await mysql.stop();
  });
  return { cluster, place: { redisUrl: cluster.url, mysqlUrl: mysql.url } };
}

/** Moves the slot of a key step by step. */
async function openMove(cluster: RedisCluster, stateKey: string) {
  const nodes = cluster.nodes.map(node => new Redis(node.url));
  cleanUp(() => {
    for (const node of nodes) node.disconnect();
  });
  const ids = await Promise.all(nodes.map(node => node.cluster('MYID') as Promise<string>));
  const slot = Number(await nodes[0]!.cluster('KEYSLOT', stateKey));
  const ranges = await nodes[0]!.cluster('SLOTS');
  const [, , owner] = ranges.find(([first, last]) => first <= slot && slot <= last)!;
  const at = ids.indexOf(owner![2]);
  const target = (at + 1) % nodes.length;
  const [from, to] = [nodes[at]!, nodes[target]!];
  const migrate = (key: string) =>
    from.migrate('127.0.0.1', Number(new URL(cluster.nodes[target]!.url).port), key, 0, 5000);
  return {
    async begin() {
      await to.cluster('SETSLOT', slot, 'IMPORTING', ids[at]!);
      await from.cluster('SETSLOT', slot, 'MIGRATING', ids[target]!);
    },
    migrate,
    async finish() {
      for (;;) {
        const keys = (await from.cluster('GETKEYSINSLOT', slot, 100)) as string[];
        if (keys.length === 0) break;
        // Without REPLACE: a key that a stopped script had made over there would end the move.
        for (const key of keys) await migrate(key);
      }
      for (const node of nodes) await node.cluster('SETSLOT', slot, 'NODE', ids[target]!);
    },
  };
}

const interleavings = { 'nothing of it has moved': false, 'its state has moved, the rest has not': true };

for (const [name, stateMoves] of Object.entries(interleavings)) {
  it(`calls and a flush come while ${name}`, async () => {
    const { cluster, place } = await openCluster();
    const engine = await openEngine({ partitions: 1, batchKeys: 10 }, place);
    const sluice = await engine.producer();
    const acknowledged = new Set<string>();
    const refused = new Set<string>();
    const increment = async (id: string) => {
      try {
        await sluice.counter('views').increment(`k${Number(id) % 50}`, 1, { id });
        acknowledged.add(id);
        refused.delete(id);
      } catch (error) {
        expect(error).toMatchObject({ code: expect.any(String), retryable: true });
        refused.add(id);
      }
    };
    const many = (from: number, count: number) =>
      Promise.all(Array.from({ length: count }, (_, i) => increment(`${from + i}`)));
    await many(0, 50);
    expect(acknowledged.size).toBe(50);

    const move = await openMove(cluster, engine.keys.state(0));
    await move.begin();
    if (stateMoves) await move.migrate(engine.keys.state(0));
    await many(50, 20);
    await engine.flusher.flush(0).catch(() => {});
    await many(70, 20);
    expect(refused.size).toBeGreaterThan(0);
    await move.finish();

    await many(90, 10);
    for (const id of [...refused]) await increment(id);
    expect(refused.size).toBe(0);
    expect(acknowledged.size).toBe(100);
    await engine.drain();
    const [row] = await engine.database.query('SELECT COALESCE(SUM(value), 0) AS total FROM sluice_counters');
    expect(Number(row!.total)).toBe(100);
    const values = await sluice.counter('views').getMany(Array.from({ length: 50 }, (_, i) => `k${i}`));
    expect(values).toEqual(values.map(() => 2));
  });
}
