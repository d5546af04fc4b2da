// The flush: batches cut at their limits, late duplicates, refused data, conflicts, expired ids.

import { describe, expect, it } from 'vitest';
import { OwnTable } from '../../src/shared/values/tables.ts';
import { openEngine, until } from '../support/engine.ts';

describe('a claim', () => {
  it('takes the oldest updates up to its limits, with their counts and sums', async () => {
    const engine = await openEngine({ partitions: 1, batchKeys: 3, batchEntries: 2 });
    const sluice = await engine.producer();
    for (let i = 0; i < 7; i++) await sluice.counter('views').increment(`k${i}`, i + 1);
    await sluice.counter('views').increment('k0', 10);
    for (let i = 0; i < 5; i++) await sluice.points('loyalty').credit('1', 10 ** i, { id: `${i}` });
    const seen: number[][] = [];
    for (;;) {
      const batch = await engine.flight.claim(0);
      if (!batch) break;
      seen.push([batch.counters.length, batch.entries.length, batch.updates]);
      const result = await engine.store.commit(batch);
      if (result.decision === 'stop') throw new Error('stopped');
      await engine.flight.ack(batch, result.outcome);
    }
    expect(seen).toEqual([
      [3, 2, 6],
      [3, 2, 5],
      [1, 1, 2],
    ]);
    expect(await engine.counterInMysql('views', 'k0')).toBe(11);
    expect(await engine.balanceInMysql('loyalty', '1')).toBe(11111);
    const status = await engine.inspector.partition(0);
    expect(status).toMatchObject({
      pendingUpdates: 0,
      pendingKeys: 0,
      pendingEntries: 0,
      inFlight: 0,
      lagSeconds: 0,
    });
    // Only the state, ids and live values are left.
    const left = (await engine.redis.keys(`{${engine.name}:0}:*`)).map(key => key.split(':')[2]);
    expect(
      left.filter(name => ['counters', 'order', 'accounts', 'entries', 'segment'].includes(name!)),
    ).toEqual([]);
  });

  it('turns a thousand increments of a key into one row', async () => {
    const engine = await openEngine();
    const sluice = await engine.producer();
    await sluice.apply(Array.from({ length: 1000 }, () => ({ counter: 'views', key: '/' })));
    await engine.drain();
    expect(await engine.counterInMysql('views', '/')).toBe(1000);
    expect((await engine.metrics.flushedRows.get()).values[0]!.value).toBe(1);
    expect((await engine.metrics.flushedUpdates.get()).values[0]!.value).toBe(1000);
  });
});

describe('ids', () => {
  it('that only the ledger remembers make a late duplicate, which changes nothing in MySQL and whose live balance is corrected', async () => {
    const engine = await openEngine();
    const sluice = await engine.producer();
    const loyalty = sluice.points('loyalty');
    await loyalty.credit('1', 29, { id: 'order' });
    await loyalty.credit('2', 1, { id: 'order' });
    await engine.drain();
    const partition = engine.keys.partitionOf('1');
    await engine.redis.del(`{${engine.name}:${partition}}:ids`);
    expect(await loyalty.credit('1', 29, { id: 'order' })).toMatchObject({ value: 58, duplicate: false });
    await loyalty.credit('1', 1, { id: 'next' });
    await engine.drain();
    expect(await engine.balanceInMysql('loyalty', '1')).toBe(30);
    expect(await loyalty.balance('1')).toBe(30);
    expect((await engine.metrics.lateDuplicates.get()).values[0]!.value).toBe(1);
    expect((await loyalty.history('1')).map(entry => [entry.id, entry.balanceAfter])).toEqual([
      ['next', 30],
      ['order', 29],
    ]);
  });

  it('of late duplicates come from the journal if the answer to the commit was lost', async () => {
    const engine = await openEngine();
    const loyalty = (await engine.producer()).points('loyalty');
    await loyalty.credit('1', 29, { id: 'order' });
    await engine.drain();
    const partition = engine.keys.partitionOf('1');
    await engine.redis.del(`{${engine.name}:${partition}}:ids`);
    await loyalty.credit('1', 29, { id: 'order' });
    engine.crashAt('committed');
    await expect(engine.flusher.flush(partition)).rejects.toThrow();
    engine.crashAt(undefined);
    await engine.drain();
    expect(await loyalty.balance('1')).toBe(29);
  });

  it('expire after their window, never before they are persisted, and are limited in number', async () => {
    const engine = await openEngine({ partitions: 1, idempotencyWindowMs: 1000, idempotencyLimit: 100 });
    const sluice = await engine.producer();
    const count = async () => {
      const head = await engine.redis.hget(engine.keys.of(0, 'counterIds'), '');
      const counterIds: number = head === null ? 0 : JSON.parse(head)[2];
      return counterIds + (await engine.redis.hlen(engine.keys.of(0, 'ids')));
    };
    await sluice.apply(
      Array.from({ length: 150 }, (_, i) => ({ points: 'loyalty', account: '1', amount: 1, id: `${i}` })),
    );
    await sluice.apply(Array.from({ length: 150 }, (_, i) => ({ counter: 'views', key: '1', id: `${i}` })));
    expect(await count()).toBe(250);
    await engine.flight.trim(0);
    expect(await count()).toBe(250);
    await engine.drain();
    await engine.flight.trim(0);
    expect(await count()).toBe(200);
    expect(await sluice.points('loyalty').credit('1', 1, { id: '149' })).toMatchObject({ duplicate: true });
    await until(async () => {
      await engine.flight.trim(0);
      return (await count()) === 0;
    }, 'the window to end');
    for (const key of ['counterIds', 'counterIdSlices', 'ids', 'entryIds', 'idMarks'])
      expect(await engine.redis.exists(`{${engine.name}:0}:${key}`)).toBe(0);
  });
});

