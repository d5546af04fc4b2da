// Connections that fall silent without being closed, as behind a forgetful firewall: nothing waits for ever.

import { expect, it } from 'vitest';
import { openEngine, until } from '../support/engine.ts';
import { openProxy } from '../support/proxy.ts';
import { ownServers } from '../support/servers.ts';

it('flushes give up on silent connections to MySQL, go on over new ones, and count exactly', async () => {
  const { servers } = await ownServers();
  const engine = await openEngine(
    { partitions: 2, statementTimeoutMs: 1000, idleTransactionSeconds: 2, lockWaitSeconds: 1 },
    servers,
  );
  const proxy = await openProxy(engine.mysqlUrl);
  const sluice = await engine.producer();
  const worker = await engine.worker({}, { mysqlUrl: proxy.url });
  const keys = Array.from({ length: 20 }, (_, i) => `k${i}`);
  let sent = 0;
  const send = async () => {
    const receipts = await Promise.all(keys.map(key => sluice.counter('views').increment(key)));
    sent += receipts.length;
    return receipts;
  };
  const total = async () =>
    Number(
      (await engine.database.query('SELECT COALESCE(SUM(value), 0) AS total FROM sluice_counters'))[0]!.total,
    );
  for (const receipt of await send()) await receipt.persisted();

  proxy.silence();
  const silentSince = performance.now();
  await send();
  await until(() => proxy.swallowed > 0, 'a flush over a silent connection');
  for (const receipt of await send()) await receipt.persisted({ timeoutMs: 20_000 });
  expect(performance.now() - silentSince).toBeLessThan(15_000);
  expect(await total()).toBe(sent);
  await until(async () => (await worker.readiness()).ready, 'readiness');
  for (const receipt of await send()) await receipt.persisted();
  expect(await total()).toBe(sent);
});

it('calls on a silent connection to Redis end in time, the producer reconnects, and nothing counts twice', async () => {
  const { servers } = await ownServers();
  const engine = await openEngine({ partitions: 1, callTimeoutMs: 500 }, servers);
  const proxy = await openProxy(engine.redisUrl);
  const sluice = await engine.producer({ redisUrl: proxy.url });
  const views = sluice.counter('views');
  await views.increment('k', 1, { id: 'first' });

  proxy.silence();
  const before = performance.now();
  const reads = [views.get('k'), views.getMany(['k']), sluice.points('loyalty').history('a')];
  // Each is awaited from the start: they fail one after another, and one that nobody awaits yet is an error.
  const failure = { code: 'REDIS_UNAVAILABLE', retryable: true };
  await Promise.all(reads.map(read => expect(read).rejects.toMatchObject(failure)));
  // The producer gives up a silent connection after 3 s.
  expect(performance.now() - before).toBeLessThan(2900);

  let ids = 0;
  const unknown = new Set<string>();
  const increment = async (id: string) => {
    const answer = await views.increment('k', 1, { id }).catch(error => error);
    if (answer instanceof Error) {
      expect(answer).toMatchObject({ retryable: true });
      unknown.add(id);
    } else unknown.delete(id);
    return !(answer instanceof Error);
  };
  await until(() => increment(`${ids++}`), 'the producer to go on', 15_000);
  expect(performance.now() - before).toBeLessThan(10_000);
  for (const id of [...unknown]) expect(await increment(id)).toBe(true);
  expect(await views.get('k')).toBe(1 + ids);
  await engine.drain();
  expect(await engine.counterInMysql('views', 'k')).toBe(1 + ids);
});

it('close() ends although Redis is silent, whatever is buffered', async () => {
  const { servers } = await ownServers();
  const engine = await openEngine({ partitions: 1, callTimeoutMs: 500, microBatch: 1 }, servers);
  const proxy = await openProxy(engine.redisUrl);
  const sluice = await engine.producer({ redisUrl: proxy.url });
  await sluice.counter('views').increment('k');

  proxy.silence('silent');
  const buffered = sluice.apply(Array.from({ length: 50 }, (_, i) => ({ counter: 'views', key: `k${i}` })));
  const before = performance.now();
  await sluice.close();
  // One after another the calls would take 25 s.
  expect(performance.now() - before).toBeLessThan(15_000);
  for (const result of await buffered)
    expect(result).toMatchObject({ ok: false, error: { retryable: true } });
  await expect(sluice.counter('views').increment('k')).rejects.toMatchObject({ code: 'PRODUCER_CLOSED' });
});
