// Batches that take several calls to claim, and the state of a segment while batch after batch uses it up.

import { expect, it } from 'vitest';
import { defineScript } from '../../src/shared/redis/script.ts';
import { joinPages } from '../../src/worker/batch.ts';
import { parsePage } from '../../src/worker/flight.ts';
import { type Engine, openEngine } from '../support/engine.ts';
import { dropAllLive } from '../support/live.ts';

async function commit({ store }: Engine, batch: NonNullable<Awaited<ReturnType<Engine['flight']['claim']>>>) {
  const result = await store.commit(batch);
  if (result.decision === 'stop') throw new Error('stopped');
  return result.outcome;
}

const claims = async ({ redis, keys }: Engine) => Number(await redis.hget(keys.state(0), 'claims'));

it('a batch of many pages is the same for each worker that claims it, also at the same time', async () => {
  const engine = await openEngine({ partitions: 1, batchKeys: 1100, batchEntries: 700 });
  const sluice = await engine.producer();
  await sluice.apply(Array.from({ length: 1800 }, (_, n) => ({ counter: 'views', key: `k${n % 1200}` })));
  await sluice.apply(
    Array.from({ length: 900 }, (_, n) => ({
      points: 'loyalty',
      account: String(n % 70),
      amount: 1,
      id: `${n}`,
    })),
  );
  const [one, other] = await Promise.all([engine.flight.claim(0), engine.flight.claim(0)]);
  expect([one!.reclaimed, other!.reclaimed].toSorted()).toEqual([false, true]);
  expect({ ...other, reclaimed: false, claimedAt: 0 }).toEqual({ ...one, reclaimed: false, claimedAt: 0 });
  expect([one!.counters.length, one!.entries.length, one!.updates]).toEqual([1100, 700, 1700 + 700]);
  expect(await engine.flight.claim(0)).toMatchObject({ token: one!.token, reclaimed: true, updates: 2400 });
  const before = await claims(engine);
  await engine.flight.claim(0);
  expect((await claims(engine)) - before).toBe(4);
  // Later updates stay outside the segment.
  await sluice.apply([{ counter: 'views', key: 'k0' }]);
  expect(await engine.inspector.partition(0)).toMatchObject({
    pendingUpdates: 100 + 200 + 1,
    pendingKeys: 100 + 70 + 1,
    pendingEntries: 200,
    inFlight: 2400,
  });
  await engine.flight.ack(one!, await commit(engine, one!));
  await engine.drain();
  const [sum] = await engine.database.query(
    'SELECT SUM(value) AS value, COUNT(*) AS `rows` FROM sluice_counters',
  );
  expect(sum).toMatchObject({ value: '1801', rows: '1200' });
  expect(await engine.balanceInMysql('loyalty', '69')).toBe(12);
});

it('written updates leave a segment while the rest of it waits', async () => {
  const engine = await openEngine({ partitions: 1, batchKeys: 1 });
  const views = (await engine.producer()).counter('views');
  for (let n = 0; n < 5; n++) await views.increment(`k${n}`);
  const left: number[] = [];
  for (let batch = await engine.flight.claim(0); batch; batch = await engine.flight.claim(0)) {
    left.push(await engine.redis.hlen(`{${engine.name}:0}:segment:counters`));
    await engine.flight.ack(batch, await commit(engine, batch));
  }
  expect(left).toEqual([5, 4, 3, 2, 1]);
  expect(await engine.redis.exists(`{${engine.name}:0}:segment:counters`)).toBe(0);
});

it('a claim that is received again after its batch has ended gives the next batch another token', async () => {
  const engine = await openEngine({ partitions: 1 });
  const views = (await engine.producer()).counter('views');
  const claim = defineScript<Parameters<typeof parsePage>[0] | null>(
    engine.own.redis,
    'claim',
    new URL('../../src/worker/claim.lua', import.meta.url),
  );
  const copy = async () => {
    const reply = await claim(
      engine.keys.state(0),
      engine.keys.owner,
      'token',
      10,
      10,
      10,
      100_000,
      '',
      0,
      0,
      0,
    );
    return reply && joinPages(0, [parsePage(reply)]);
  };
  await views.increment('a');
  const first = (await copy())!;
  await engine.flight.ack(first, await commit(engine, first));
  await views.increment('b');
  const second = (await copy())!;
  expect(second).toMatchObject({ sequence: 2, reclaimed: false });
  expect(second.token).not.toBe(first.token);
  await engine.drain();
  expect(await engine.counterInMysql('views', 'b')).toBe(1);
});

it('a receipt does not reject for a sum of its key in an older segment', async () => {
  const engine = await openEngine({ partitions: 1, batchKeys: 1 });
  const views = (await engine.producer()).counter('views');
  await engine.database.query(
    "INSERT INTO sluice_counters VALUES ('views', 'full', 9007199254740991, UTC_TIMESTAMP(3))",
  );
  await views.increment('a');
  const refused = await views.increment('full', 1);
  const first = (await engine.flight.claim(0))!;
  const fine = await views.increment('full', -5);
  await engine.flight.ack(first, await commit(engine, first));
  await engine.drain();
  await fine.persisted();
  await expect(refused.persisted()).rejects.toMatchObject({ code: 'QUARANTINED' });
  expect(await engine.counterInMysql('views', 'full')).toBe(9007199254740986);
});

