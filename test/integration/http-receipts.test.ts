// Whether an update is in MySQL: `Prefer: wait`, receipts, quarantine; failed updates and operations over HTTP.

import { beforeAll, describe, expect, it } from 'vitest';
import { openApi, type TestApi } from '../support/api.ts';
import { type Engine, openEngine, until } from '../support/engine.ts';

let engine: Engine;
let api: TestApi;
beforeAll(async () => {
  engine = await openEngine();
  api = await openApi(engine);
});

const entries = '/v1/points/loyalty/entries';
const wait = (seconds: number) => ({ headers: { prefer: `respond-async, wait=${seconds}` } });
const statesOf = async (...receipts: string[]) =>
  (await api.get(`/v1/receipts?${receipts.map(one => `receipt=${one}`).join('&')}&wait=5`)).json.states;

/** Refuses rows of a key, as a constraint of the database would. */
async function refuse(key: string): Promise<void> {
  await engine.database.query(
    `CREATE TRIGGER refuse_rows BEFORE INSERT ON sluice_counters FOR EACH ROW
     BEGIN IF NEW.counter_key = '${key}' THEN SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1644, MESSAGE_TEXT = 'no'; END IF; END`,
  );
}

describe('a write', () => {
  it('that waits for MySQL says whether it is there', async () => {
    const early = await api.post('/v1/counters/views', { key: 'r1' }, wait(0));
    expect(early.headers.get('preference-applied')).toBe('wait=0');
    expect(early.json).toMatchObject({ state: 'accepted', receipt: expect.stringMatching(/^[\w-]+$/) });
    const flush = until(() => engine.drain().then(() => true), 'a flush');
    const later = await api.post(entries, { account: 'r1', amount: 1, id: '1' }, wait(20));
    await flush;
    await engine.drain();
    expect(['accepted', 'persisted']).toContain(later.json.state);
    expect(await statesOf(early.json.receipt, later.json.receipt)).toEqual(['persisted', 'persisted']);
  });

  it('of many updates waits for all of them', async () => {
    const batch = [
      { counter: 'views', key: 'r2' },
      { points: 'loyalty', account: 'r2', amount: -1, id: '1' },
    ];
    const { json } = await api.post('/v1/updates', batch, wait(0));
    expect(json.results).toMatchObject([{ state: 'accepted' }, { error: { code: 'INSUFFICIENT_POINTS' } }]);
    await engine.drain();
    expect(await statesOf(json.results[0].receipt)).toEqual(['persisted']);
  });

  it('that was accepted is never answered with an error, also if MySQL cannot tell whether it has it', async () => {
    const entry = { account: 'r5', amount: 1, id: '1' };
    const { json: first } = await api.post(entries, entry, wait(0));
    await engine.drain();
    expect(await statesOf(first.receipt)).toEqual(['persisted']);
    // A duplicate is looked up in this table.
    await engine.database.query('RENAME TABLE sluice_quarantine TO hidden');
    try {
      const again = await api.post(entries, entry, wait(5));
      expect(again).toMatchObject({ status: 200, json: { duplicate: true, state: 'accepted' } });
      const many = await api.post('/v1/updates', [{ points: 'loyalty', ...entry }], wait(5));
      expect(many).toMatchObject({
        status: 200,
        json: { results: [{ duplicate: true, state: 'accepted' }] },
      });
      // To ask again is another request, which may fail.
      const asked = await api.get(`/v1/receipts?receipt=${again.json.receipt}&wait=5`);
      expect(asked.status).toBeGreaterThanOrEqual(500);
    } finally {
      await engine.database.query('RENAME TABLE hidden TO sluice_quarantine');
    }
    expect(await statesOf(first.receipt)).toEqual(['persisted']);
  });

  it('without the preference does not wait', async () => {
    for (const prefer of ['return=minimal', 'wait=x', 'await=5']) {
      const { json, headers } = await api.post('/v1/counters/views', { key: 'r3' }, { headers: { prefer } });
      expect(json).not.toHaveProperty('receipt');
      expect(headers.get('preference-applied')).toBeNull();
    }
  });
});

it('a receipt is not believed, and not shown to a key of other names', async () => {
  const { json } = await api.post('/v1/counters/views', { key: 'r4' }, wait(0));
  const other = await api.keyWith({ scopes: ['read'], counters: ['clicks'], programs: [] });
  expect((await api.get(`/v1/receipts?receipt=${json.receipt}`, { key: other })).status).toBe(403);
  const changed = (change: (parts: unknown[]) => void) => {
    const parts = JSON.parse(Buffer.from(json.receipt, 'base64url').toString());
    change(parts);
    return Buffer.from(JSON.stringify(parts)).toString('base64url');
  };
  for (const forged of [
    'x',
    '',
    changed(parts => parts.push(1)),
    changed(parts => {
      (parts[6] as { partition: number }).partition = 1000;
    }),
    changed(parts => {
      (parts[6] as { pushed: unknown }).pushed = '1';
    }),
  ])
    expect((await api.get(`/v1/receipts?receipt=${forged}`)).status, forged).toBe(400);
});

