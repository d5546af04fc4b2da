// A Redis Cluster moves a partition's slot to another master while updates are pending: no acknowledged
// update is lost, and calls in between fail with a retryable error.

import { expect, it } from 'vitest';
import { openEngine } from '../support/engine.ts';
import { ownCluster } from '../support/servers.ts';
import { openMove } from '../support/slots.ts';

const interleavings = { 'no key of a slot has moved': false, 'only the state has moved': true };

for (const [name, stateMoves] of Object.entries(interleavings)) {
  it(`calls and a flush count exactly while ${name}`, async () => {
    const { cluster, servers } = await ownCluster();
    const engine = await openEngine({ partitions: 1, batchKeys: 10 }, servers);
    const sluice = await engine.producer();
    let acknowledged = 0;
    const refusals: string[] = [];
    // No ids: the key of the ids has not moved either, and would stop a script for another reason.
    const increment = async (key: string) => {
      try {
        await sluice.counter('views').increment(key);
        acknowledged++;
      } catch (error) {
        expect(error).toMatchObject({ code: expect.any(String), retryable: true });
        refusals.push((error as { code: string }).code);
      }
    };
    const keys = Array.from({ length: 50 }, (_, i) => `k${i}`);
    const many = (count: number) => Promise.all(keys.slice(0, count).map(increment));
    await many(50);
    expect(acknowledged).toBe(50);

    const move = await openMove(cluster, engine.keys.state(0));
    await move.begin();
    if (stateMoves) await move.migrate(engine.keys.state(0));
    // Separate calls: the other master would accept them if it ran a script without having all its keys.
    for (const key of keys.slice(0, 3)) await increment(key);
    await engine.flusher.flush(0).catch(() => {});
    await many(20);
    expect(refusals.length).toBeGreaterThan(0);
    await move.finish();

    const before = acknowledged;
    await many(10);
    expect(acknowledged).toBe(before + 10);
    await engine.drain();
    const [row] = await engine.database.query('SELECT COALESCE(SUM(value), 0) AS total FROM sluice_counters');
    const unknown = refusals.filter(code => code === 'UNKNOWN_OUTCOME').length;
    expect(Number(row!.total)).toBeGreaterThanOrEqual(acknowledged);
    expect(Number(row!.total)).toBeLessThanOrEqual(acknowledged + unknown);
    const values = await sluice.counter('views').getMany(keys);
    expect(values.reduce((sum, value) => sum + value, 0)).toBe(Number(row!.total));
  });
}
