// Whatever fails behind a call, its caller gets a code in time, and a receipt for an accepted update only.

import { describe, expect, it } from 'vitest';
import { Receipt } from '../../src/producer/receipt.ts';
import { type Engine, openEngine, until } from '../support/engine.ts';
import { openProxy } from '../support/proxy.ts';

/** Locks partition 0's watermark until the returned function is called. */
async function holdWatermark(engine: Engine): Promise<() => Promise<void>> {
  let release = () => {};
  const released = new Promise<void>(resolve => {
    release = resolve;
  });
  let ended: Promise<void> = Promise.resolve();
  await new Promise<void>((locked, failed) => {
    ended = engine.database.transaction(async connection => {
      await connection.query('SELECT sequence FROM sluice_partitions WHERE partition_id = 0 FOR UPDATE');
      locked();
      await released;
    });
    ended.catch(failed);
  });
  engine.onClose(async () => {
    release();
    await ended;
  });
  return async () => {
    release();
    await ended;
  };
}

const loseState = async (engine: Engine) =>
  engine.redis.del(...(await engine.redis.keys(`{${engine.name}:0}:*`)));

/** The result of a call: the code of its error, `a receipt`, or the value that it read. */
const outcome = async (call: Promise<unknown>) =>
  call.then(
    answer => (answer instanceof Receipt ? 'a receipt' : answer),
    error => error.code,
  );

const held = { partitions: 1, lockWaitSeconds: 1, idleTransactionSeconds: 60 };

describe('the watermark is locked', () => {
  it('and Redis lost its state: an update is refused, alone and in a call, and accepted afterwards', async () => {
    const engine = await openEngine(held);
    const sluice = await engine.producer();
    const views = sluice.counter('views');
    const release = await holdWatermark(engine);
    await loseState(engine);
    expect(await outcome(views.increment('k'))).toBe('DATABASE_UNAVAILABLE');
    expect(await sluice.apply([{ counter: 'views', key: 'k' }])).toEqual([
      { ok: false, error: expect.objectContaining({ code: 'DATABASE_UNAVAILABLE', retryable: true }) },
    ]);
    await release();
    expect(await outcome(views.increment('k'))).toBe('a receipt');
    await engine.drain();
    expect(await engine.counterInMysql('views', 'k')).toBe(1);
  });

  it('and a cold account must be read: its credit is refused, and accepted afterwards', async () => {
    const engine = await openEngine(held);
    const sluice = await engine.producer();
    const loyalty = sluice.points('loyalty');
    await engine.redis.hset(engine.keys.state(0), 'epoch', 'other');
    const release = await holdWatermark(engine);
    expect(await outcome(loyalty.credit('a', 100, { id: '1' }))).toBe('DATABASE_UNAVAILABLE');
    expect(await sluice.apply([{ points: 'loyalty', account: 'a', amount: 100, id: '1' }])).toMatchObject([
      { ok: false, error: { code: 'DATABASE_UNAVAILABLE', retryable: true } },
    ]);
    await release();
    expect(await loyalty.credit('a', 100, { id: '1' })).toMatchObject({ value: 100, duplicate: false });
    await engine.drain();
    expect(await engine.balanceInMysql('loyalty', 'a')).toBe(100);
  });
});

it('an unexpected error of a cold read fails credit and balance, and nothing is counted', async () => {
  const engine = await openEngine({ partitions: 1 });
  const loyalty = (await engine.producer()).points('loyalty');
  await engine.database.query('RENAME TABLE sluice_accounts TO elsewhere');
  await engine.database.query('CREATE TABLE sluice_accounts (nothing INT)');
  expect(await outcome(loyalty.credit('a', 100, { id: '1' }))).toBe('DATABASE_FAILED');
  expect(await outcome(loyalty.balance('a'))).toBe('DATABASE_FAILED');
  await engine.database.query('DROP TABLE sluice_accounts');
  await engine.database.query('RENAME TABLE elsewhere TO sluice_accounts');
  await engine.drain();
  expect(await loyalty.balance('a')).toBe(0);
  expect(await loyalty.history('a')).toEqual([]);
});

describe('Redis refuses connections', () => {
  it('calls in a queue time out together, not one after another', async () => {
    const engine = await openEngine({ partitions: 1, microBatch: 1, callTimeoutMs: 500 });
    const proxy = await openProxy(engine.redisUrl);
    const sluice = await engine.producer({ redisUrl: proxy.url });
    await sluice.counter('views').increment('warm');
    proxy.refuse();
    const before = performance.now();
    const results = await sluice.apply(
      Array.from({ length: 100 }, (_, i) => ({ counter: 'views', key: `k${i}` })),
    );
    // One after another they would take 50 s.
    expect(performance.now() - before).toBeLessThan(10_000);
    for (const result of results)
      expect(result).toMatchObject({ ok: false, error: { code: expect.any(String), retryable: true } });
    expect(results.at(-1)).toMatchObject({ error: { code: 'REDIS_UNAVAILABLE' } });
  });

  it('reads end within the timeout of a call', async () => {
    const engine = await openEngine({ partitions: 1, callTimeoutMs: 500 });
    const proxy = await openProxy(engine.redisUrl);
    const sluice = await engine.producer({ redisUrl: proxy.url });
    await sluice.counter('views').increment('k');
    proxy.refuse();
    const before = performance.now();
    const reads = [
      ...Array.from({ length: 500 }, () => sluice.counter('views').get('k')),
      sluice.points('loyalty').balance('a'),
      sluice.points('loyalty').history('a'),
    ];
    expect(new Set(await Promise.all(reads.map(outcome)))).toEqual(new Set(['REDIS_UNAVAILABLE']));
    // One after another they would take 250 s.
    expect(performance.now() - before).toBeLessThan(10_000);
    proxy.open();
    await until(async () => (await outcome(sluice.counter('views').get('k'))) === 1, 'reads to go on');
  });
});

it('entries that wait for their account count towards the buffer limit, and time out', async () => {
  const engine = await openEngine({
    ...{ partitions: 1, bufferLimit: 100, callTimeoutMs: 1000 },
    // A call that waited for the statement would take a minute.
    statementTimeoutMs: 60_000,
  });
  const proxy = await openProxy(engine.mysqlUrl);
  const sluice = await engine.producer({ mysqlUrl: proxy.url });
  const loyalty = sluice.points('loyalty');
  proxy.silence('silent');
  const before = performance.now();
  const waiting = Array.from({ length: 100 }, (_, i) => outcome(loyalty.credit('cold', 1, { id: `${i}` })));
  await until(() => proxy.swallowed > 0, 'the read of the account');
  expect(await outcome(loyalty.credit('cold', 1, { id: 'more' }))).toBe('PRODUCER_OVERLOADED');
  expect(await outcome(sluice.counter('views').increment('k'))).toBe('PRODUCER_OVERLOADED');
  expect(new Set(await Promise.all(waiting))).toEqual(new Set(['DATABASE_UNAVAILABLE']));
  expect(performance.now() - before).toBeLessThan(20_000);
  expect(await outcome(sluice.counter('views').increment('k'))).toBe('a receipt');
});
