// NDJSON over HTTP: any length, one line refused and the next one taken, what a client is told if it goes wrong.

import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { beforeAll, expect, it } from 'vitest';
import { parseKey } from '../../src/http/key-text.ts';
import type { Sluice } from '../../src/producer/client.ts';
import { openApi, type TestApi } from '../support/api.ts';
import { type Engine, openEngine, until } from '../support/engine.ts';

let engine: Engine;
let api: TestApi;
beforeAll(async () => {
  engine = await openEngine();
  api = await openApi(engine);
});

const NDJSON = { 'content-type': 'application/x-ndjson' };
const answered = (text: string) =>
  text
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line));
const send = async (lines: string, path = '/v1/updates', headers: Record<string, string> = {}) => {
  const reply = await api.post(path, lines, { headers: { ...NDJSON, ...headers } });
  const { status, headers: sent, text } = reply;
  return { status, headers: sent, lines: status === 200 ? answered(text) : [] };
};

/** A request that the test writes piece by piece. */
function open(headers: Record<string, string> = {}): {
  sent: ClientRequest;
  response: Promise<IncomingMessage>;
} {
  const sent = request({
    host: '127.0.0.1',
    port: api.port,
    method: 'POST',
    path: '/v1/updates',
    headers: { authorization: `Bearer ${api.key}`, ...NDJSON, ...headers },
  });
  sent.on('error', () => {});
  return { sent, response: once(sent, 'response').then(([response]) => response as IncomingMessage) };
}

async function allOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of response) text += part;
  return text;
}

it('a refused line affects no other, and the last line counts them', async () => {
  const text = [
    '{"counter":"views","key":"s1"}',
    '{"counter":"views","key":"s1","by":9007199254740993}',
    'nonsense',
    '',
    '{"counter":"nope","key":"s1"}',
    '{"points":"loyalty","account":"s1","amount":5,"id":"1"}',
    '{"points":"loyalty","account":"s1","amount":-6,"id":"2"}',
    '[1]',
    '{"counter":"views","key":"s1","by":1,"by":2}',
    `{"counter":"views","key":"${'x'.repeat(70_000)}"}`,
    '{"counter":"views","key":"s1","by":2}',
  ].join('\r\n');
  const { status, headers, lines } = await send(text);
  expect(status).toBe(200);
  expect(headers.get('content-type')).toBe('application/x-ndjson');
  expect(lines.map(({ line, error }) => [line, error?.code]).toSorted((a, b) => a[0] - b[0])).toEqual([
    [2, 'INVALID_AMOUNT'],
    [3, 'INVALID_REQUEST'],
    [5, 'UNKNOWN_COUNTER'],
    [7, 'INSUFFICIENT_POINTS'],
    [8, 'INVALID_UPDATE'],
    [9, 'INVALID_REQUEST'],
    [10, 'INVALID_REQUEST'],
    [undefined, undefined],
  ]);
  expect(lines.at(-1)).toEqual({ done: true, lines: 11, accepted: 3, duplicates: 0, refused: 7 });
  expect((await api.get('/v1/counters/views?key=s1')).json.values).toEqual([3]);
});

it('a run can be sent again, and counts once', async () => {
  const text = Array.from({ length: 2500 }, (_, n) => `{"counter":"views","key":"run-${n % 7}"}\n`).join('');
  const headers = { 'idempotency-key': '"nightly 1"' };
  expect((await send(text, '/v1/updates', headers)).lines).toEqual([
    { done: true, lines: 2500, accepted: 2500, duplicates: 0, refused: 0 },
  ]);
  const again = await send(text, '/v1/updates?results=all', headers);
  expect(again.lines).toHaveLength(2501);
  expect(again.lines[2499]).toMatchObject({ line: 2500, duplicate: true, state: 'accepted' });
  expect(again.lines.at(-1)).toEqual({ done: true, lines: 2500, accepted: 0, duplicates: 2500, refused: 0 });
  const { json } = await api.get('/v1/counters/views?key=run-0&key=run-6');
  expect(json.values).toEqual([358, 357]);
});

it('wrong requests are refused before a line is read', async () => {
  const line = '{"counter":"views","key":"never"}';
  expect((await send(line, '/v1/updates?results=some')).status).toBe(400);
  expect((await send(line, '/v1/updates', { 'idempotency-key': 'a b' })).status).toBe(400);
  expect((await send(line, '/v1/counters/views')).status).toBe(415);
  const reader = await api.keyWith({ scopes: ['read'] });
  expect((await send(line, '/v1/updates', { authorization: `Bearer ${reader}` })).status).toBe(403);
  expect((await api.get('/v1/counters/views?key=never')).json.values).toEqual([0]);
});

it('a key that is limited to names is refused line by line', async () => {
  const key = await api.keyWith({ scopes: ['write'], counters: ['views'], programs: [] });
  const text = '{"counter":"views","key":"limited"}\n{"counter":"clicks","key":"limited"}\n';
  const { lines } = await send(text, '/v1/updates', { authorization: `Bearer ${key}` });
  expect(lines).toMatchObject([
    { line: 2, error: { code: 'FORBIDDEN' } },
    { done: true, accepted: 1, refused: 1 },
  ]);
});

