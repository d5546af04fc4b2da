// What the HTTP API writes and reads, on real servers: counters, points, many updates in one request.

import { beforeAll, describe, expect, it } from 'vitest';
import { openApi, type TestApi } from '../support/api.ts';
import { type Engine, openEngine } from '../support/engine.ts';

let engine: Engine;
let api: TestApi;
beforeAll(async () => {
  engine = await openEngine();
  api = await openApi(engine);
  // A counter that is not live answers null; reading makes it live.
  const live = ['views?key=/a/b?c=d&key=a%2Bb+c&key=max&key=u1&key=run', 'clicks?key=ids'];
  for (const one of live) await api.get(`/v1/counters/${one}`);
});

describe('counters', () => {
  it('count, and read values in the order of the keys', async () => {
    expect((await api.post('/v1/counters/views', { key: 'cold' })).json.value).toBeNull();
    const first = await api.post('/v1/counters/views', { key: '/a/b?c=d' });
    expect(first).toMatchObject({ status: 200, json: { value: 1, duplicate: false, state: 'accepted' } });
    expect(first.headers.get('content-type')).toMatch(/^application\/json/);
    expect((await api.post('/v1/counters/views', { key: '/a/b?c=d', by: -3 })).json.value).toBe(-2);
    await api.post('/v1/counters/views', { key: 'a+b c', by: 7 });
    const query = new URLSearchParams([
      ['key', 'a+b c'],
      ['key', 'none'],
      ['key', '/a/b?c=d'],
    ]);
    expect((await api.get(`/v1/counters/views?${query}`)).json).toEqual({ values: [7, 0, -2] });
    await engine.drain();
    expect(await engine.counterInMysql('views', '/a/b?c=d')).toBe(-2);
  });

  it('take keys of 2,048 bytes, and a thousand in one read', async () => {
    const long = 'ä'.repeat(1024);
    expect((await api.post('/v1/counters/views', { key: long })).status).toBe(200);
    expect((await api.post('/v1/counters/views', { key: `${long}a` })).json.code).toBe('INVALID_KEY');
    expect((await api.get(`/v1/counters/views?key=${encodeURIComponent(long)}`)).json.values).toEqual([1]);
    const keys = Array.from({ length: 1000 }, (_, n) => `key=many-${n}`);
    expect((await api.get(`/v1/counters/views?${keys.join('&')}`)).json.values).toHaveLength(1000);
    expect((await api.get(`/v1/counters/views?${[...keys, 'key=one-more'].join('&')}`)).status).toBe(400);
  });

  it('count an id once, and say so in a header', async () => {
    const body = { key: 'ids', by: 5 };
    const headers = { 'idempotency-key': '"order 1"' };
    const first = await api.post('/v1/counters/clicks', body, { headers });
    expect(first.json).toMatchObject({ value: 5, duplicate: false });
    expect(first.headers.get('idempotency-hit')).toBeNull();
    const second = await api.post('/v1/counters/clicks', { ...body, id: 'order 1' });
    expect(second).toMatchObject({ status: 200, json: { value: 5, duplicate: true } });
    expect(second.headers.get('idempotency-hit')).toBe('true');
    const other = await api.post('/v1/counters/clicks', { ...body, by: 6 }, { headers });
    expect(other).toMatchObject({ status: 422, json: { code: 'IDEMPOTENCY_KEY_REUSED', retryable: false } });
    expect((await api.get('/v1/counters/clicks?key=ids')).json.values).toEqual([5]);
  });
});

