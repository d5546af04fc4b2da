// What API services see: results, duplicates, refusals, receipts, exact keys, and calls that are sent twice.

import { Registry, register } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { partArguments, sharedArguments } from '../../src/producer/apply-call.ts';
import { createProducer } from '../../src/producer/producer.ts';
import { LIMITS } from '../../src/shared/limits.ts';
import { openQueue } from '../../src/shared/redis/queue.ts';
import { defineScript } from '../../src/shared/redis/script.ts';
import type { Update } from '../../src/shared/updates/update.ts';
import { definitions, openEngine, until } from '../support/engine.ts';

describe('a producer', () => {
  it('returns the new live value, null for a cold counter', async () => {
    const engine = await openEngine();
    const sluice = await engine.producer();
    const views = sluice.counter('views');
    expect(await views.increment('/')).toMatchObject({ value: null, duplicate: false });
    expect(await views.get('/')).toBe(1);
    expect(await views.increment('/', 5)).toMatchObject({ value: 6 });
    expect(await views.increment('/', -2)).toMatchObject({ value: 4 });
    expect(await views.getMany(['/', 'never', '/'])).toEqual([4, 0, 4]);
  });

  it('returns a value of its own to each of many concurrent increments', async () => {
    const engine = await openEngine();
    const views = (await engine.producer()).counter('views');
    await views.get('/');
    const values = (await Promise.all(Array.from({ length: 500 }, () => views.increment('/')))).map(
      result => result.value,
    );
    expect(values).toEqual(Array.from({ length: 500 }, (_, i) => i + 1));
  });

  it('answers a repeated id with its first result, and refuses it with other content', async () => {
    const engine = await openEngine();
    const sluice = await engine.producer();
    const views = sluice.counter('views');
    await views.get('/');
    expect(await views.increment('/', 5, { id: 'x' })).toMatchObject({ value: 5, duplicate: false });
    await views.increment('/');
    expect(await views.increment('/', 5, { id: 'x' })).toMatchObject({ value: 5, duplicate: true });
    await expect(views.increment('/', 6, { id: 'x' })).rejects.toMatchObject({
      code: 'IDEMPOTENCY_KEY_REUSED',
    });
    expect(await views.increment('/other', 6, { id: 'x' })).toMatchObject({ duplicate: false });

    const loyalty = sluice.points('loyalty');
    const metadata = { b: 1, a: { d: 1, c: 2 } };
    await loyalty.credit('1', 29, { id: 'o', reason: 'r', metadata });
    const again = { id: 'o', reason: 'r', metadata: { a: { c: 2, d: 1 }, b: 1 } };
    expect(await loyalty.credit('1', 29, again)).toMatchObject({ value: 29, duplicate: true });
    await expect(loyalty.credit('1', 29, { id: 'o', reason: 'other' })).rejects.toMatchObject({
      code: 'IDEMPOTENCY_KEY_REUSED',
    });
    await engine.drain();
    expect(await loyalty.credit('1', 29, again)).toMatchObject({ value: 29, duplicate: true });
    expect(await loyalty.balance('1')).toBe(29);
  });

  it('refuses a debit below the floor, also after earlier updates of the same call', async () => {
    const engine = await openEngine();
    const sluice = await engine.producer();
    await sluice.points('loyalty').credit('1', 100, { id: 'start' });
    const results = await sluice.apply([
      { points: 'loyalty', account: '1', amount: -60, id: 'a' },
      { points: 'loyalty', account: '1', amount: -60, id: 'b' },
      { points: 'loyalty', account: '1', amount: -40, id: 'c' },
    ]);
    expect(results.map(result => (result.ok ? result.value : result.error.code))).toEqual([
      40,
      'INSUFFICIENT_POINTS',
      0,
    ]);
    expect(await sluice.points('loyalty').balance('1')).toBe(0);
    await expect(sluice.points('loyalty').debit('1', 1, { id: 'd' })).rejects.toMatchObject({ balance: 0 });
    expect(await sluice.points('credits').debit('1', 100, { id: 'd' })).toMatchObject({ value: -100 });
    await expect(sluice.points('credits').debit('1', 1, { id: 'e' })).rejects.toMatchObject({
      code: 'INSUFFICIENT_POINTS',
    });
  });

  it('keeps the order of an account within a call, also while the account is cold', async () => {
    const engine = await openEngine({ microBatch: 3 });
    const sluice = await engine.producer();
    const updates: Update[] = Array.from({ length: 20 }, (_, i) => ({
      points: 'loyalty',
      account: '1',
      amount: i % 2 ? -1 : 1,
      id: `${i}`,
    }));
    const results = await sluice.apply(updates);
    expect(results.map(result => result.ok && result.value)).toEqual(updates.map((_, i) => (i % 2 ? 0 : 1)));
  });
});

