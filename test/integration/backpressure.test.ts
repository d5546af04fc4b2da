// Limits on the pending updates of a partition: further updates are refused, and nothing of them is applied.

import { expect, it } from 'vitest';
import { defineConfig } from '../../src/shared/config/definitions.ts';
import { BackpressureError } from '../../src/shared/errors.ts';
import { openEngine, until, type definitions as usual } from '../support/engine.ts';

const refused = (limit: string) => ({ code: 'BACKPRESSURE', retryable: true, limit });

it('a new key over the limit is refused, a pending key is not', async () => {
  const engine = await openEngine({ partitions: 1, pendingKeysLimit: 2 });
  const sluice = await engine.producer();
  const views = sluice.counter('views');
  await views.increment('a');
  await views.increment('b');
  const error = await views.increment('c').catch(caught => caught);
  expect(error).toBeInstanceOf(BackpressureError);
  expect(error).toMatchObject(refused('keys'));
  expect(error.retryAfterMs).toBeGreaterThan(0);
  await views.increment('a');
  // The same holds within one call.
  const results = await sluice.apply([
    { counter: 'views', key: 'a' },
    { counter: 'views', key: 'd' },
    { points: 'loyalty', account: 'x', amount: 1, id: '1' },
  ]);
  expect(results.map(result => (result.ok ? 'ok' : result.error.code))).toEqual(['ok', 'BACKPRESSURE', 'ok']);
  await engine.drain();
  await views.increment('c');
  await engine.drain();
  expect([await views.get('a'), await views.get('c'), await views.get('d')]).toEqual([3, 1, 0]);
  expect(await engine.counterInMysql('views', 'c')).toBe(1);
});

it('an entry over the limit is refused, and entries in flight count', async () => {
  const engine = await openEngine({ partitions: 1, pendingEntriesLimit: 2, batchEntries: 1 });
  const sluice = await engine.producer();
  const loyalty = sluice.points('loyalty');
  await loyalty.credit('a', 1, { id: '1' });
  await loyalty.credit('a', 1, { id: '2' });
  await engine.flight.claim(0);
  await expect(loyalty.credit('a', 1, { id: '3' })).rejects.toMatchObject(refused('entries'));
  // An accepted id is still recognised.
  expect((await loyalty.credit('a', 1, { id: '2' })).duplicate).toBe(true);
  await sluice.counter('views').increment('k');
  await engine.drain();
  expect((await loyalty.credit('a', 1, { id: '3' })).value).toBe(3);
  await engine.drain();
  expect(await engine.balanceInMysql('loyalty', 'a')).toBe(3);
});

it('every update is refused while the oldest pending one is too old', async () => {
  const engine = await openEngine({ partitions: 1, pendingAgeLimitMs: 50 });
  const sluice = await engine.producer();
  await sluice.counter('views').increment('k');
  await until(
    async () => (await engine.inspector.partition(0))!.lagSeconds > 0.05,
    'the oldest update to be too old',
  );
  await expect(sluice.counter('views').increment('k')).rejects.toMatchObject(refused('age'));
  await expect(sluice.points('loyalty').credit('a', 1, { id: '1' })).rejects.toMatchObject(refused('age'));
  await engine.drain();
  expect((await sluice.counter('views').increment('k')).value).toBe(null);
  await engine.drain();
  expect(await engine.counterInMysql('views', 'k')).toBe(2);
});

it('a call waits for room if its definition says so, in order and up to a limit', async () => {
  const definitions = defineConfig({
    counters: { views: { backpressure: 'wait' }, clicks: {} },
    points: { loyalty: { floor: 0, backpressure: 'wait' }, credits: { floor: -100 } },
  }) as unknown as typeof usual;
  const engine = await openEngine({ partitions: 1, pendingEntriesLimit: 1, pendingKeysLimit: 1 });
  const patient = await engine.producer({}, { definitions });
  await patient.counter('views').increment('first');
  await expect(patient.counter('clicks').increment('k')).rejects.toMatchObject(refused('keys'));
  const waiting = [
    patient.counter('views').increment('second'),
    patient.points('loyalty').credit('a', 5, { id: '1' }),
    patient.points('loyalty').debit('a', 3, { id: '2' }),
    patient.points('loyalty').debit('a', 2, { id: '3' }),
  ];
  const worker = await engine.worker();
  await Promise.all(waiting);
  expect(await patient.points('loyalty').balance('a')).toBe(0);

  await worker.stop();
  const hasty = await engine.producer(
    {},
    { definitions, settings: { ...engine.settings, backpressureWaitMs: 1, pendingAgeLimitMs: 1 } },
  );
  await engine.redis.hset(engine.keys.state(0), 'flightOldest', 1);
  await expect(hasty.counter('views').increment('third')).rejects.toMatchObject(refused('age'));
});
