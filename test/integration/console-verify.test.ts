// Comparisons of everything, started from the console; processes and what they disagree on; definitions.

import { describe, expect, it } from 'vitest';
import { routes } from '../../src/console/routes.ts';
import { createLog } from '../../src/shared/log.ts';
import { Heartbeat } from '../../src/shared/redis/heartbeat.ts';
import { asker, caller, consoleParts } from '../support/console.ts';
import { openEngine, until } from '../support/engine.ts';
import { setLive } from '../support/live.ts';
import { insertEntry } from '../support/transfer-rows.ts';

describe('a comparison', () => {
  it('runs once at a time, keeps its result, and repairs with a reason and a record', async () => {
    const engine = await openEngine({ partitions: 1 });
    const parts = await consoleParts(engine);
    const call = caller(routes, parts, asker('admin', { name: 'ada' }));
    const sluice = await engine.producer();
    await sluice.counter('views').increment('k', 5);
    await sluice.counter('views').get('k');
    await sluice.points('loyalty').credit('al', 9, { id: 'a' });
    await engine.drain();
    await engine.redis.hset(engine.keys.of(0, 'live:young'), 'cviews:k', '4');
    await engine.database.query('UPDATE sluice_accounts SET balance = 10');
    expect((await call.get('/api/verify')).body).toEqual({ running: null, last: null });
    const started = await call.post('/api/verify', '');
    expect(started).toMatchObject({ status: 202, body: { running: { by: 'ada', repairs: false } } });
    expect((await call.post('/api/verify', '')).body.code).toBe('VERIFY_RUNNING');
    await until(async () => (await call.get('/api/verify')).body.running === null);
    const { last } = (await call.get('/api/verify')).body;
    expect(last).toMatchObject({ by: 'ada', error: null, unlisted: 0, more: [], alsoWrong: 0, unread: 0 });
    expect(last.drift).toContainEqual({
      ...{ kind: 'counter', name: 'views', key: 'k', shownKey: '"k"' },
      ...{ live: '4', expected: '5', became: null, held: null },
    });
    expect(last.ledger).toEqual([{ program: 'loyalty', account: 'al', balance: '10', sum: '9' }]);
    expect(await engine.database.query('SELECT * FROM sluice_operations')).toEqual([]);
    for (const body of [{}, { reason: '' }, { reason: 7 }, { reason: 'x', operator: 'eve' }, '', 'null'])
      expect((await call.post('/api/verify/repair', body)).status).toBe(400);
    expect((await call.post('/api/verify/repair', { reason: 'INC-3' })).status).toBe(202);
    await until(async () => (await call.get('/api/verify')).body.running === null);
    const repaired = (await call.get('/api/verify')).body.last;
    expect(repaired.drift).toContainEqual(expect.objectContaining({ key: 'k', live: '4', became: '5' }));
    expect(await engine.compare('c', 'views', 'k')).toMatchObject({ live: 5, expected: 5 });
    const [row] = await engine.database.query('SELECT * FROM sluice_operations');
    expect(row).toMatchObject({ action: 'repair', operator: 'ada', reason: 'INC-3', address: '192.0.2.7' });
    expect(row!.finished_at).not.toBeNull();
  });

  it('shows what accounts hold, and every digit of a live value that another program wrote', async () => {
    const engine = await openEngine({ partitions: 1 });
    const parts = await consoleParts(engine);
    const call = caller(routes, parts, asker('admin'));
    const sluice = await engine.producer();
    await sluice.points('loyalty').credit('al', 100, { id: 'a' });
    await sluice.points('loyalty').hold('al', 10, { id: 'h' });
    await sluice.counter('views').increment('k', 5);
    await engine.drain();
    await setLive(engine, 'p', 'loyalty:al', '100/30');
    await setLive(engine, 'c', 'views:k', '9007199254740993');
    const compared = async (path: string, body: unknown) => {
      await call.post(path, body);
      await until(async () => (await call.get('/api/verify')).body.running === null);
      return (await call.get('/api/verify')).body.last.drift;
    };
    const account = { kind: 'points', name: 'loyalty', key: 'al', shownKey: '"al"' };
    const counter = { kind: 'counter', name: 'views', key: 'k', shownKey: '"k"' };
    const wrong = [
      { ...counter, live: '9007199254740993', expected: '5', held: null },
      { ...account, live: '100', expected: '100', held: { live: '30', expected: '10' } },
    ];
    const unrepaired = wrong.map(one => ({ ...one, became: null }));
    expect(await compared('/api/verify', '')).toEqual(expect.arrayContaining(unrepaired));
    const repaired = wrong.map(one => ({ ...one, became: one.expected }));
    expect(await compared('/api/verify/repair', { reason: 'x' })).toEqual(expect.arrayContaining(repaired));
    await setLive(engine, 'p', 'loyalty:al', '-9223372036854775807/9223372036854775806');
    expect(await compared('/api/verify', '')).toMatchObject([
      { live: '-9223372036854775807', held: { live: '9223372036854775806', expected: '10' } },
    ]);
  });

  it('counts the transfers, holds and sums of open holds that are wrong, and the names it could not read', async () => {
    const engine = await openEngine({ partitions: 1 });
    await engine.database.query('CREATE TABLE pages (path VARBINARY(40) PRIMARY KEY, hits BIGINT NOT NULL)');
    const target = { table: 'pages', key: 'path', column: 'hits' } as const;
    const parts = await consoleParts(engine, {
      counters: { views: { target } },
      points: { loyalty: {} },
    });
    const call = caller(routes, parts);
    await insertEntry(engine.database, 'b', 5, { transfer: 't1' });
    await insertEntry(engine.database, 'b', -5, { transfer: 't2' });
    await engine.database.query(
      `INSERT INTO sluice_holds (program, account, hold_id, partition_id, amount, status, posted, created_at) VALUES
       ('loyalty', 'a', 'open', 0, 3, 'open', 0, UTC_TIMESTAMP(3)), ('loyalty', 'a', 'gone', 0, 4, 'posted', 4, UTC_TIMESTAMP(3))`,
    );
    await engine.database.query('RENAME TABLE pages TO hidden');
    await call.post('/api/verify', '');
    await until(async () => (await call.get('/api/verify')).body.running === null);
    const { last } = (await call.get('/api/verify')).body;
    expect(last).toMatchObject({ error: null, drift: [], ledger: [], unlisted: 0, alsoWrong: 4, unread: 1 });
    expect(last.more).toEqual([
      '2 transfers do not add up; `sluice verify` lists them.',
      '1 holds do not fit their entries; `sluice verify` lists them.',
      '1 sums of open holds, which metrics show, are wrong.',
      expect.stringMatching(/^The counter views was not compared\. /),
    ]);
  });

  it('that fails says why, and one that runs when the console ends is ended', async () => {
    const engine = await openEngine({ partitions: 1 });
    const parts = await consoleParts(engine);
    const call = caller(routes, parts);
    await (await engine.producer()).counter('views').increment('k', 5);
    await engine.database.query('RENAME TABLE sluice_entries TO hidden');
    await call.post('/api/verify', '');
    await until(async () => (await call.get('/api/verify')).body.running === null);
    expect((await call.get('/api/verify')).body.last.error).toMatch(/database/);
    await engine.database.query('RENAME TABLE hidden TO sluice_entries');
    await call.post('/api/verify', '');
    await parts.verifyRuns.close();
    expect((await call.get('/api/verify')).body.running).toBeNull();
  });
});