describe('data that MySQL refuses', () => {
  it('goes into quarantine in the same transaction, the rest is applied, and nothing drifts', async () => {
    const engine = await openEngine({ partitions: 1 });
    const sluice = await engine.producer();
    await engine.database.query(
      "INSERT INTO sluice_counters VALUES ('views', 'full', 9007199254740950, UTC_TIMESTAMP(3))",
    );
    await sluice.apply(
      Array.from({ length: 1000 }, (_, i) => ({
        counter: 'views',
        key: i === 700 ? 'full' : `k${i}`,
        by: 100,
      })),
    );
    await engine.database.query(
      "CREATE TRIGGER picky BEFORE INSERT ON sluice_entries FOR EACH ROW IF NEW.entry_id = '4' THEN SIGNAL SQLSTATE '45000'; END IF",
    );
    for (let i = 0; i < 9; i++) await sluice.points('loyalty').credit(`${i % 3}`, 10, { id: `${i}` });
    await engine.drain();
    const quarantine = await engine.database.query(
      'SELECT kind, name, item_key, amount, error_code, payload FROM sluice_quarantine ORDER BY id',
    );
    expect(
      quarantine.map(row => [row.kind, String(row.name), String(row.item_key), Number(row.amount)]),
    ).toEqual([
      ['counter', 'views', 'full', 100],
      ['entry', 'loyalty', '1', 10],
    ]);
    expect(
      Number(
        (await engine.database.query('SELECT COUNT(*) AS n FROM sluice_counters WHERE value = 100'))[0]!.n,
      ),
    ).toBe(999);
    expect(await engine.compare('c', 'views', 'k1')).toMatchObject({ expected: 100 });
    expect(await sluice.points('loyalty').balance('1')).toBe(30);
    expect(await engine.balanceInMysql('loyalty', '1')).toBe(20);
    expect((await sluice.points('loyalty').history('1')).length).toBe(2);
    expect((await engine.inspector.partition(0))!.inFlight).toBe(0);
  });
});

it('a lock held by another session costs a wait, not an attempt, and leaves the slot to other partitions', async () => {
  const engine = await openEngine({
    lockWaitSeconds: 1,
    // A session of this engine holds the lock, so it must not idle out.
    idleTransactionSeconds: 60,
    concurrency: 1,
    partitions: 2,
  });
  const sluice = await engine.producer();
  const views = sluice.counter('views');
  const [key, other] = [0, 1].map(partition =>
    ['a', 'b', 'c', 'd', 'e', 'f'].find(name => engine.keys.partitionOf(name) === partition),
  ) as [string, string];
  const worker = await engine.worker();
  await (await views.increment(key)).persisted();
  const receipt = await engine.database.transaction(async connection => {
    await connection.query('SELECT * FROM sluice_counters WHERE counter_key = ? FOR UPDATE', [
      Buffer.from(key),
    ]);
    const held = await views.increment(key);
    await until(
      async () =>
        (await worker.metrics.flushErrors.get()).values.some(
          ({ labels, value }) => labels.class === 'conflict' && value > 1,
        ),
      'lock waits of the job and of the sweep',
    );
    // The only slot is free, since retries of the sweep do not take it.
    for (let n = 0; n < 3; n++) await (await views.increment(other)).persisted();
    return held;
  });
  await receipt.persisted();
  expect(await engine.counterInMysql('views', key)).toBe(2);
  expect(await worker.metrics.registry.metrics()).toMatch(/sluice_queue_depth\{state="failed"\} 0/);
});

it('the tables of Sluice return the values that were added, of both kinds', async () => {
  const { database } = await openEngine({ partitions: 1 });
  for (const [kind, name] of [
    ['c', 'views'],
    ['p', 'loyalty'],
  ] as const) {
    const table = new OwnTable(kind);
    const rows = ['A', 'a', 'é'].map((key, at) => ({ name, key, amount: at + 1 }));
    const values = await database.transaction(async connection => {
      await table.add(connection, rows);
      await table.add(connection, rows.slice(0, 1));
      return table.values(connection, [...rows, { name, key: 'other' }]);
    });
    expect(Object.fromEntries(values)).toEqual({
      [`${name}:A`]: 2,
      [`${name}:a`]: 2,
      [`${name}:é`]: 3,
    });
  }
});
