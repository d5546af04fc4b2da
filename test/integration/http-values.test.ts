// Values over HTTP: one put, many, ranks, and keys that may use only some of them.

import { expect, it } from 'vitest';
import { KeyStore } from '../../src/http/key-store.ts';
import { openApi } from '../support/api.ts';
import { openEngine } from '../support/engine.ts';

const definitions = {
  values: { best: { keep: 'max', ranked: true }, seen: { keep: 'last' } },
  counters: { views: {} },
} as const;

it('are put and read, alone and among other updates', async () => {
  const engine = await openEngine();
  const api = await openApi(engine, {}, { definitions });
  expect((await api.get('/v1/values/best?key=u&key=none')).json).toEqual({ values: [null, null] });
  const put = (is: unknown, headers = {}) => api.post('/v1/values/best', { key: 'u', is }, { headers });
  expect(await put(5)).toMatchObject({
    status: 200,
    json: { value: 5, duplicate: false, state: 'accepted' },
  });
  expect((await put(0)).json.value).toBe(5);
  expect((await put('5')).json.code).toBe('INVALID_REQUEST');
  expect((await put(Number.MAX_SAFE_INTEGER + 1)).json.code).toBe('INVALID_AMOUNT');
  expect(await api.post('/v1/values/nobody', { key: 'u', is: 1 })).toMatchObject({
    status: 404,
    json: { code: 'UNKNOWN_VALUE' },
  });
  const lines = [
    { value: 'best', key: 'u', is: 7 },
    { value: 'seen', key: 'u', is: 1 },
    { counter: 'views', key: 'u' },
    { value: 'seen', key: 'u', is: 0 },
    { value: 'seen', key: 'u', is: 0.5 },
  ];
  const headers = { 'idempotency-key': 'run' };
  const { results } = (await api.post('/v1/updates', lines, { headers })).json;
  expect(
    results.map((one: { value?: number; error?: { code: string } }) => one.error?.code ?? one.value),
  ).toEqual([7, null, null, null, 'INVALID_AMOUNT']);
  const ndjson = await api.post('/v1/updates', lines.map(line => `${JSON.stringify(line)}\n`).join(''), {
    headers: { ...headers, 'content-type': 'application/x-ndjson' },
  });
  expect(JSON.parse(ndjson.text.trim().split('\n').at(-1)!)).toMatchObject({
    done: true,
    accepted: 3,
    duplicates: 1,
    refused: 1,
  });
  expect((await api.get('/v1/values/seen?key=u')).json).toEqual({ values: [0] });
  // The counter's id was known the second time.
  expect((await api.get('/v1/counters/views?key=u')).json).toEqual({ values: [1] });
  const waiting = put(8, { prefer: 'wait=20' });
  await engine.worker();
  expect((await waiting).json).toMatchObject({ value: 8, state: 'persisted', receipt: expect.any(String) });
  const states = await api.get(`/v1/receipts?receipt=${(await waiting).json.receipt}`);
  expect(states.json).toEqual({ states: ['persisted'] });
  expect((await api.get('/v1/values/best/top')).json.code).toBe('RANKS_BUILDING');
});

it('are refused to a key that is limited to others', async () => {
  const engine = await openEngine();
  const api = await openApi(engine, {}, { definitions });
  const store = new KeyStore(engine.own.database);
  const { key } = await store.create(
    'game',
    { scopes: ['read', 'write'], values: ['best'], counters: [], programs: [] },
    null,
  );
  expect((await api.post('/v1/values/best', { key: 'u', is: 1 }, { key })).status).toBe(200);
  for (const [path, body] of [
    ['/v1/values/seen', { key: 'u', is: 1 }],
    ['/v1/counters/views', { key: 'u' }],
    ['/v1/updates', [{ value: 'seen', key: 'u', is: 1 }]],
  ] as const)
    expect((await api.post(path, body, { key })).json.code).toBe('FORBIDDEN');
});