it('a flush goes on after an older segment, since it took the wake-up of later updates', async () => {
  const engine = await openEngine({ partitions: 1, batchKeys: 2 });
  const views = (await engine.producer()).counter('views');
  for (const key of ['a', 'b', 'c']) await views.increment(key);
  const first = (await engine.flight.claim(0))!;
  await engine.flight.ack(first, await commit(engine, first));
  await views.increment('d');
  await engine.flusher.flush(0);
  expect(await engine.inspector.partition(0)).toMatchObject({ pendingUpdates: 0, inFlight: 0 });
});

it('a read behind thousands of entries is refused until they are in MySQL', async () => {
  const engine = await openEngine({ partitions: 1, batchEntries: 2000 });
  const sluice = await engine.producer();
  const credits = Array.from({ length: 4100 }, (_, n) => ({
    points: 'loyalty' as const,
    account: 'a',
    amount: 1,
    id: `${n}`,
  }));
  await sluice.apply(credits);
  const batch = (await engine.flight.claim(0))!;
  await engine.flight.ack(batch, await commit(engine, batch));
  expect(await sluice.points('loyalty').balance('a')).toBe(4100);
  await dropAllLive(engine, 0);
  await expect(sluice.points('loyalty').balance('a')).rejects.toMatchObject({ code: 'READ_UNSETTLED' });
  await engine.flusher.flush(0);
  expect(await sluice.points('loyalty').balance('a')).toBe(4100);
});

it('keys that are pending in a segment need no room, even if the limit is reached', async () => {
  const engine = await openEngine({ partitions: 1, batchKeys: 1, pendingKeysLimit: 3 });
  const views = (await engine.producer()).counter('views');
  for (const key of ['a', 'b', 'c']) await views.increment(key);
  const batch = (await engine.flight.claim(0))!;
  for (const key of ['d', 'b', 'c']) await views.increment(key);
  await expect(views.increment('e')).rejects.toMatchObject({ code: 'BACKPRESSURE' });
  // Its batch has been claimed, so it would need room again.
  await expect(views.increment('a')).rejects.toMatchObject({ code: 'BACKPRESSURE' });
  await engine.flight.ack(batch, await commit(engine, batch));
  await engine.drain();
  expect(await views.getMany(['a', 'b', 'c', 'd'])).toEqual([1, 2, 2, 1]);
});

it('a worker notices that another one was faster between two pages', async () => {
  const engine = await openEngine({ partitions: 1 });
  const sluice = await engine.producer();
  await sluice.apply(Array.from({ length: 1200 }, (_, n) => ({ counter: 'views', key: `k${n}` })));
  let isFirst = true;
  // The other worker acts after the first page.
  const claim = engine.own.redis as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
  await engine.flight.inFlight((await engine.flight.claim(0))!);
  const { sluice_claim: original } = claim;
  claim.sluice_claim = async (...args) => {
    const page = await original!.apply(engine.own.redis, args);
    if (isFirst) {
      isFirst = false;
      claim.sluice_claim = original!;
      await engine.drain();
      await sluice.apply(Array.from({ length: 1100 }, (_, n) => ({ counter: 'views', key: `later${n}` })));
    }
    return page;
  };
  const batch = (await engine.flight.claim(0))!;
  expect(batch.counters).toHaveLength(1100);
  expect(batch.counters.every(({ key }) => key.startsWith('later'))).toBe(true);
  await engine.drain();
  const [sum] = await engine.database.query('SELECT SUM(value) AS value FROM sluice_counters');
  expect(sum).toMatchObject({ value: '2300' });
});

it('cold reads are exact at every step of a segment, whatever came after it', async () => {
  const engine = await openEngine({ partitions: 1, batchKeys: 2, batchEntries: 2 });
  const sluice = await engine.producer();
  const counters = new Map<string, number>();
  const accounts = new Map<string, number>();
  let ids = 0;
  const update = async (keys: string[], by: number) => {
    for (const key of keys) {
      await sluice.counter('views').increment(key, by);
      counters.set(key, (counters.get(key) ?? 0) + by);
      await sluice.points('loyalty').credit(key, by, { id: `${++ids}` });
      accounts.set(key, (accounts.get(key) ?? 0) + by);
    }
  };
  const expectExact = async () => {
    await dropAllLive(engine, 0);
    const keys = [...counters.keys()];
    expect(await sluice.counter('views').getMany(keys)).toEqual([...counters.values()]);
    const balances = await Promise.all(keys.map(key => sluice.points('loyalty').balance(key)));
    expect(balances).toEqual([...accounts.values()]);
    const newest = await sluice.points('loyalty').history('a', { limit: 100 });
    expect(newest.reduce((sum, { amount }) => sum + amount, 0)).toBe(accounts.get('a'));
  };
  await update(['a', 'b', 'a', 'c', 'd', 'a', 'e', 'b'], 1);
  let batches = 0;
  for (let batch = await engine.flight.claim(0); batch; batch = await engine.flight.claim(0)) {
    if (++batches < 4) await update(['a', 'f', 'd'], 10 ** batches);
    await expectExact();
    const outcome = await commit(engine, batch);
    await expectExact();
    await engine.flight.ack(batch, outcome);
    await expectExact();
  }
  // Two segments: 8 entries, then the 9 later ones.
  expect(batches).toBe(4 + 5);
  for (const [key, value] of counters) expect(await engine.counterInMysql('views', key)).toBe(value);
  for (const [key, value] of accounts) expect(await engine.balanceInMysql('loyalty', key)).toBe(value);
});