describe('processes', () => {
  it('are shown with what they disagree on', async () => {
    const engine = await openEngine({ partitions: 1 });
    const parts = await consoleParts(engine);
    const call = caller(routes, parts);
    const facts = {
      role: 'worker',
      version: '1.0.0',
      settings: { A: '1', __proto__: 'x' },
      definitions: 'd1',
    } as const;
    const beats = [
      facts,
      { ...facts, settings: { A: '2' }, definitions: 'd2' },
      { ...facts, role: 'serve', settings: { A: '3' } } as const,
    ].map(
      told =>
        new Heartbeat(
          { redis: engine.own.redis, keys: engine.keys, log: createLog('silent', 'stderr') },
          told,
        ),
    );
    for (const beat of beats) beat.start();
    await until(async () => (await call.get('/api/processes')).body.processes.length === 3);
    const { body } = await call.get('/api/processes');
    expect(body.disagreements.map(({ what }: { what: string }) => what).sort()).toEqual([
      'A (worker)',
      'definitions',
    ]);
    const [definitions] = body.disagreements;
    expect(Object.keys(definitions.values).sort()).toEqual(['d1', 'd2']);
    expect(definitions.values.d1).toHaveLength(2);
    for (const beat of beats) await beat.stop();
    expect((await call.get('/api/processes')).body).toMatchObject({ processes: [], disagreements: [] });
  });
});

it('definitions are shown with their tables, floors and rules', async () => {
  const engine = await openEngine();
  const parts = await consoleParts(engine, {
    counters: { views: { ranked: true } },
    points: { loyalty: { floor: -5 } },
    values: { best: { keep: 'max' } },
  });
  const { body } = await caller(routes, parts).get('/api/definitions');
  expect(body.names).toEqual([
    { kind: 'counter', name: 'views', target: null, ranked: true, floor: null, keep: null },
    { kind: 'points', name: 'loyalty', target: null, ranked: false, floor: -5, keep: null },
    { kind: 'value', name: 'best', target: null, ranked: false, floor: null, keep: 'max' },
  ]);
  expect(JSON.parse(body.text).points.loyalty.floor).toBe(-5);
});
