// Look-up of a key: its parts add up in every state of an update, are exact, and looking changes nothing.

import { describe, expect, it } from 'vitest';
import type { LookUp } from '../../src/console/answers.ts';
import { lookUpRoutes } from '../../src/console/look-up.ts';
import type { Kind } from '../../src/shared/item.ts';
import { asker, caller, consoleParts } from '../support/console.ts';
import { definitions, type Engine, openEngine, until } from '../support/engine.ts';
import { poison } from '../support/failed.ts';
import { setLive } from '../support/live.ts';

const NAMED = {
  ...definitions,
  values: { best: { keep: 'max' }, seen: { keep: 'last' }, low: { keep: 'min' } },
} as const;

async function open() {
  const engine = await openEngine({ partitions: 1 });
  const parts = await consoleParts(engine, NAMED);
  const call = caller(lookUpRoutes, parts);
  const sluice = await engine.producer<typeof NAMED>({}, { definitions: NAMED });
  const look = async (kind: string, name: string, key: string): Promise<LookUp> =>
    (await call.get(`/api/look-up?kind=${kind}&name=${name}&key=${encodeURIComponent(key)}`)).body;
  return { engine, parts, call, sluice, look };
}

/** Claims what is pending and stops before it is written. */
async function claim(engine: Engine): Promise<void> {
  engine.crashAt('claimed');
  await engine.flusher.flush(0).catch(() => {});
  engine.crashAt(undefined);
}

const of = (found: LookUp) => ({
  live: found.live.value,
  mysql: found.parts.mysql,
  quarantine: found.parts.quarantine.amount,
  inFlight: [found.parts.inFlight.amount, found.parts.inFlight.updates],
  pending: [found.parts.pending.amount, found.parts.pending.updates],
  expected: found.expected,
  drift: found.drift,
  settled: found.settled,
});

