// A server is unreachable for long: what calls get, what grows, and how many connections come on its return.

import { expect, it } from 'vitest';
import { openQueue } from '../../src/shared/redis/queue.ts';
import { type Engine, openEngine, until } from '../support/engine.ts';
import { openProxy } from '../support/proxy.ts';
import { ownServers } from '../support/servers.ts';

const PARTITIONS = 4;
const KEYS = Array.from({ length: 40 }, (_, n) => `k${n}`);

/** Distinct pending counters and those in segments, over all partitions. */
async function counters({ redis, keys }: Engine) {
  const fields = { pending: 0, inFlight: 0, distinct: new Set<string>() };
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const base = keys.state(partition).slice(0, -'state'.length);
    const pending = await redis.hkeys(`${base}counters`);
    const inFlight = await redis.hkeys(`${base}segment:counters`);
    fields.pending += pending.length;
    fields.inFlight += inFlight.length;
    for (const field of [...pending, ...inFlight]) fields.distinct.add(field);
  }
  return fields;
}

async function claims({ redis, keys }: Engine): Promise<number> {
  let sum = 0;
  for (let partition = 0; partition < PARTITIONS; partition++)
    sum += Number(await redis.hget(keys.state(partition), 'claims'));
  return sum;
}

it('while MySQL is away, memory grows with distinct keys only, and its return causes no burst of claims', async () => {
  const { servers } = await ownServers();
  const engine = await openEngine({ partitions: PARTITIONS, watchdogMs: 1000 }, servers);
  const proxy = await openProxy(engine.mysqlUrl);
  const views = (await engine.producer()).counter('views');
  const workers = [
    await engine.worker({}, { mysqlUrl: proxy.url }),
    await engine.worker({}, { mysqlUrl: proxy.url }),
  ];
  const queue = openQueue(engine.redis, engine.keys);
  engine.onClose(() => queue.close());
  const sum = async (
    read: (worker: (typeof workers)[number]) => Promise<{ values: { value: number }[] }>,
  ) => {
    let total = 0;
    for (const worker of workers) for (const { value } of (await read(worker)).values) total += value;
    return total;
  };
  const everyKey = async () => {
    const receipts = await Promise.all(KEYS.map(key => views.increment(key)));
    sent++;
    return receipts;
  };
  let sent = 0;
  for (const receipt of await everyKey()) await receipt.persisted();

  proxy.refuse();
  await until(async () => {
    await everyKey();
    return (await sum(worker => worker.metrics.breakerOpen.get())) === workers.length;
  }, 'both breakers to open');
  for (let round = 0; round < 100; round++) {
    await everyKey();
    const { pending, inFlight, distinct } = await counters(engine);
    expect(distinct.size).toBe(KEYS.length);
    expect(pending).toBeLessThanOrEqual(KEYS.length);
    expect(inFlight).toBeLessThanOrEqual(KEYS.length);
  }
  const jobs = await queue.getJobs(['waiting', 'active', 'delayed', 'failed']);
  expect(jobs.filter(job => job?.attemptsMade > 0)).toEqual([]);
  expect(await queue.getFailedCount()).toBe(0);
  expect(jobs.length).toBeLessThanOrEqual(2 * PARTITIONS);

  const before = { claims: await claims(engine), connections: proxy.accepted };
  proxy.open();
  await until(async () => (await counters(engine)).distinct.size === 0, 'the backlog to drain');
  // Per partition and worker: the batch in flight, the pending updates, and a last claim that finds nothing.
  expect((await claims(engine)) - before.claims).toBeLessThanOrEqual(PARTITIONS * workers.length * 3);
  expect(proxy.accepted - before.connections).toBeLessThanOrEqual(
    workers.length * engine.settings.concurrency,
  );
  for (const key of KEYS) expect(await engine.counterInMysql('views', key)).toBe(sent);
  expect(await queue.getFailedCount()).toBe(0);
  expect(await sum(worker => worker.metrics.consumerRestarts.get())).toBe(0);
  expect(await sum(worker => worker.metrics.rewinds.get())).toBe(0);
});

it('while Redis is away, every call ends within its timeout, and workers recover by themselves', async () => {
  const { redis, servers } = await ownServers();
  const engine = await openEngine({ partitions: PARTITIONS, callTimeoutMs: 500 }, servers);
  const sluice = await engine.producer();
  const worker = await engine.worker();
  const views = sluice.counter('views');
  const loyalty = sluice.points('loyalty');
  await (await views.increment('k')).persisted();
  await (await loyalty.credit('a', 5, { id: '1' })).persisted();

  const calls: (() => Promise<unknown>)[] = [
    () => views.increment('k', 1, { id: 'x' }),
    () => loyalty.credit('a', 1, { id: '2' }),
    () => loyalty.debit('a', 1, { id: '3' }),
    () => views.get('k'),
    () => views.getMany(['k', 'l']),
    () => loyalty.balance('a'),
    () => loyalty.history('a'),
  ];
  const failAll = async () => {
    const ends = await Promise.all(
      calls.map(async call => {
        const started = performance.now();
        const error = await call().catch(thrown => thrown);
        return { error, elapsed: performance.now() - started };
      }),
    );
    for (const { error, elapsed } of ends) {
      expect(error).toMatchObject({ retryable: true });
      // The producer gives up a silent connection after 3 s.
      expect(elapsed).toBeLessThan(2900);
    }
  };
  redis.kill('SIGSTOP');
  await failAll();
  redis.kill('SIGCONT');
  redis.kill('SIGKILL');
  await failAll();
  await redis.restart();
  await until(async () => (await worker.readiness()).ready, 'the worker to be ready');
  await until(
    async () => (await Promise.allSettled([calls[0]!()]))[0]!.status === 'fulfilled',
    'the producer',
  );
  for (const call of calls) await call();
  await (await views.increment('k')).persisted();
  expect(await engine.counterInMysql('views', 'k')).toBe(3);
  await until(async () => (await engine.balanceInMysql('loyalty', 'a')) === 5, 'the entries');
});

it('while Redis is silent, any number of scrapes and health checks leave one pending request', async () => {
  const { redis, servers } = await ownServers();
  const engine = await openEngine({ partitions: PARTITIONS }, servers);
  const sluice = await engine.producer();
  const worker = await engine.worker();
  const asked = async (...commands: string[]) => {
    const stats = await engine.redis.info('commandstats');
    const calls = (name: string) =>
      Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, 'm').exec(stats)?.[1] ?? 0);
    return commands.reduce((sum, name) => sum + calls(name), 0);
  };
  const ask = () => [worker.metrics.registry.metrics(), worker.readiness(), sluice.health()];
  await Promise.all(ask());
  const before = await asked('ping', 'zcard', 'evalsha');

  redis.kill('SIGSTOP');
  const judged = [worker.readiness(), sluice.health()] as const;
  for (let round = 0; round < 2; round++) await Promise.all(Array.from({ length: 200 }, ask).flat());
  expect(await judged[0]).toMatchObject({ ready: false, redis: 'disconnected' });
  expect(await judged[1]).toMatchObject({ redis: 'disconnected' });
  redis.kill('SIGCONT');
  await until(async () => (await worker.readiness()).ready, 'the worker to be ready');
  await until(async () => (await sluice.health()).redis === 'connected', 'the producer to be well');
  // Sweeps and later checks ask a few times per partition; 400 separate scrapes would ask thousands of times.
  expect((await asked('ping', 'zcard', 'evalsha')) - before).toBeLessThan(200);
});
