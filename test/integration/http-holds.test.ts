// Holds over HTTP: hold, post, void and read, alone and among other updates, and what their problems say.

import { beforeAll, describe, expect, it } from 'vitest';
import { endId } from '../../src/shared/updates/hold.ts';
import { openApi, type TestApi } from '../support/api.ts';
import { type Engine, openEngine, until } from '../support/engine.ts';
import { holdRows } from '../support/holds.ts';

const path = '/v1/points/loyalty';
let engine: Engine;
let api: TestApi;
beforeAll(async () => {
  engine = await openEngine();
  api = await openApi(engine);
});

const give = (account: string, amount = 100) => api.post(`${path}/entries`, { account, amount, id: 'start' });
const hold = (account: string, id: string, amount: number, more = {}) =>
  api.post(`${path}/holds`, { account, id, amount, ...more });
const post = (account: string, id: string, more = {}) =>
  api.post(`${path}/holds/post`, { account, hold: id, ...more });
const free = (account: string, id: string) => api.post(`${path}/holds/void`, { account, hold: id });
const read = (account: string, id: string) =>
  api.get(`${path}/holds?${new URLSearchParams({ account, hold: id })}`);
const balance = async (account: string) => (await api.get(`${path}/balance?account=${account}`)).json;

describe('a hold', () => {
  it('keeps points until a post takes a part of them', async () => {
    await give('a');
    const headers = { 'idempotency-key': '"order/7"' };
    const body = { account: 'a', amount: 60 };
    expect(await api.post(`${path}/holds`, body, { headers })).toMatchObject({
      status: 201,
      json: { value: 100, held: 60, duplicate: false, state: 'accepted' },
    });
    const again = await api.post(`${path}/holds`, { ...body, id: 'order/7' });
    expect(again).toMatchObject({ status: 200, json: { value: 100, held: 60, duplicate: true } });
    expect(again.headers.get('idempotency-hit')).toBe('true');
    expect((await hold('a', 'order/7', 61)).json.code).toBe('IDEMPOTENCY_KEY_REUSED');
    expect(await balance('a')).toEqual({ account: 'a', balance: 100, held: 60, available: 40 });
    expect((await read('a', 'order/7')).json).toEqual({
      account: 'a',
      hold: 'order/7',
      amount: 60,
      status: 'open',
      posted: 0,
      expiresAt: null,
    });
    const more = { amount: 25, reason: 'shipped', metadata: { order: 7 } };
    expect(await post('a', 'order/7', more)).toMatchObject({
      status: 200,
      json: { value: 75, held: 0, duplicate: false },
    });
    expect((await post('a', 'order/7', more)).json).toMatchObject({ value: 75, duplicate: true });
    expect((await read('a', 'order/7')).json).toMatchObject({ status: 'posted', posted: 25 });
    const pending = await api.get(`${path}/entries?account=a&limit=1`);
    const entry = { hold: 'order/7', amount: -25, reason: 'shipped', metadata: { order: 7 } };
    expect(pending.json.entries).toMatchObject([{ ...entry, persisted: false }]);
    await engine.drain();
    const entries = await api.get(`${path}/entries?account=a`);
    expect(entries.json.entries).toMatchObject([
      { ...entry, id: endId('order/7'), persisted: true },
      { hold: null, id: 'start' },
    ]);
    expect(await holdRows(engine, 'a')).toEqual({ 'order/7': { amount: 60, status: 'posted', posted: 25 } });
  });

  it('is freed by a void, and by the end of its time', async () => {
    await give('b');
    await hold('b', 'h1', 60);
    expect((await free('b', 'h1')).json).toMatchObject({ value: 100, held: 0, duplicate: false });
    expect(await free('b', 'h1')).toMatchObject({ status: 200, json: { duplicate: true } });
    expect((await hold('b', 'h2', 100, { expiresInMs: 60_000 })).status).toBe(201);
    const { expiresAt } = (await read('b', 'h2')).json;
    expect(Math.abs(Date.parse(expiresAt) - Date.now() - 60_000)).toBeLessThan(30_000);
    await hold('b', 'h3', 1, { expiresInMs: 1 });
    await free('b', 'h2');
    await hold('b', 'h4', 99, { expiresInMs: 1 });
    // A post above the hold changes nothing while its time is not over.
    await until(
      async () => (await post('b', 'h4', { amount: 100 })).json.code === 'HOLD_ENDED',
      'the hold to expire',
    );
    expect((await post('b', 'h4')).json).toMatchObject({
      status: 409,
      holdStatus: 'expired',
      posted: 0,
      applied: 'no',
    });
    expect(await balance('b')).toMatchObject({ balance: 100, held: 0, available: 100 });
  });
});