describe('the parts', () => {
  it('show each update where it is, and add up', async () => {
    const { engine, sluice, look } = await open();
    await poison(engine);
    const points = sluice.points('loyalty');
    const both = async (n: number) => {
      await sluice.counter('views').increment('bad', n);
      await points.credit('al', n, { id: `bad${n}` });
    };
    await sluice.counter('views').get('bad');
    await both(1);
    await engine.drain();
    await engine.database.query('DROP TRIGGER bad_counters');
    await engine.database.query('DROP TRIGGER bad_entries');
    await both(10);
    await engine.drain();
    await both(100);
    await both(200);
    await claim(engine);
    await both(1000);
    await both(2000);
    const all = {
      ...{ live: '3311', mysql: '10', quarantine: '1', expected: '3311', drift: '0', settled: true },
      ...{ inFlight: ['300', 2], pending: ['3000', 2] },
    };
    expect(of(await look('counter', 'views', 'bad'))).toEqual(all);
    const account = await look('points', 'loyalty', 'al');
    expect(of(account)).toEqual(all);
    expect(account).toMatchObject({
      parts: { quarantine: { updates: { count: 1, atLeast: false } } },
      ...{ partition: 0, target: null, held: null, openHolds: [], moreHolds: false },
      live: { state: 'live' },
    });
    // The batch is in the database and not yet acknowledged: it counts once.
    engine.crashAt('committed');
    await engine.flusher.flush(0).catch(() => {});
    engine.crashAt(undefined);
    const written = { ...all, mysql: '310', inFlight: ['0', 0] };
    expect(of(await look('counter', 'views', 'bad'))).toEqual(written);
    expect(of(await look('points', 'loyalty', 'al'))).toEqual(written);
    await engine.drain();
    const settled = { ...all, mysql: '3310', inFlight: ['0', 0], pending: ['0', 0] };
    expect(of(await look('counter', 'views', 'bad'))).toEqual(settled);
    expect(of(await look('points', 'loyalty', 'al'))).toEqual(settled);
  });

  it('split a segment of which a part is in flight, as a cold read adds it up', async () => {
    const engine = await openEngine({ partitions: 1, batchKeys: 100, batchEntries: 100 });
    const parts = await consoleParts(engine);
    const call = caller(lookUpRoutes, parts);
    const sluice = await engine.producer();
    const loyalty = sluice.points('loyalty');
    for (let n = 0; n < 260; n++) await loyalty.credit(n % 2 ? 'al' : 'bo', 1, { id: `e${n}` });
    await claim(engine);
    await loyalty.credit('al', 5, { id: 'later' });
    const { body } = await call.get('/api/look-up?kind=points&name=loyalty&key=al');
    expect(of(body)).toMatchObject({
      ...{ inFlight: ['50', 50], pending: ['85', 81] },
      ...{ live: '135', expected: '135', settled: true },
    });
    expect((await engine.compare('p', 'loyalty', 'al')).expected).toBe(135);
    // The first part is written, the second is in flight.
    engine.crashAt('acknowledged');
    await engine.flusher.flush(0).catch(() => {});
    await claim(engine);
    expect(of((await call.get('/api/look-up?kind=points&name=loyalty&key=al')).body)).toMatchObject({
      ...{ mysql: '50', inFlight: ['50', 50], pending: ['35', 31], expected: '135', settled: true },
    });
  });

  it('of a value are puts, of which one is kept', async () => {
    const { engine, sluice, look } = await open();
    const put = (n: number) =>
      Promise.all([
        sluice.value('best').put('k', n),
        sluice.value('seen').put('k', n),
        sluice.value('low').put('k', n),
      ]);
    expect(of(await look('value', 'best', 'k'))).toMatchObject({ live: null, mysql: null, expected: null });
    await put(5);
    await engine.drain();
    for (const name of ['best', 'seen', 'low'] as const) await sluice.value(name).get('k');
    await put(9);
    await claim(engine);
    await put(7);
    const parts = { mysql: '5', inFlight: ['9', 1], pending: ['7', 1], drift: '0', settled: true };
    expect(of(await look('value', 'best', 'k'))).toMatchObject({ ...parts, live: '9', expected: '9' });
    expect(of(await look('value', 'seen', 'k'))).toMatchObject({ ...parts, live: '7', expected: '7' });
    expect(of(await look('value', 'low', 'k'))).toMatchObject({ ...parts, live: '5', expected: '5' });
  });

  it('show held points and the open holds', async () => {
    const { engine, sluice, look } = await open();
    const points = sluice.points('loyalty');
    await points.credit('al', 100, { id: 'a' });
    await points.hold('al', 30, { id: 'h1' });
    await engine.drain();
    await points.hold('al', 20, { id: 'h2', expiresInMs: 3_600_000 });
    const found = await look('points', 'loyalty', 'al');
    expect(of(found)).toMatchObject({ live: '100', expected: '100', drift: '0' });
    expect(found.held).toEqual({ live: '50', expected: '50' });
    expect(found.openHolds).toMatchObject([{ id: 'h1', amount: '30', expiresAt: null }]);
    await engine.drain();
    expect((await look('points', 'loyalty', 'al')).openHolds).toMatchObject([
      { id: 'h1' },
      { id: 'h2', amount: '20', expiresAt: expect.any(String) },
    ]);
  });

  it('keep numbers beyond 2^53 exact', async () => {
    const engine = await openEngine({ partitions: 1 });
    await engine.database.query('CREATE TABLE pages (path VARBINARY(40) PRIMARY KEY, hits BIGINT NOT NULL)');
    await engine.database.query("INSERT INTO pages VALUES ('k', 9223372036854775807)");
    const target = { table: 'pages', key: 'path', column: 'hits' } as const;
    const parts = await consoleParts(engine, { counters: { views: { target } } });
    const call = caller(lookUpRoutes, parts);
    const { body } = await call.get('/api/look-up?kind=counter&name=views&key=k');
    expect(of(body)).toMatchObject({
      mysql: '9223372036854775807',
      expected: '9223372036854775807',
      live: null,
    });
    expect(body.target).toBe('pages (path, hits)');
    // The partition has a state once something is accepted.
    await (await engine.producer()).counter('clicks').increment('k', 1);
    await engine.redis.hset(engine.keys.of(0, 'live:young'), 'cviews:k', '9223372036854775806');
    expect((await call.get('/api/look-up?kind=counter&name=views&key=k')).body).toMatchObject({
      live: { state: 'live', value: '9223372036854775806' },
      drift: '-1',
    });
    await engine.redis.hset(engine.keys.of(0, 'live:young'), 'cviews:k', 'garbage');
    expect((await call.get('/api/look-up?kind=counter&name=views&key=k')).body).toMatchObject({
      live: { state: 'live', value: null },
      drift: null,
    });
  });
});

