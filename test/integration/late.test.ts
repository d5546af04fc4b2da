// Cases that rare data or rare moments bring up: ids that outlive their memory in Redis, batches too long for
// a statement, pages read across a flush, values at the limits of the range.

import { describe, expect, it, vi } from 'vitest';
import { createProducer } from '../../src/producer/producer.ts';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { Worker } from '../../src/worker/worker.ts';
import { definitions, type Engine, openEngine, until } from '../support/engine.ts';

const refuse = (table: string, condition: string) =>
  `CREATE TRIGGER refuse BEFORE INSERT ON ${table} FOR EACH ROW BEGIN IF ${condition} THEN SIGNAL SQLSTATE '45000'; END IF; END`;

const quarantined = async (engine: Engine) =>
  (await engine.database.query('SELECT name, item_key, amount, entry_id FROM sluice_quarantine')).map(row => [
    String(row.name),
    String(row.item_key),
    Number(row.amount),
    row.entry_id && String(row.entry_id),
  ]);

const forgetIds = (engine: Engine) =>
  until(async () => {
    await engine.flight.trim(0);
    return (await engine.redis.hlen(`{${engine.name}:0}:ids`)) === 0;
  }, 'the ids to be forgotten');

describe('an entry in quarantine whose id is used again after Redis forgot it', () => {
  it.each([0, 1])('counts once, beside %i other entries that MySQL refuses', async others => {
    const engine = await openEngine({ partitions: 1, idempotencyWindowMs: 1000 });
    const loyalty = (await engine.producer()).points('loyalty');
    await engine.database.query(refuse('sluice_entries', 'NEW.amount = 13'));
    await loyalty.credit('a', 13, { id: 'x' });
    await engine.drain();
    await forgetIds(engine);
    await engine.database.query('DROP TRIGGER refuse');
    await engine.database.query(refuse('sluice_entries', 'NEW.amount = 14'));
    const again = await loyalty.credit('a', 13, { id: 'x' });
    expect(again).toMatchObject({ duplicate: false, value: 26 });
    await loyalty.credit('b', 5, { id: 'x' });
    for (let i = 0; i < others; i++) await loyalty.credit('c', 14, { id: 'x' });
    await engine.drain();

    expect(await loyalty.balance('a')).toBe(13);
    expect(await engine.compare('p', 'loyalty', 'a')).toMatchObject({ expected: 13 });
    expect(await engine.balanceInMysql('loyalty', 'a')).toBe(0);
    expect(await engine.balanceInMysql('loyalty', 'b')).toBe(5);
    expect(await engine.database.query('SELECT 1 FROM sluice_entries')).toHaveLength(1);
    expect(await quarantined(engine)).toHaveLength(1 + others);
    expect((await engine.metrics.lateDuplicates.get()).values[0]!.value).toBe(1);
    await expect(again.persisted({ timeoutMs: 5000 })).rejects.toMatchObject({ code: 'QUARANTINED' });
  });
});

it('a batch that is too long for one statement is split and written', async () => {
  // Each 500 are about 20 calls, which a busy machine does not finish in the default timeout of 2 s.
  const engine = await openEngine({ partitions: 1, batchEntries: 2000, callTimeoutMs: 20_000 });
  const sluice = await engine.producer();
  // Each quote becomes eight characters in the statement: in total more than either server allows by default.
  const quotes = '"'.repeat(240);
  const metadata = { a: '"'.repeat(4088) };
  for (let part = 0; part < 4; part++) {
    const results = await sluice.apply(
      Array.from({ length: 500 }, (_, i) => ({
        points: 'loyalty',
        account: `a${i}`,
        amount: 1,
        id: `${part * 500 + i}${quotes}`,
        reason: quotes,
        metadata,
      })),
    );
    expect(results.filter(result => !result.ok).map(({ error }) => error?.message)).toEqual([]);
  }
  const batch = await engine.flight.claim(0);
  expect(batch?.entries).toHaveLength(2000);
  await engine.drain();
  const [row] = await engine.database.query(
    'SELECT COUNT(*) AS entries, COUNT(DISTINCT ledger_no) AS numbers FROM sluice_entries',
  );
  expect([Number(row!.entries), Number(row!.numbers)]).toEqual([2000, 2000]);
  expect(await quarantined(engine)).toEqual([]);
  expect(await engine.balanceInMysql('loyalty', 'a499')).toBe(4);
  const [first] = await sluice.points('loyalty').history('a0', { limit: 1 });
  expect(first).toMatchObject({ metadata, reason: quotes, persisted: true });
});

describe('metadata', () => {
  const nested = (levels: number) => {
    let value: Record<string, unknown> = {};
    for (let level = 1; level < levels; level++) value = { a: value };
    return value;
  };

  it('may hold a backslash before a u, and twenty levels', async () => {
    const engine = await openEngine({ partitions: 1 });
    const loyalty = (await engine.producer()).points('loyalty');
    const written = { path: 'C:\\udata\\ude', pattern: '\\ud83d', '\\udc00': '\\\\ud800', face: '😀' };
    await loyalty.credit('a', 1, { id: 'text', metadata: written });
    await loyalty.credit('a', 1, { id: 'deep', metadata: nested(20) });
    await engine.drain();
    const entries = await loyalty.history('a');
    expect(entries.map(({ id, metadata, persisted }) => [id, metadata, persisted])).toEqual([
      ['deep', nested(20), true],
      ['text', written, true],
    ]);
    expect(await quarantined(engine)).toEqual([]);
  });

  it.each([
    ['a lone high surrogate', { a: '\ud83d' }],
    ['a lone low surrogate', { a: ['x\ude00'] }],
    ['a lone surrogate in a key', { '\ud83d': 1 }],
    ['a lone surrogate after a backslash', { a: '\\\ud83d' }],
    ['twenty-one levels', nested(21)],
    ['a hundred and one levels', nested(101)],
  ])('with %s is refused', async (_, metadata) => {
    const engine = await openEngine({ partitions: 1 });
    const loyalty = (await engine.producer()).points('loyalty');
    await expect(loyalty.credit('a', 1, { id: '1', metadata })).rejects.toMatchObject({
      code: 'INVALID_METADATA',
    });
    expect(await loyalty.balance('a')).toBe(0);
  });
});