describe('a problem says what is so', () => {
  it('of points, of holds that ended, of holds that are none', async () => {
    await give('c');
    await hold('c', 'h', 60);
    expect(await hold('c', 'more', 41)).toMatchObject({
      status: 409,
      json: { code: 'INSUFFICIENT_POINTS', balance: 100, held: 60, applied: 'no' },
    });
    expect((await api.post(`${path}/entries`, { account: 'c', amount: -41, id: 'd' })).json).toMatchObject({
      code: 'INSUFFICIENT_POINTS',
      held: 60,
    });
    expect(await post('c', 'h', { amount: 61 })).toMatchObject({
      status: 409,
      json: { code: 'HOLD_EXCEEDED', amount: 60 },
    });
    await post('c', 'h', { amount: 20 });
    expect(await free('c', 'h')).toMatchObject({
      status: 409,
      json: { code: 'HOLD_ENDED', status: 409, holdStatus: 'posted', posted: 20 },
    });
    for (const none of [post('c', 'start'), free('c', 'none'), read('c', 'none')])
      expect(await none).toMatchObject({ status: 404, json: { code: 'UNKNOWN_HOLD' } });
  });

  it('of requests that are wrong', async () => {
    for (const expiresInMs of [0, -1, 0.5, 1e15])
      expect(await hold('c', 'x', 1, { expiresInMs })).toMatchObject({
        status: 400,
        json: { code: 'INVALID_EXPIRY' },
      });
    expect((await hold('c', 'x', 1, { expiresInMs: '5' })).json.code).toBe('INVALID_REQUEST');
    expect((await hold('c', 'x', -1)).json.code).toBe('INVALID_AMOUNT');
    expect((await hold('c', 'x', 1, { id: undefined })).json.code).toBe('MISSING_ID');
    expect((await hold('c', 'x'.repeat(254), 1)).json.code).toBe('INVALID_ID');
    expect((await hold('c', endId('x'), 1)).json.code).toBe('INVALID_ID');
    expect((await post('c', 'x', { amount: 0 })).json.code).toBe('INVALID_AMOUNT');
    expect((await post('c', 'x', { id: 'y' })).json.code).toBe('INVALID_REQUEST');
    expect((await api.get(`${path}/holds?account=c`)).status).toBe(400);
    expect((await api.get('/v1/points/nobody/holds?account=c&hold=h')).json.code).toBe('UNKNOWN_PROGRAM');
  });
});

describe('among other updates', () => {
  const lines = [
    { points: 'loyalty', account: 'd', amount: 100, id: 'start' },
    { points: 'loyalty', account: 'd', hold: 50 },
    { points: 'loyalty', account: 'd', hold: 20, id: 'h', expiresInMs: 600_000 },
    { points: 'loyalty', account: 'd', post: 'RUN:2', amount: 30, reason: 'shipped' },
    { points: 'loyalty', account: 'd', void: 'h' },
    { points: 'loyalty', account: 'd', void: 'h', amount: 3 },
    { points: 'loyalty', account: 'd', post: 'none' },
  ];

  it('of an array, in order: a hold without an id gets that of its number', async () => {
    const headers = { 'idempotency-key': 'RUN' };
    const { results } = (await api.post('/v1/updates', lines, { headers })).json;
    expect(
      results.map((one: { value?: number; held?: number; error?: { code: string } }) =>
        one.error ? one.error.code : [one.value, one.held],
      ),
    ).toEqual([[100, undefined], [100, 50], [100, 70], [70, 20], [70, 0], 'INVALID_UPDATE', 'UNKNOWN_HOLD']);
  });

  it('of NDJSON: sent again, all that was accepted is a duplicate, and tells how the account stands now', async () => {
    const headers = { 'idempotency-key': 'RUN', 'content-type': 'application/x-ndjson' };
    const text = lines.map(line => `${JSON.stringify(line)}\n`).join('');
    const answers = (await api.post('/v1/updates?results=all', text, { headers })).text.trim().split('\n');
    expect(JSON.parse(answers.at(-1)!)).toMatchObject({ done: true, accepted: 0, duplicates: 5, refused: 2 });
    expect(answers.map(line => JSON.parse(line)).find(({ line }) => line === 2)).toMatchObject({
      value: 70,
      held: 0,
      duplicate: true,
    });
  });

  it('only of programs that the key may use', async () => {
    const key = await api.keyWith({ scopes: ['write'], programs: ['other'] });
    for (const update of lines.slice(1, 5))
      expect((await api.post('/v1/updates', [update], { key })).json.code).toBe('FORBIDDEN');
    expect((await api.post(`${path}/holds/void`, { account: 'd', hold: 'h' }, { key })).status).toBe(403);
    const reader = await api.keyWith({ scopes: ['read'] });
    expect((await api.post(`${path}/holds`, { account: 'd', amount: 1 }, { key: reader })).status).toBe(403);
    expect((await api.get(`${path}/holds?account=d&hold=h`, { key: reader })).status).toBe(200);
  });
});

it('a receipt tells that MySQL has the hold, or another end of it', async () => {
  await give('e');
  const wait = { headers: { prefer: 'wait=0' } };
  const begun = (await api.post(`${path}/holds`, { account: 'e', amount: 10, id: 'h' }, wait)).json;
  const ended = (await api.post(`${path}/holds/post`, { account: 'e', hold: 'h' }, wait)).json;
  expect(begun).toMatchObject({ held: 10, state: 'accepted', receipt: expect.any(String) });
  await engine.drain();
  const states = `/v1/receipts?receipt=${begun.receipt}&receipt=${ended.receipt}`;
  expect((await api.get(states)).json).toEqual({ states: ['persisted', 'persisted'] });
  // As if MySQL had known a void that Redis had lost.
  await engine.database.query("UPDATE sluice_holds SET status = 'voided', posted = 0 WHERE account = 'e'");
  expect((await api.get(states)).json).toEqual({ states: ['persisted', 'superseded'] });
});