describe('looking', () => {
  it('loads nothing, and says how long a live value stays', async () => {
    const { engine, sluice, look } = await open();
    await sluice.counter('views').increment('k', 5);
    await engine.drain();
    await sluice.counter('views').get('k');
    const ttl = engine.settings.liveTtlMs / 1000;
    const young = await look('counter', 'views', 'k');
    expect(young.ttlSeconds).toEqual({ from: ttl, to: 2 * ttl });
    const now = Date.now();
    await engine.redis.hset(engine.keys.state(0), 'rotated', now - 60_000);
    await engine.redis.rename(engine.keys.of(0, 'live:young'), engine.keys.of(0, 'live:old'));
    const { from, to } = (await look('counter', 'views', 'k')).ttlSeconds!;
    expect(from).toBe(to);
    expect(from).toBeGreaterThan(ttl - 120);
    expect(from).toBeLessThanOrEqual(ttl - 59);
    expect(await engine.redis.exists(engine.keys.of(0, 'live:young'))).toBe(0);
    await engine.redis.del(engine.keys.of(0, 'live:old'));
    expect(await look('counter', 'views', 'k')).toMatchObject({
      live: { state: 'cold', value: null },
      ...{ expected: '5', drift: null, ttlSeconds: null, settled: true },
    });
    expect(await engine.redis.exists(engine.keys.of(0, 'live:young'), engine.keys.of(0, 'live:old'))).toBe(0);
  });

  it('waits for no lock of the watermark, and locks nothing', async () => {
    const { engine, sluice, look } = await open();
    await sluice.counter('views').increment('k', 5);
    await engine.drain();
    await engine.database.transaction(async connection => {
      await connection.query('SELECT * FROM sluice_partitions FOR UPDATE');
      expect(of(await look('counter', 'views', 'k'))).toMatchObject({ expected: '5', settled: true });
    });
  });

  it('says that nothing is settled rather than something wrong', async () => {
    const { engine, sluice, look } = await open();
    await sluice.counter('views').increment('k', 5);
    await engine.drain();
    await sluice.counter('views').get('k');
    await sluice.counter('views').increment('k', 2);
    await engine.database.query('UPDATE sluice_partitions SET sequence = sequence + 9');
    const behind = await look('counter', 'views', 'k');
    expect(of(behind)).toMatchObject({ settled: false, expected: null, drift: null, live: '7' });
    expect(behind.unsettledWhy).toMatch(/flush/);
    await engine.database.query("UPDATE sluice_partitions SET sequence = sequence - 9, epoch = 'other'");
    expect(of(await look('counter', 'views', 'k'))).toMatchObject({ settled: false, expected: null });
  });

  it('agrees with a cold read at any moment of traffic and flushes', async () => {
    const { engine, sluice, look } = await open();
    await engine.worker({ flushIntervalMs: 100 });
    let isOver = false;
    let settled = 0;
    const traffic = (async () => {
      for (let n = 1; !isOver; n++) {
        await sluice.apply([
          { counter: 'views', key: 'k', by: 1 },
          { points: 'loyalty', account: 'k', amount: 1, id: `e${n}` },
        ]);
      }
    })();
    await until(async () => {
      for (const [kind, name] of [
        ['counter', 'views'],
        ['points', 'loyalty'],
      ] as const) {
        const found = await look(kind, name, 'k');
        if (!found.settled) continue;
        settled++;
        const { mysql, quarantine, inFlight, pending } = found.parts;
        const sum = [mysql, quarantine.amount, inFlight.amount, pending.amount].reduce(
          (a, b) => a + BigInt(b!),
          0n,
        );
        expect(found.expected).toBe(String(sum));
        // The live value is read by the same script as the pending ones.
        if (found.drift !== null) expect(found.drift).toBe('0');
      }
      return settled >= 40;
    });
    isOver = true;
    await traffic;
  });
});