it('an update that MySQL refuses is listed, replayed or dropped', async () => {
  await refuse('bad');
  const { json } = await api.post('/v1/counters/views', { key: 'bad', by: 3 }, wait(0));
  await engine.drain();
  expect(await statesOf(json.receipt)).toEqual(['quarantined']);
  const { json: failed } = await api.get('/v1/failed?name=views&key=bad');
  expect(failed).toMatchObject({
    total: 1,
    next: null,
    jobs: [],
    updates: [{ kind: 'counter', name: 'views', key: 'bad', amount: 3, cause: 'refused' }],
  });
  const filter = { ids: [failed.updates[0].id] };
  const plan = await api.post('/v1/failed/replay', { filter, dryRun: true });
  expect(plan).toMatchObject({ status: 200, json: { action: 'replay', groups: [{ updates: 1 }] } });
  await engine.database.query('DROP TRIGGER refuse_rows');
  const started = await api.post('/v1/failed/replay', { filter, reason: 'repaired' });
  expect(started).toMatchObject({ status: 202, json: { action: 'replay', reason: 'repaired' } });
  const location = started.headers.get('location')!;
  expect(location).toMatch(/^\/v1\/operations\/\d+$/);
  await until(async () => (await api.get(location)).json.finishedAt !== null, 'the operation');
  expect((await api.get(location)).json).toMatchObject({
    outcomes: { replayed: 1 },
    operator: expect.stringMatching(/^key:test-/),
    progress: null,
    items: [{ outcome: 'replayed' }],
  });
  expect(await engine.counterInMysql('views', 'bad')).toBe(3);
  expect((await api.get('/v1/failed')).json.total).toBe(0);
  expect((await api.get('/v1/operations?limit=1')).json.operations).toHaveLength(1);
  expect(await api.post(`${location}/cancel`, undefined, { method: 'POST' })).toMatchObject({
    status: 409,
    json: { code: 'NOT_RUNNING_HERE' },
  });
  expect(await api.send(`${location}/resume`, { method: 'POST' })).toMatchObject({
    status: 409,
    json: { code: 'OPERATION_FINISHED' },
  });
});

it('an operation can be cancelled and resumed', async () => {
  await refuse('many');
  for (let n = 0; n < 3; n++) {
    await api.post('/v1/counters/views', { key: 'many' });
    await engine.drain();
  }
  await engine.database.query('DROP TRIGGER refuse_rows');
  const filter = { key: 'many' };
  // One a second, so that it runs when it is cancelled.
  const { headers } = await api.post('/v1/failed/replay', { filter, rate: 1 });
  const location = headers.get('location')!;
  // It runs: a resume finds it so, and starts no second run without a rate.
  const again = await api.send(`${location}/resume`, { method: 'POST' });
  expect([again.status, again.headers.get('location')]).toEqual([202, location]);
  expect(await api.send(`${location}/cancel`, { method: 'POST' })).toMatchObject({ status: 200 });
  await until(async () => (await api.get(location)).json.progress === null, 'the end of the operation');
  expect((await api.get(location)).json.finishedAt).toBeNull();
  expect((await api.send(`${location}/resume`, { method: 'POST' })).status).toBe(202);
  await until(async () => (await api.get(location)).json.finishedAt !== null, 'the operation');
  expect(await engine.counterInMysql('views', 'many')).toBe(3);
});

it('operations need what they do in full, and the scope operate', async () => {
  for (const [path, body] of [
    ['/v1/failed/replay', {}],
    ['/v1/failed/replay', { filter: {} }],
    ['/v1/failed/replay', { all: true, filter: { name: 'views' } }],
    ['/v1/failed/replay', { filter: { nope: 1 } }],
    ['/v1/failed/replay', { all: true, rate: -1 }],
    ['/v1/failed/drop', { all: true }],
    ['/v1/failed/drop', { all: true, reason: '' }],
  ] as const)
    expect((await api.post(path, body)).status, `${path} ${JSON.stringify(body)}`).toBe(400);
  for (const query of ['sequence=1', 'from=yesterday', 'kind=x', 'limit=0', 'after=x'])
    expect((await api.get(`/v1/failed?${query}`)).status, query).toBe(400);
  expect(await api.get('/v1/operations/999999')).toMatchObject({
    status: 404,
    json: { code: 'UNKNOWN_OPERATION' },
  });
  expect((await api.get('/v1/operations/x')).status).toBe(400);
  const writer = await api.keyWith({ scopes: ['read', 'write'] });
  expect((await api.get('/v1/failed', { key: writer })).status).toBe(403);
  expect((await api.post('/v1/failed/drop', { all: true, reason: 'x' }, { key: writer })).status).toBe(403);
});