describe('points', () => {
  const entries = '/v1/points/loyalty/entries';

  it('are credited and debited, never below the floor', async () => {
    expect(await api.post(entries, { account: 'a', amount: 50, id: '1' })).toMatchObject({
      status: 201,
      json: { value: 50, duplicate: false, state: 'accepted' },
    });
    expect(await api.post(entries, { account: 'a', amount: 50, id: '1' })).toMatchObject({
      status: 200,
      json: { value: 50, duplicate: true },
    });
    expect((await api.post(entries, { account: 'a', amount: -20, id: '2' })).json.value).toBe(30);
    const refused = await api.post(entries, { account: 'a', amount: -31, id: '3' });
    expect(refused).toMatchObject({
      status: 409,
      json: {
        code: 'INSUFFICIENT_POINTS',
        balance: 30,
        held: 0,
        applied: 'no',
        status: 409,
        type: 'urn:sluice:problem:INSUFFICIENT_POINTS',
      },
    });
    expect(refused.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect((await api.get('/v1/points/loyalty/balance?account=a')).json).toEqual({
      account: 'a',
      balance: 30,
      held: 0,
      available: 30,
    });
  });

  it('move from one account to another, once', async () => {
    await api.post(entries, { account: 'giver', amount: 10, id: '1' });
    const transfers = '/v1/points/loyalty/transfers';
    const body = { from: 'giver', to: 'taker', amount: 4 };
    const headers = { 'idempotency-key': 'gift' };
    expect(await api.post(transfers, body, { headers })).toMatchObject({ status: 201, json: { value: 6 } });
    expect(await api.post(transfers, body, { headers })).toMatchObject({
      status: 200,
      json: { value: 6, duplicate: true },
    });
    expect((await api.post(transfers, { ...body, amount: 5 }, { headers })).status).toBe(422);
    expect((await api.post(transfers, { ...body, id: 'more', amount: 7 })).json.code).toBe(
      'INSUFFICIENT_POINTS',
    );
    for (const wrong of [{ amount: -1 }, { amount: 0 }, { to: 'giver' }, { id: undefined }])
      expect((await api.post(transfers, { ...body, id: 'wrong', ...wrong })).status).toBe(400);
  });

  it('need an id, in the header or the body, and both alike', async () => {
    const body = { account: 'b', amount: 1 };
    expect(await api.post(entries, body)).toMatchObject({ status: 400, json: { code: 'MISSING_ID' } });
    const headers = { 'idempotency-key': 'x' };
    expect((await api.post(entries, { ...body, id: 'y' }, { headers })).status).toBe(400);
    expect((await api.post(entries, { ...body, id: 'x' }, { headers })).status).toBe(201);
    for (const malformed of ['a b', '"a', '"a", "b"', '', 'a,b', '"é"'])
      expect(
        (await api.post(entries, body, { headers: { 'idempotency-key': malformed } })).status,
        malformed,
      ).toBe(400);
  });

  it('show entries page by page, the newest first, pending ones among them', async () => {
    const metadata = '{"big":1546130668394913822.50,"n":{"x":[1e400,0.1]}}';
    for (let n = 0; n < 3; n++) {
      const body = `{"account":"c","amount":${n + 1},"id":"c${n}","reason":"r${n}","metadata":${metadata}}`;
      expect((await api.post(entries, body)).status).toBe(201);
      if (n === 1) await engine.drain();
    }
    const first = await api.get(`${entries}?account=c&limit=2`);
    expect(first.json).toMatchObject({
      entries: [
        { id: 'c2', amount: 3, balanceAfter: 6, reason: 'r2', persisted: false },
        { id: 'c1', amount: 2, balanceAfter: 3, reason: 'r1', persisted: true },
      ],
    });
    expect(first.text).toContain(`"metadata":${metadata}`);
    const { next } = first.json;
    const second = await api.get(`${entries}?account=c&limit=2&cursor=${next}`);
    expect(second.json).toMatchObject({ entries: [{ id: 'c0' }], next: null });
    for (const wrong of [
      'cursor=x',
      `cursor=${next}&cursor=${next}`,
      'limit=0',
      'limit=501',
      'limit=1e2',
      'more=1',
    ])
      expect((await api.get(`${entries}?account=c&${wrong}`)).status, wrong).toBe(400);
  });
});

describe('numbers', () => {
  it.each([
    '9007199254740992',
    '9007199254740993',
    '-9007199254740993',
    '1e400',
    '1.5',
    '0',
    '-0',
    '"5"',
    'null',
    '[]',
    '{"rawJSON":"5"}',
  ])('refuse the amount %s', async by => {
    const reply = await api.post('/v1/counters/views', `{"key":"exact","by":${by}}`);
    expect(reply.status).toBe(400);
    expect(reply.json).toMatchObject({ retryable: false, applied: 'no' });
    expect((await api.get('/v1/counters/views?key=exact')).json.values).toEqual([0]);
  });

  it('take the largest one, in any spelling', async () => {
    expect((await api.post('/v1/counters/views', '{"key":"max","by":9007199254740991}')).json.value).toBe(
      Number.MAX_SAFE_INTEGER,
    );
    expect(
      (await api.post('/v1/counters/views', '{"key":"max","by":-9.007199254740991e15}')).json.value,
    ).toBe(0);
    const over = { key: 'over', by: Number.MAX_SAFE_INTEGER };
    await api.post('/v1/counters/views', over);
    expect(await api.post('/v1/counters/views', over)).toMatchObject({
      status: 409,
      json: { code: 'OUT_OF_RANGE' },
    });
  });
});

describe('many updates', () => {
  it('have a result each, in order; a refused one affects no other', async () => {
    const { status, json } = await api.post('/v1/updates', [
      { counter: 'views', key: 'u1' },
      { points: 'loyalty', account: 'u1', amount: 5, id: 'u1' },
      { points: 'loyalty', account: 'u1', amount: -6, id: 'u2' },
      { counter: 'nope', key: 'u1' },
      { counter: 'views', key: 'u1', by: 2, extra: 1 },
      { counter: 'views', key: 'u1', by: 4 },
    ]);
    expect(status).toBe(200);
    expect(json.results).toMatchObject([
      { value: 1, duplicate: false, state: 'accepted' },
      { value: 5, duplicate: false },
      { error: { code: 'INSUFFICIENT_POINTS', retryable: false, applied: 'no' } },
      { error: { code: 'UNKNOWN_COUNTER' } },
      { error: { code: 'INVALID_UPDATE' } },
      { value: 5 },
    ]);
  });

  it('count once if the request is repeated with its key, and differ if the content does', async () => {
    const batch = [
      { counter: 'views', key: 'run' },
      { points: 'loyalty', account: 'run', amount: 1 },
      { points: 'loyalty', account: 'run', amount: 1, id: 'own' },
    ];
    const headers = { 'idempotency-key': 'run-1' };
    const first = await api.post('/v1/updates', batch, { headers });
    expect(first.json.results).toMatchObject([{ value: 1 }, { value: 1 }, { value: 2 }]);
    const second = await api.post('/v1/updates', batch, { headers });
    expect(second.json.results).toMatchObject([
      { duplicate: true },
      { duplicate: true },
      { duplicate: true },
    ]);
    const { json } = await api.get('/v1/points/loyalty/entries?account=run');
    expect(json.entries.map((entry: { id: string }) => entry.id)).toEqual(['own', 'run-1:2']);
    const changed = await api.post('/v1/updates', [{ ...batch[0], by: 2 }], { headers });
    expect(changed.json.results).toMatchObject([{ error: { code: 'IDEMPOTENCY_KEY_REUSED' } }]);
  });

  it('count the same id in one batch once', async () => {
    const twice = { points: 'loyalty', account: 'twice', amount: 3, id: 'same' };
    const { json } = await api.post('/v1/updates', [twice, twice, { ...twice, amount: 4 }]);
    expect(json.results).toMatchObject([
      { value: 3, duplicate: false },
      { value: 3, duplicate: true },
      { error: { code: 'IDEMPOTENCY_KEY_REUSED' } },
    ]);
    await engine.drain();
    expect(await engine.balanceInMysql('loyalty', 'twice')).toBe(3);
  });

  it('are refused as a whole before anything is applied, if the array is not one', async () => {
    const good = '{"counter":"views","key":"whole"}';
    for (const body of [
      `[${good},`,
      `[${good}`,
      `[${good},{"counter":"views","key":"whole","key":"x"}]`,
      `[${good},5]`,
      `[${Array.from({ length: 1001 }, () => good).join()}]`,
      '[]',
      good,
      'null',
      '',
      `[${good}] [${good}]`,
    ])
      expect((await api.post('/v1/updates', body)).status, body.slice(0, 80)).toBe(400);
    const large = `[${good},"${'x'.repeat(1024 * 1024)}"]`;
    expect((await api.post('/v1/updates', large)).status).toBe(413);
    expect((await api.get('/v1/counters/views?key=whole')).json.values).toEqual([0]);
  });
});

it('names that are not defined are 404, and other methods 405', async () => {
  expect(await api.post('/v1/counters/nope', { key: 'a' })).toMatchObject({
    status: 404,
    json: { code: 'UNKNOWN_COUNTER' },
  });
  expect(await api.get('/v1/points/nope/balance?account=a')).toMatchObject({
    status: 404,
    json: { code: 'UNKNOWN_PROGRAM' },
  });
  expect(await api.get('/v2')).toMatchObject({ status: 404, json: { code: 'NOT_FOUND' } });
  const wrong = await api.send('/v1/counters/views', { method: 'DELETE' });
  expect(wrong).toMatchObject({ status: 405, json: { code: 'METHOD_NOT_ALLOWED' } });
  expect(wrong.headers.get('allow')).toBe('POST, GET');
});

it('a counter with a composite key takes lists, and reads their text', async () => {
  const { json } = await api.post('/v1/counters/views', { key: ['a', 1] });
  expect(json.code).toBe('INVALID_KEY');
});

it('a durability for which replicas are missing is refused for now, and names no host', async () => {
  const wish = { key: 'safe', durability: 'replica' };
  const alone = await api.post('/v1/counters/views', wish);
  expect(alone).toMatchObject({
    status: 503,
    json: {
      code: 'TOO_FEW_REPLICAS',
      retryable: true,
      applied: 'no',
      detail: expect.stringMatching(/repeat/),
    },
  });
  expect(alone.headers.get('retry-after')).toBe('1');
  expect(alone.text).not.toMatch(/127\.0\.0\.1|localhost/);
  const updates = [{ counter: 'views', key: 'safe' }];
  const all = await api.post('/v1/updates?durability=replica', updates);
  expect(all).toMatchObject({ status: 503, json: { code: 'TOO_FEW_REPLICAS', applied: 'no' } });
  expect((await api.get('/v1/counters/views?key=safe')).json.values).toEqual([0]);
});