describe('the ledger', () => {
  it('goes from page to page, pending entries included, and hides payloads from who may not see them', async () => {
    const { engine, parts, call, sluice } = await open();
    const points = sluice.points('loyalty');
    for (let n = 0; n < 5; n++)
      await points.credit('al', n + 1, { id: `e${n}`, reason: '<img src=x>', metadata: { n: n / 4 } });
    await engine.drain();
    for (let n = 5; n < 8; n++) await points.credit('al', n + 1, { id: `e${n}` });
    const pages: string[][] = [];
    for (let before = ''; ; ) {
      const { body } = await call.get(
        `/api/look-up/ledger?name=loyalty&key=al&limit=3${before && `&before=${before}`}`,
      );
      pages.push(body.entries.map((entry: { id: string }) => entry.id));
      if (body.next === null) break;
      before = body.next;
    }
    expect(pages.flat()).toEqual(['e7', 'e6', 'e5', 'e4', 'e3', 'e2', 'e1', 'e0']);
    const { body } = await call.get('/api/look-up/ledger?name=loyalty&key=al');
    expect(body.entries[0]).toMatchObject({ id: 'e7', persisted: false, amount: '8', balanceAfter: '36' });
    expect(body.entries[4]).toMatchObject({
      id: 'e3',
      reason: '<img src=x>',
      metadata: '{"n":0.75}',
      persisted: true,
    });
    const blind = caller(lookUpRoutes, parts, asker('viewer', { seesPayloads: false }));
    const hidden = (await blind.get('/api/look-up/ledger?name=loyalty&key=al')).body;
    expect(hidden.entries[4]).toMatchObject({ id: 'e3', reason: null, metadata: null });
  });
});

describe('a repair', () => {
  it('corrects one live value, with who did it and from where', async () => {
    const { engine, call, sluice, look } = await open();
    await sluice.counter('views').increment('k', 5);
    await sluice.counter('views').increment('other', 5);
    await engine.redis.hset(engine.keys.of(0, 'live:young'), 'cviews:k', '4', 'cviews:other', '4');
    expect(of(await look('counter', 'views', 'k'))).toMatchObject({ drift: '-1' });
    const wanted = { kind: 'counter', name: 'views', key: 'k', reason: 'INC-7' };
    const { body } = await call.post('/api/look-up/repair', wanted);
    expect(body).toEqual({ operation: expect.any(Number), was: '4', became: '5', held: null });
    expect(of(await look('counter', 'views', 'k'))).toMatchObject({ live: '5', drift: '0' });
    expect(of(await look('counter', 'views', 'other'))).toMatchObject({ drift: '-1' });
    const [row] = await engine.database.query('SELECT * FROM sluice_operations');
    expect(row).toMatchObject({ action: 'repair', operator: 'olga', reason: 'INC-7', address: '192.0.2.7' });
    expect(row!.finished_at).not.toBeNull();
    expect(JSON.parse(row!.filter).filter).toEqual({ kind: 'counter', name: 'views', key: 'k' });
    // A cold key stays cold.
    const cold = await call.post('/api/look-up/repair', { ...wanted, key: 'never' });
    expect(cold.body).toMatchObject({ was: null, became: null });
    expect((await engine.compare('c' as Kind, 'views', 'never')).live).toBeUndefined();
  });
});