describe('one bad update among many', () => {
  it('does not affect its neighbours', async () => {
    const engine = await openEngine();
    const sluice = await engine.producer();
    await sluice.counter('views').get('max');
    const bad: [unknown, string][] = [
      [null, 'INVALID_UPDATE'],
      [{}, 'INVALID_UPDATE'],
      [{ counter: 'views', points: 'loyalty', key: 'k' }, 'INVALID_UPDATE'],
      [{ counter: 'views', key: 'k', amount: 1 }, 'INVALID_UPDATE'],
      [{ counter: 'nope', key: 'k' }, 'UNKNOWN_COUNTER'],
      [{ counter: 'toString', key: 'k' }, 'UNKNOWN_COUNTER'],
      [{ points: 'nope', account: 'k', amount: 1, id: 'x' }, 'UNKNOWN_PROGRAM'],
      ...[0, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '1', null].map(
        by => [{ counter: 'views', key: 'k', by }, 'INVALID_AMOUNT'] as [unknown, string],
      ),
      [{ counter: 'views', key: '' }, 'INVALID_KEY'],
      [{ counter: 'views', key: 'ü'.repeat(LIMITS.key / 2 + 1) }, 'INVALID_KEY'],
      [{ counter: 'views', key: '\ud800' }, 'INVALID_KEY'],
      [{ counter: 'views', key: 7 }, 'INVALID_KEY'],
      [{ counter: 'views', key: 'k', id: '' }, 'INVALID_ID'],
      [{ counter: 'views', key: 'k', id: 'x'.repeat(LIMITS.id + 1) }, 'INVALID_ID'],
      [{ points: 'loyalty', account: 'x'.repeat(LIMITS.account + 1), amount: 1, id: 'x' }, 'INVALID_ACCOUNT'],
      [{ points: 'loyalty', account: 'a', amount: 1 }, 'MISSING_ID'],
      [{ points: 'loyalty', account: 'a', amount: 0, id: 'x' }, 'INVALID_AMOUNT'],
      [
        { points: 'loyalty', account: 'a', amount: 1, id: 'x', reason: 'r'.repeat(LIMITS.reason + 1) },
        'INVALID_REASON',
      ],
      [{ points: 'loyalty', account: 'a', amount: 1, id: 'x', metadata: 'text' }, 'INVALID_METADATA'],
      [
        {
          points: 'loyalty',
          account: 'a',
          amount: 1,
          id: 'x',
          metadata: { big: 'x'.repeat(LIMITS.metadata) },
        },
        'INVALID_METADATA',
      ],
      [
        { points: 'loyalty', account: 'a', amount: 1, id: 'x', metadata: { s: '\udc00' } },
        'INVALID_METADATA',
      ],
    ];
    const good = (n: number) => ({ counter: 'views', key: 'good', by: n }) as Update;
    const results = await sluice.apply(bad.flatMap(([update], i) => [good(i + 1), update as Update]));
    expect(
      results.filter((_, i) => i % 2 === 1).map(result => (result.ok ? 'accepted' : result.error.code)),
    ).toEqual(bad.map(([, code]) => code));
    expect(results.filter((_, i) => i % 2 === 0).every(result => result.ok)).toBe(true);
    expect(await sluice.counter('views').get('good')).toBe((bad.length * (bad.length + 1)) / 2);
    await engine.drain();
    expect((await engine.database.query('SELECT COUNT(*) AS n FROM sluice_counters'))[0]!.n).toBe('1');
  });

  it('is the only one refused for leaving the safe range, also among summed increments', async () => {
    const engine = await openEngine();
    const sluice = await engine.producer();
    const views = sluice.counter('views');
    await views.increment('k', Number.MAX_SAFE_INTEGER - 2);
    const results = await sluice.apply([1, 1, 1, -1, 1].map(by => ({ counter: 'views', key: 'k', by })));
    expect(results.map(result => (result.ok ? 'ok' : result.error.code))).toEqual([
      'ok',
      'ok',
      'OUT_OF_RANGE',
      'ok',
      'ok',
    ]);
    expect(await views.get('k')).toBe(Number.MAX_SAFE_INTEGER);
    await expect(views.increment('k')).rejects.toMatchObject({ code: 'OUT_OF_RANGE' });
    await engine.drain();
    expect(await engine.counterInMysql('views', 'k')).toBe(Number.MAX_SAFE_INTEGER);
    await expect(views.increment('k')).rejects.toMatchObject({ code: 'OUT_OF_RANGE' });
  });
});