it('a page of a history follows the one before it, although a flush comes between', async () => {
  const engine = await openEngine({ partitions: 1 });
  const loyalty = (await engine.producer()).points('loyalty');
  for (let i = 1; i <= 6; i++) await loyalty.credit('a', i, { id: `e${i}` });
  const page = async (before?: string) =>
    (await loyalty.history('a', before === undefined ? { limit: 2 } : { limit: 2, before })).map(
      entry => entry.id,
    );
  expect(await page()).toEqual(['e6', 'e5']);
  const query = Database.prototype.query;
  let flushes = 0;
  const spy = vi.spyOn(Database.prototype, 'query').mockImplementation(async function (
    this: Database,
    sql,
    values,
  ) {
    if (sql.includes('FROM sluice_entries') && flushes++ === 0) await engine.drain();
    return query.call(this, sql, values);
  });
  try {
    expect(await page('e5')).toEqual(['e4', 'e3']);
  } finally {
    spy.mockRestore();
  }
  expect(flushes).toBe(1);
  expect(await page('e3')).toEqual(['e2', 'e1']);
});

it('a rewind is counted once, although MySQL refuses a part of its batch', async () => {
  const engine = await openEngine({ partitions: 1 });
  const views = (await engine.producer()).counter('views');
  await engine.database.query(refuse('sluice_counters', 'NEW.value = 13'));
  for (let i = 0; i < 3; i++) {
    await views.increment('k');
    await engine.drain();
  }
  await engine.redis.hset(engine.keys.state(0), 'sequence', 2);
  await views.increment('bad', 13);
  await views.increment('good', 1);
  await engine.drain();
  expect((await engine.metrics.rewinds.get()).values[0]!.value).toBe(1);
  expect((await engine.metrics.skippedBatches.get()).values[0]!.value).toBe(0);
  expect((await engine.watermark(0)).sequence).toBe(4);
  expect(await engine.counterInMysql('views', 'good')).toBe(1);
  expect(await quarantined(engine)).toEqual([['views', 'bad', 13, null]]);
});

it('producers and workers refuse a second namespace on one database', async () => {
  const engine = await openEngine({ partitions: 1 });
  const sluice = await engine.producer();
  await sluice.counter('views').increment('k');
  await engine.drain();
  const { redisUrl: redis, mysqlUrl: mysql, settings, log } = engine;
  const namespace = `${engine.name}b`;
  const refusal = { code: 'INVALID_CONFIGURATION', message: expect.stringContaining(engine.name) };
  const other = createProducer({ redis, mysql, definitions, namespace, settings });
  await expect(
    other.then(async opened => {
      await opened.close();
    }),
  ).rejects.toMatchObject(refusal);
  const worker = Worker.start({
    redis: { url: redis },
    mysql: { url: mysql },
    definitions: parseDefinitions(definitions),
    namespace,
    settings,
    log,
  });
  await expect(
    worker.then(async opened => {
      await opened.stop();
    }),
  ).rejects.toMatchObject(refusal);
  await (await engine.producer()).counter('views').increment('k');
  await engine.drain();
  expect(await engine.counterInMysql('views', 'k')).toBe(2);
});

it('a partition without its watermark row does not stop the sweep of the others', async () => {
  const engine = await openEngine({
    partitions: 3,
    idempotencyWindowMs: 1000,
    alignIntervalMs: 100,
    sweepIntervalMs: 20,
  });
  const sluice = await engine.producer();
  await engine.worker();
  const account = Array.from({ length: 100 }, (_, i) => `a${i}`).find(
    name => engine.keys.partitionOf(name) === 2,
  )!;
  await (await sluice.points('loyalty').credit(account, 1, { id: '1' })).persisted();
  await engine.database.query('DELETE FROM sluice_partitions WHERE partition_id = 0');
  await engine.redis.del(engine.keys.state(1));
  // The worker tells Redis before its transaction commits.
  await until(
    async () =>
      (await engine.redis.hget(engine.keys.state(1), 'epoch')) === (await engine.watermark(1)).epoch,
    'partition 1 to be aligned',
  );
  await until(
    async () => (await engine.redis.hlen(`{${engine.name}:2}:ids`)) === 0,
    'the ids of partition 2 to be forgotten',
  );
});

it('an update that takes a cold counter out of the range is quarantined', async () => {
  const engine = await openEngine({ partitions: 1 });
  const views = (await engine.producer()).counter('views');
  await views.increment('k', Number.MAX_SAFE_INTEGER);
  await engine.drain();
  expect(await views.increment('k', 1)).toMatchObject({ value: null });
  await views.increment('other', 1);
  await engine.drain();
  expect(await engine.counterInMysql('views', 'k')).toBe(Number.MAX_SAFE_INTEGER);
  expect(await engine.counterInMysql('views', 'other')).toBe(1);
  expect(await quarantined(engine)).toEqual([['views', 'k', 1, null]]);
  await expect(views.get('k')).rejects.toMatchObject({ code: 'OUT_OF_RANGE' });
});