describe('a live value that another program wrote', () => {
  it('is told with what it held, and with all its digits', async () => {
    const { engine, call, sluice, look } = await open();
    await sluice.points('loyalty').credit('al', 100, { id: 'a' });
    await sluice.points('loyalty').hold('al', 10, { id: 'h' });
    await sluice.counter('views').increment('k', 5);
    await engine.drain();
    const wanted = { kind: 'points', name: 'loyalty', key: 'al', reason: 'INC-7' };
    await setLive(engine, 'p', 'loyalty:al', '100/30');
    expect(await look('points', 'loyalty', 'al')).toMatchObject({
      drift: '0',
      held: { live: '30', expected: '10' },
    });
    expect((await call.post('/api/look-up/repair', wanted)).body).toMatchObject({
      ...{ was: '100', became: '100', held: { was: '30', became: '10' } },
    });
    await setLive(engine, 'p', 'loyalty:al', '9007199254740993/9007199254740995');
    expect(await look('points', 'loyalty', 'al')).toMatchObject({
      live: { value: '9007199254740993' },
      held: { live: '9007199254740995', expected: '10' },
    });
    expect((await call.post('/api/look-up/repair', wanted)).body).toMatchObject({
      ...{ was: '9007199254740993', became: '100', held: { was: '9007199254740995', became: '10' } },
    });
    await setLive(engine, 'c', 'views:k', '-9007199254740993');
    const counter = { kind: 'counter', name: 'views', key: 'k', reason: 'INC-7' };
    expect((await call.post('/api/look-up/repair', counter)).body).toMatchObject({
      ...{ was: '-9007199254740993', became: '5', held: null },
    });
  });
});

describe('what is refused', () => {
  it('with its status, and nothing is written', async () => {
    const { engine, call } = await open();
    const get = async (query: string) => (await call.get(`/api/look-up?${query}`)).body.code;
    expect(await get('')).toBe('INVALID_REQUEST');
    expect(await get('kind=counter&name=views')).toBe('INVALID_REQUEST');
    expect(await get('kind=counter&name=views&key=')).toBe('INVALID_REQUEST');
    expect(await get('kind=counter&name=views&key=a&key=b')).toBe('INVALID_REQUEST');
    expect(await get('kind=counter&name=views&key=a&more=1')).toBe('INVALID_REQUEST');
    expect(await get('kind=__proto__&name=views&key=a')).toBe('INVALID_REQUEST');
    expect(await get('kind=counter&name=__proto__&key=a')).toBe('UNKNOWN_COUNTER');
    expect(await get('kind=points&name=constructor&key=a')).toBe('UNKNOWN_PROGRAM');
    expect(await get('kind=value&name=views&key=a')).toBe('UNKNOWN_VALUE');
    expect(await get(`kind=counter&name=views&key=${'k'.repeat(2049)}`)).toBe('INVALID_REQUEST');
    expect(await get(`kind=points&name=loyalty&key=${'k'.repeat(256)}`)).toBe('INVALID_ACCOUNT');
    expect(await get('kind=counter&name=views&key=%ED%A0%80')).toBe('INVALID_REQUEST');
    const ledger = async (query: string) =>
      (await call.get(`/api/look-up/ledger?name=loyalty&key=a&${query}`)).status;
    for (const query of ['limit=0', 'limit=-1', 'limit=1e9', 'limit=999999999', 'limit=NaN', 'before='])
      expect(await ledger(query), query).toBe(400);
    const body = { kind: 'counter', name: 'views', key: 'k', reason: 'x' };
    const post = async (changed: unknown) => (await call.post('/api/look-up/repair', changed)).status;
    for (const changed of [
      ...[
        { ...body, reason: undefined },
        { ...body, reason: '' },
        { ...body, reason: ' ' },
        { ...body, reason: 7 },
      ],
      ...[
        { ...body, reason: 'r'.repeat(256) },
        { ...body, operator: 'eve' },
        { ...body, key: ['a'] },
        { ...body, key: {} },
      ],
      ...[[], null, 7, '"x"', '{"kind":"counter","name":"views","key":"\\ud800","reason":"x"}', '{'],
      '{"__proto__":{"kind":"counter"},"name":"views","key":"k","reason":"x"}',
    ])
      expect(await post(changed), JSON.stringify(changed)).toBe(400);
    expect(await engine.database.query('SELECT id FROM sluice_operations')).toEqual([]);
    // Blanks, percent signs and quotes are a key like any other.
    expect((await call.get("/api/look-up?kind=counter&name=views&key=%25_'%22%00%0A")).body).toMatchObject({
      ...{ settled: true, expected: '0', key: '%_\'"\0\n' },
    });
  });
});