it('keys that differ in case, accents, blanks, emoji, NUL or width are different keys', async () => {
  const engine = await openEngine();
  const sluice = await engine.producer();
  const names = [
    'a',
    'A',
    'á',
    'a\u0301',
    'a ',
    ' a',
    'a\t',
    'a\n',
    'a\u0000',
    '\u0000',
    '\u0000\u0000',
    'ａ',
    '😀',
    '😁',
    'ß',
    'ss',
    'ﬁ',
    'fi',
    "'",
    '"',
    '\\',
    '%',
    '_',
    ':',
    'a:',
    '["a"]',
    '{x}',
    'x'.repeat(LIMITS.key),
    '\u007f',
    'é'.repeat(127),
  ];
  await sluice.apply(names.map((key, i) => ({ counter: 'views', key, by: i + 1 })));
  const accounts = names.filter(name => Buffer.byteLength(name) < LIMITS.id);
  await sluice.apply(
    accounts.map((account, i) => ({ points: 'loyalty', account, amount: i + 1, id: `=${account}` })),
  );
  await engine.drain();
  const rows = await engine.database.query('SELECT counter_key, value FROM sluice_counters');
  expect(new Map(rows.map(row => [String(row.counter_key), Number(row.value)]))).toEqual(
    new Map(names.map((key, i) => [key, i + 1])),
  );
  const ledger = await engine.database.query('SELECT account, entry_id, amount FROM sluice_entries');
  expect(new Set(ledger.map(row => `${row.account}|${row.entry_id}|${row.amount}`))).toEqual(
    new Set(accounts.map((name, i) => `${name}|=${name}|${i + 1}`)),
  );
  expect(await sluice.counter('views').getMany(names)).toEqual(names.map((_, i) => i + 1));
  for (const [i, account] of accounts.entries()) {
    const history = await sluice.points('loyalty').history(account);
    expect(history).toMatchObject([
      { id: `=${account}`, amount: i + 1, balanceAfter: i + 1, persisted: true },
    ]);
  }
});

describe('receipts', () => {
  it('resolve once the update is in MySQL', async () => {
    const engine = await openEngine();
    const sluice = await engine.producer();
    const receipt = await sluice.counter('views').increment('/');
    await expect(receipt.persisted({ timeoutMs: 50 })).rejects.toMatchObject({
      code: 'PERSIST_TIMEOUT',
      retryable: true,
    });
    await engine.worker();
    await receipt.persisted();
    expect(await engine.counterInMysql('views', '/')).toBe(1);
    const [entry] = await sluice.apply([{ points: 'loyalty', account: '1', amount: 5, id: 'x' }]);
    if (!entry?.ok) throw new Error('refused');
    await entry.persisted();
    expect(await engine.balanceInMysql('loyalty', '1')).toBe(5);
  });

  it('reject for an update that went into quarantine', async () => {
    const engine = await openEngine();
    const sluice = await engine.producer();
    await engine.database.query(
      "INSERT INTO sluice_counters VALUES ('views', 'full', 9007199254740991, UTC_TIMESTAMP(3))",
    );
    const full = await sluice.counter('views').increment('full');
    const fine = await sluice.counter('views').increment('fine');
    await engine.worker();
    await expect(full.persisted()).rejects.toMatchObject({ code: 'QUARANTINED' });
    await fine.persisted();
  });
});

describe('a call that is sent twice', () => {
  it("is recognised by the caller's number, and refused after a later call", async () => {
    const engine = await openEngine();
    const sluice = await engine.producer();
    await sluice.counter('views').increment('/');
    const other = await engine.producer();
    await other.close();
    const call = defineScript<string[]>(
      engine.redis,
      'apply',
      new URL('../../src/producer/apply.lua', import.meta.url),
    );
    const partition = engine.keys.partitionOf('/');
    const time = await engine.redis.time();
    const deadline = Number(time[0]) * 1000 + 5000;
    const one = {
      seen: { incarnation: '', updates: 0 },
      updates: JSON.stringify(['c', 'views:/', 1, 1, '']),
    };
    const send = async (deadline: number, id: string, number: number) => {
      const [reply] = await call(
        engine.keys.state(partition),
        ...sharedArguments(engine.keys.owner, engine.settings),
        ...partArguments({ ...one, id, number, deadline }, false),
      );
      return reply;
    };
    const first = await send(deadline, 'one', 1);
    expect(await send(deadline, 'one', 1)).toBe(first);
    expect(await send(deadline, 'one', 2)).toMatch(/^ok /);
    expect(await send(deadline, 'one', 1)).toMatch(/^late /);
    expect(await send(deadline, 'other', 1)).toMatch(/^ok /);
    expect(await send(deadline - 6000, 'third', 1)).toMatch(/^late /);
    await engine.drain();
    expect(await engine.counterInMysql('views', '/')).toBe(4);
  });

  it('is applied again after SCRIPT FLUSH', async () => {
    const engine = await openEngine();
    const sluice = await engine.producer();
    await sluice.counter('views').increment('/');
    await engine.redis.script('FLUSH');
    await sluice.counter('views').increment('/');
    await engine.redis.script('FLUSH');
    await engine.drain();
    expect(await engine.counterInMysql('views', '/')).toBe(2);
  });
});