it('a key that is revoked ends a request that goes on', async () => {
  const key = await api.keyWith({ scopes: ['write'] });
  const { sent, response } = open({ authorization: `Bearer ${key}` });
  sent.write('{"counter":"views","key":"revoked"}\n');
  const reply = await response;
  await api.store.revoke(parseKey(key)!.id);
  const line = '{"counter":"views","key":"revoked"}\n'.repeat(1000);
  const more = setInterval(() => sent.write(line), 200);
  const text = await allOf(reply);
  clearInterval(more);
  sent.destroy();
  expect(answered(text).at(-1)).toMatchObject({ done: false, error: { code: 'UNAUTHENTICATED' } });
});

it('a client that sends a line now and then has each answer before it sends more', async () => {
  const { sent, response } = open();
  const path = '/v1/counters/views?key=slow';
  sent.write('{"counter":"views","key":"slow"}\n');
  const answers = (await response)[Symbol.asyncIterator]();
  await until(async () => (await api.get(path)).json.values[0] === 1, 'the first line');
  sent.write('{"counter":"nope","key":"slow"}\n');
  const { value: refusal } = await answers.next();
  expect(answered(String(refusal))).toMatchObject([{ line: 2, error: { code: 'UNKNOWN_COUNTER' } }]);
  sent.end();
  const { value: last } = await answers.next();
  expect(answered(String(last))).toMatchObject([{ done: true, lines: 2, accepted: 1, refused: 1 }]);
});

it('a client that goes away in mid-stream leaves what was taken, and sends it again', async () => {
  const line = (n: number) => `{"counter":"clicks","key":"gone-${n % 3}"}\n`;
  const whole = Array.from({ length: 3000 }, (_, n) => line(n)).join('');
  const { sent } = open({ 'idempotency-key': 'gone' });
  sent.write(whole.slice(0, -500));
  await until(async () => {
    const { json } = await api.get('/v1/counters/clicks?key=gone-0&key=gone-1&key=gone-2');
    return json.values[0] > 300;
  }, 'lines to be taken');
  sent.destroy();
  const { lines } = await send(whole, '/v1/updates', { 'idempotency-key': 'gone' });
  expect(lines.at(-1)).toMatchObject({ done: true, lines: 3000, refused: 0 });
  const values = await api.get('/v1/counters/clicks?key=gone-0&key=gone-1&key=gone-2');
  expect(values.json.values).toEqual([1000, 1000, 1000]);
  await engine.drain();
  expect(await engine.counterInMysql('clicks', 'gone-0')).toBe(1000);
});

/** A producer whose calls wait until the test lets them go. */
function holding(sluice: Sluice) {
  let open = false;
  const waiting: (() => void)[] = [];
  let called = 0;
  const apply: Sluice['apply'] = async (updates, options) => {
    called++;
    if (!open) await new Promise<void>(resolve => waiting.push(resolve));
    return sluice.apply(updates, options);
  };
  const held = new Proxy(sluice, {
    get: (target, name) => {
      const value = Reflect.get(target, name, target);
      if (name === 'apply') return apply;
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return {
    held,
    called: () => called,
    release: () => {
      open = true;
      for (const resume of waiting.splice(0)) resume();
    },
  };
}

it('nothing more is read while updates wait, and a client that never reads its answer is cut', async () => {
  const gate = holding(api.sluice);
  const slow = await openApi(engine, { idleMs: 1500 }, { sluice: gate.held });
  const sent = request({
    host: '127.0.0.1',
    port: slow.port,
    method: 'POST',
    path: '/v1/updates?results=all',
    headers: { authorization: `Bearer ${slow.key}`, ...NDJSON },
  });
  const ended = new Promise<void>(resolve => {
    sent.on('error', () => resolve());
    sent.on('close', () => resolve());
  });
  const lines = '{"counter":"views","key":"unread"}\n'.repeat(20_000);
  let written = 0;
  const write = (): void => {
    while (!sent.destroyed && written < 200) {
      written++;
      if (!sent.write(lines)) {
        sent.once('drain', write);
        return;
      }
    }
  };
  write();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  // Its answer is never read.
  response.pause();
  await until(() => gate.called() === 4, 'four chunks under way');
  const before = gate.called();
  await new Promise(resolve => setTimeout(resolve, 300));
  expect(gate.called()).toBe(before);
  expect(written).toBeLessThan(200);
  gate.release();
  await until(() => gate.called() > before, 'that it reads on');
  await ended;
  expect(written).toBeLessThan(200);
  expect((await slow.get('/v1/counters/views?key=unread')).status).toBe(200);
});

it('10 MB of lines take no more memory than one', async () => {
  const { sent, response } = open();
  const lines = Array.from({ length: 1000 }, (_, n) => `{"counter":"views","key":"memory-${n}"}\n`).join('');
  const chunks = Math.ceil((10 * 1024 * 1024) / lines.length);
  const text = response.then(allOf);
  const heaps: number[] = [];
  for (let n = 0; n < chunks; n++) {
    if (!sent.write(lines)) await once(sent, 'drain');
    heaps.push(process.memoryUsage().arrayBuffers);
  }
  sent.end();
  expect(answered(await text)).toEqual([
    { done: true, lines: chunks * 1000, accepted: chunks * 1000, duplicates: 0, refused: 0 },
  ]);
  expect(Math.max(...heaps)).toBeLessThan(100 * 1024 * 1024);
});
