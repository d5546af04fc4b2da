// A server goes away and comes back: producers and workers recover, and nothing is lost or counted twice.

import { expect, it } from 'vitest';
import { openQueue } from '../../src/shared/redis/queue.ts';
import { openEngine, until } from '../support/engine.ts';
import { ownServers } from '../support/servers.ts';

const total = async (engine: Awaited<ReturnType<typeof openEngine>>) =>
  Number(
    (await engine.database.query('SELECT COALESCE(SUM(value), 0) AS total FROM sluice_counters'))[0]!.total,
  );

it('while MySQL is away, counters go on and no attempt is used up; on its return the backlog drains', async () => {
  const { mysql, servers } = await ownServers();
  const engine = await openEngine({}, servers);
  const sluice = await engine.producer();
  const worker = await engine.worker();
  await (await sluice.counter('views').increment('k')).persisted();
  await sluice.points('loyalty').credit('warm', 10, { id: 'first' });

  mysql.kill('SIGKILL');
  let sent = 1;
  const breaker = async () => (await worker.metrics.breakerOpen.get()).values[0]!.value;
  await until(async () => {
    await sluice.counter('views').increment('k');
    sent++;
    return (await breaker()) === 1;
  }, 'the breaker to open');
  expect(await sluice.points('loyalty').debit('warm', 4, { id: 'second' })).toMatchObject({ value: 6 });
  await expect(sluice.points('loyalty').credit('cold', 1, { id: 'x' })).rejects.toMatchObject({
    code: 'DATABASE_UNAVAILABLE',
    retryable: true,
  });
  expect(await worker.readiness()).toMatchObject({
    ready: false,
    redis: 'connected',
    database: 'disconnected',
  });
  for (let i = 0; i < 1000; i++) await sluice.counter('views').increment('k');
  sent += 1000;
  const statuses = await engine.inspector.all();
  expect(statuses.reduce((sum, status) => sum + status.pendingKeys, 0)).toBeLessThanOrEqual(3);

  await mysql.restart();
  const receipt = await sluice.counter('views').increment('k');
  await receipt.persisted();
  await until(async () => (await engine.balanceInMysql('loyalty', 'warm')) === 6, 'the entries');
  expect(await total(engine)).toBe(sent + 1);
  await until(async () => (await worker.readiness()).ready, 'readiness');
  const metrics = await worker.metrics.registry.metrics();
  expect(metrics).toMatch(/sluice_queue_depth\{state="failed"\} 0/);
  expect(await breaker()).toBe(0);
});

it('if MySQL returns and no flush job is left, the sweep closes the breaker', async () => {
  const { mysql, servers } = await ownServers();
  const engine = await openEngine({ stuckAfterMs: 300, flushIntervalMs: 50, leaseMs: 200 }, servers);
  const sluice = await engine.producer();
  const worker = await engine.worker();
  await (await sluice.counter('views').increment('k')).persisted();
  mysql.kill('SIGKILL');
  const receipt = await sluice.counter('views').increment('k');
  await until(
    async () => (await worker.metrics.breakerOpen.get()).values[0]!.value === 1,
    'the breaker to open',
  );
  // The wake-up gets lost, and no further update comes.
  const queue = openQueue(engine.redis, engine.keys);
  await queue.obliterate({ force: true });
  await queue.close();
  await mysql.restart();
  await receipt.persisted();
  expect(await total(engine)).toBe(2);
});

it('while Redis restarts, calls fail in time with a retryable error, and everything goes on afterwards', async () => {
  const { redis, servers } = await ownServers();
  const engine = await openEngine({ callTimeoutMs: 500 }, servers);
  const sluice = await engine.producer();
  await engine.worker();
  let acknowledged = 0;
  const unknown = new Set<string>();
  const increment = async (id: string) => {
    try {
      await sluice.counter('views').increment('k', 1, { id });
      acknowledged++;
      unknown.delete(id);
    } catch (error) {
      expect(error).toMatchObject({ retryable: true });
      if ((error as { code: string }).code === 'UNKNOWN_OUTCOME') unknown.add(id);
    }
  };
  for (let i = 0; i < 200; i++) await increment(`a${i}`);
  const calls = Array.from({ length: 50 }, (_, i) => increment(`b${i}`));
  redis.kill('SIGKILL');
  await Promise.all(calls);
  const before = performance.now();
  await expect(sluice.counter('views').increment('k')).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' });
  // Not at the end of the outage, for which it would wait for ever.
  expect(performance.now() - before).toBeLessThan(30_000);
  await redis.restart();
  await until(async () => {
    const answer = await sluice
      .counter('views')
      .increment('other')
      .catch(() => undefined);
    return answer !== undefined;
  }, 'the producer to go on');
  for (const id of [...unknown]) await increment(id);
  await until(
    async () => (await engine.counterInMysql('views', 'k')) === acknowledged,
    'every acknowledged update',
  );
  await (await sluice.counter('views').increment('k')).persisted();
  expect(await engine.counterInMysql('views', 'k')).toBe(acknowledged + 1);
});