describe('wake-ups', () => {
  it('add one flush job per partition, however many updates there are', async () => {
    const engine = await openEngine();
    const sluice = await engine.producer();
    for (let round = 0; round < 20; round++)
      await sluice.apply(Array.from({ length: 200 }, (_, i) => ({ counter: 'views', key: `${round}-${i}` })));
    const queue = openQueue(engine.own.redis, engine.keys);
    await until(
      async () =>
        (await queue.getDelayedCount()) + (await queue.getWaitingCount()) === engine.settings.partitions,
      'one job per partition',
    );
    await queue.close();
  });

  it('may be lost, since the sweep flushes old updates', async () => {
    const engine = await openEngine({ stuckAfterMs: 300, sweepIntervalMs: 50 });
    const sluice = await engine.producer();
    const receipt = await sluice.counter('views').increment('/');
    for (const key of await engine.redis.keys(`{${engine.name}}:flush*`)) await engine.redis.del(key);
    await engine.worker();
    await receipt.persisted();
    expect(await engine.counterInMysql('views', '/')).toBe(1);
  });
});

it("accepted and refused updates count on the caller's registry, never on the global one", async () => {
  const engine = await openEngine();
  const registry = new Registry();
  const options = {
    redis: engine.redisUrl,
    mysql: engine.mysqlUrl,
    definitions,
    namespace: engine.name,
    settings: engine.settings,
  };
  const first = await createProducer({ ...options, registry });
  const second = await createProducer({ ...options, registry });
  await first.counter('views').increment('/');
  await second.counter('views').increment('/', 1, { id: 'x' });
  await second.counter('views').increment('/', 1, { id: 'x' });
  await second
    .counter('views')
    .increment('')
    .catch(() => {});
  await second.apply([{ points: 'loyalty', account: 'a', amount: -1, id: 'x' }]);
  const text = await registry.metrics();
  expect(text).toContain('sluice_accepted_updates_total{duplicate="false"} 2');
  expect(text).toContain('sluice_accepted_updates_total{duplicate="true"} 1');
  expect(text).toContain('sluice_refused_updates_total{code="INSUFFICIENT_POINTS"} 1');
  expect(register.getMetricsAsArray()).toEqual([]);
  await first.close();
  await second.close();
});

describe('close', () => {
  it('sends buffered updates, then refuses new ones', async () => {
    const engine = await openEngine();
    const sluice = await engine.producer();
    const calls = Array.from({ length: 1000 }, (_, i) => sluice.counter('views').increment(`${i % 10}`));
    await sluice.close();
    expect((await Promise.all(calls)).length).toBe(1000);
    await expect(sluice.counter('views').increment('/')).rejects.toMatchObject({ code: 'PRODUCER_CLOSED' });
    await engine.drain();
    expect(
      Number((await engine.database.query('SELECT SUM(value) AS total FROM sluice_counters'))[0]!.total),
    ).toBe(1000);
  });
});

it('a history comes in pages, with pending and persisted entries', async () => {
  const engine = await openEngine({ batchEntries: 3 });
  const sluice = await engine.producer();
  const loyalty = sluice.points('loyalty');
  const add = async (from: number, to: number) => {
    for (let i = from; i < to; i++)
      await loyalty.credit('1', 1, { id: `${i}`, reason: `r${i}`, metadata: { i } });
  };
  await add(0, 10);
  await engine.drain();
  await add(10, 20);
  await engine.flight.claim(engine.keys.partitionOf('1'));
  await add(20, 22);
  const all = await loyalty.history('1');
  expect(all.map(entry => entry.id)).toEqual(Array.from({ length: 22 }, (_, i) => `${21 - i}`));
  expect(all.map(entry => entry.persisted)).toEqual(Array.from({ length: 22 }, (_, i) => i >= 12));
  expect(all.map(entry => entry.balanceAfter)).toEqual(Array.from({ length: 22 }, (_, i) => 22 - i));
  expect(all[0]).toMatchObject({ reason: 'r21', metadata: { i: 21 } });
  const paged: string[] = [];
  for (let before: string | undefined; ; before = paged.at(-1)) {
    const page = await loyalty.history('1', { limit: 5, ...(before === undefined ? {} : { before }) });
    if (page.length === 0) break;
    paged.push(...page.map(entry => entry.id));
  }
  expect(paged).toEqual(all.map(entry => entry.id));
});
