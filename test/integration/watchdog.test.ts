// A BullMQ consumer that hangs is restarted, and the new one takes the jobs.

import { expect, it } from 'vitest';
import { openEngine, until } from '../support/engine.ts';
import { openProxy } from '../support/proxy.ts';

it('a consumer whose blocking connection is silent is restarted, and flushes go on', async () => {
  // Neither the sweep nor BullMQ's own timeout of 6 s may flush first.
  const engine = await openEngine({ partitions: 1, watchdogMs: 1000, stuckAfterMs: 600_000 });
  const proxy = await openProxy(engine.redisUrl);
  const views = (await engine.producer()).counter('views');
  const worker = await engine.worker({}, { redisUrl: proxy.url });
  const restarts = async () => (await worker.metrics.consumerRestarts.get()).values[0]!.value;
  await (await views.increment('k')).persisted();
  await until(() => proxy.silenceAfter('bzpopmin') === 1, 'the consumer to wait for a job');

  const receipt = await views.increment('k');
  await until(async () => (await restarts()) === 1, 'the restart');
  await receipt.persisted();
  expect(await engine.counterInMysql('views', 'k')).toBe(2);
  for (let i = 0; i < 3; i++) await (await views.increment('k')).persisted();
  expect(await engine.counterInMysql('views', 'k')).toBe(5);
  expect(await restarts()).toBe(1);
  expect(await worker.metrics.registry.metrics()).toMatch(/^sluice_consumer_restarts_total 1$/m);
  expect(await worker.stop()).toBe(true);
});

it('a consumer with nothing to do, or whose slots are full of long jobs, is not restarted', async () => {
  const engine = await openEngine({ partitions: 2, watchdogMs: 100, lockWaitSeconds: 2, concurrency: 1 });
  const views = (await engine.producer()).counter('views');
  const worker = await engine.worker({ stuckAfterMs: 600_000 });
  const [locked, other] = [0, 1].map(partition =>
    ['a', 'b', 'c', 'd', 'e', 'f'].find(key => engine.keys.partitionOf(key) === partition),
  ) as [string, string];
  await (await views.increment(locked)).persisted();
  const waiting = await engine.database.transaction(async connection => {
    await connection.query('SELECT * FROM sluice_counters FOR UPDATE');
    const first = await views.increment(locked);
    await until(async () => (await engine.inspector.partition(0))!.inFlight > 0, 'the long job');
    const second = await views.increment(other);
    expect((await engine.inspector.partition(1))!.pendingUpdates).toBe(1);
    await until(
      async () => (await worker.metrics.flushErrors.get()).values.some(({ value }) => value > 0),
      'the long job to end its wait for the lock',
    );
    return [first, second];
  });
  for (const receipt of waiting) await receipt.persisted();
  expect((await worker.metrics.consumerRestarts.get()).values[0]!.value).toBe(0);
});
