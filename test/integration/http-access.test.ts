// Who may use the HTTP API, and what others have found in such servers.

import { connect } from 'node:net';
import { pino } from 'pino';
import { beforeAll, describe, expect, it } from 'vitest';
import { KeyRing } from '../../src/http/key-ring.ts';
import { makeKey, parseKey } from '../../src/http/key-text.ts';
import { routes } from '../../src/http/routes.ts';
import type { Sluice } from '../../src/producer/client.ts';
import { openApi, type TestApi } from '../support/api.ts';
import { type Engine, openEngine, until } from '../support/engine.ts';

let engine: Engine;
let api: TestApi;
beforeAll(async () => {
  engine = await openEngine();
  api = await openApi(engine, { trustedProxies: ['10.0.0.0/8'] });
});

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const value = async (key: string) => (await api.get(`/v1/counters/views?key=${key}`)).json.values[0];

describe('a key', () => {
  it('has a form that scanners recognise, and a checksum', () => {
    const { id, secret, text } = makeKey();
    expect(text).toMatch(/^sluice_[0-9A-Za-z]{10}_[0-9A-Za-z]{38}$/);
    expect(parseKey(text)).toEqual({ id, secret });
    for (const wrong of [
      `${text}0`,
      text.slice(0, -1),
      text.replace(/.$/, last => (last === '0' ? '1' : '0')),
      '',
    ])
      expect(parseKey(wrong), wrong).toBeUndefined();
  });

  it('is needed for every route but those that declare to be public', async () => {
    for (const { method, path, access } of routes) {
      const target = path.replace(/\{\w+\}/, 'views');
      const replies = [
        await api.send(target, { method, key: null }),
        await api.send(target, { method, key: makeKey().text }),
        await api.target(target, { authorization: 'Basic c2x1aWNl' }, method),
        await api.target(`${target}?key=${api.key}&access_token=${api.key}`, {}, method),
      ];
      for (const { status, json, headers } of access === 'public' ? [] : replies) {
        expect(status, `${method} ${path}`).toBe(401);
        expect(json).toMatchObject({ code: 'UNAUTHENTICATED', applied: 'no' });
        expect(headers.get('www-authenticate')).toBe('Bearer realm="sluice"');
      }
    }
  });

  it('is needed for methods and paths that no route declares, and HEAD needs what GET does', async () => {
    const open = new Set(routes.filter(({ access }) => access === 'public').map(({ path }) => path));
    for (const path of new Set(routes.map(route => route.path)))
      for (const method of ['HEAD', 'OPTIONS', 'PUT', 'DELETE']) {
        const { status } = await api.target(path.replace(/\{\w+\}/, 'views'), {}, method);
        expect(status, `${method} ${path}`).toBe(method === 'HEAD' && open.has(path) ? 200 : 401);
      }
    for (const path of ['/', '/v1', '/metrics', '/v1/keys', '//v1/openapi.json', '/v1/openapi.json/'])
      expect((await api.target(path)).status, path).toBe(401);
    const writer = await api.keyWith({ scopes: ['write'] });
    expect((await api.target('/v1/failed', bearer(writer), 'HEAD')).status).toBe(403);
    expect((await api.target('/v1/failed', bearer(api.key), 'HEAD')).status).toBe(200);
  });

  it('is kept as a digest only', async () => {
    const rows = await engine.database.query('SELECT * FROM sluice_keys');
    const secret = parseKey(api.key)!.secret;
    expect(rows.length).toBeGreaterThan(0);
    for (const row of rows)
      for (const column of Object.values(row)) expect(String(column)).not.toContain(secret);
  });

  it('needs the scope of the route, and may be limited to names', async () => {
    const reader = await api.keyWith({ scopes: ['read'] });
    const writer = await api.keyWith({ scopes: ['write'], counters: ['views'], programs: [] });
    const body = { key: 'scopes' };
    expect(await api.post('/v1/counters/views', body, { key: reader })).toMatchObject({
      status: 403,
      json: { code: 'FORBIDDEN' },
    });
    expect((await api.get('/v1/counters/views?key=scopes', { key: writer })).status).toBe(403);
    expect((await api.post('/v1/counters/views', body, { key: writer })).status).toBe(200);
    expect((await api.post('/v1/counters/clicks', body, { key: writer })).status).toBe(403);
    expect(
      (await api.post('/v1/points/loyalty/entries', { account: 'a', amount: 1, id: '1' }, { key: writer }))
        .status,
    ).toBe(403);
    const mixed = [
      { counter: 'views', ...body },
      { counter: 'clicks', ...body },
    ];
    expect((await api.post('/v1/updates', mixed, { key: writer })).status).toBe(403);
    expect((await api.post('/v1/updates', mixed.slice(0, 1), { key: writer })).status).toBe(200);
    expect(await value('scopes')).toBe(2);
    expect((await api.get('/v1/counters/clicks?key=scopes')).json.values).toEqual([0]);
  });

  it('ends when it is revoked or expires, and its last use is recorded', async () => {
    const soon = new Date(Date.now() + 3000);
    const short = await api.keyWith({ scopes: ['read'] }, soon);
    const revoked = await api.keyWith({ scopes: ['read'] });
    const read = async (key: string) => (await api.get('/v1/counters/views?key=a', { key })).status;
    expect([await read(short), await read(revoked)]).toEqual([200, 200]);
    expect(await api.store.revoke(parseKey(revoked)!.id)).toBe(true);
    expect(await api.store.revoke('0000000000')).toBe(false);
    await until(async () => (await read(revoked)) === 401, 'the revoked key to end');
    await until(async () => (await read(short)) === 401, 'the key to expire');
    const ring = new KeyRing(api.store, engine.log);
    await ring.start();
    expect(ring.find(api.key)).toBeDefined();
    await ring.stop();
    const used = (await api.store.list()).find(({ id }) => id === parseKey(api.key)!.id);
    expect(Math.abs(used!.lastUsedAt!.getTime() - Date.now())).toBeLessThan(60_000);
  });

  it('can be replaced: two live ones have the same name, and no third', async () => {
    const create = () => api.store.create('pair', { scopes: ['read'] }, null);
    const first = await create();
    await create();
    await expect(create()).rejects.toMatchObject({ code: 'INVALID_CONFIGURATION' });
    await api.store.revoke(first.id);
    await create();
  });
});

it('a key that makes too many requests is told how long to wait', async () => {
  const key = await api.keyWith({ scopes: ['read'], rate: 2 });
  const ask = () => api.get('/v1/counters/views?key=a', { key });
  const first = await ask();
  expect(first.headers.get('ratelimit-policy')).toBe('"key";q=4;w=2');
  expect(first.headers.get('ratelimit')).toMatch(/^"key";r=3;t=1$/);
  let last = first;
  for (let n = 0; n < 20 && last.status !== 429; n++) last = await ask();
  expect(last).toMatchObject({ status: 429, json: { code: 'RATE_LIMITED', retryable: true } });
  expect(last.headers.get('retry-after')).toBe('1');
  expect(last.headers.get('ratelimit')).toMatch(/^"key";r=0;t=2$/);
  expect((await api.get('/v1/counters/views?key=a')).headers.get('ratelimit')).toBeNull();
});

describe('a path cannot be written so that its key is not asked for', () => {
  const tricks = [
    '/v1//updates',
    '//v1/updates',
    '/%761/updates',
    '/v1/%75pdates',
    '/./v1/updates',
    '/v1/./updates',
    '/v1/x/../updates',
    '/v1/updates/',
    '/v1/updates.',
    '/v1/updates%2e',
    '/v1/updates;x=y',
    '/v1/updates;',
    '/V1/UPDATES',
    '/v1/updates%00',
    '/v1/updates%20',
    '/v1\\updates',
    '/v1/updates?x#y',
    'http://127.0.0.1/v1/updates',
    'http://[::1/v1/updates',
    '*',
    '/v1/%',
    '/v1/%ff',
    '/v1/counters/views%2f..%2f..%2fupdates',
    '/v1/counters/..;/views',
  ];
  it.each(tricks)('%s', async path => {
    const body = '[{"counter":"views","key":"tricks"}]';
    const headers = { 'content-type': 'application/json', 'content-length': String(body.length) };
    for (const method of ['POST', 'GET']) {
      const reply = await api.target(path, headers, method, body);
      expect([400, 401, 404, 405], `${method} ${path}: ${reply.text}`).toContain(reply.status);
      expect(reply.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    }
    expect(await value('tricks')).toBe(0);
  });
});

describe('a body cannot avoid its checks', () => {
  const body = '{"key":"types","by":"5"}';
  it.each([
    ['application/json\t;x', 400],
    ['application/json ; charset=utf-8', 400],
    ['application/json;x', 400],
    ['APPLICATION/JSON', 400],
    ['application/jsonx', 415],
    ['application/json, text/plain', 415],
    ['text/plain', 415],
    ['application/x-www-form-urlencoded', 415],
    ['multipart/form-data; boundary=x', 415],
    ['application/cbor', 415],
    [' ', 415],
    ['application', 415],
  ])('by the content type %j', async (type, status) => {
    const head = `POST /v1/counters/views HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${api.key}\r\n`;
    const reply = await api.raw(
      `${head}Content-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    const code = Number(/^HTTP\/1.1 (\d+)/.exec(reply)![1]);
    expect([400, status].includes(code) && code >= 400, reply).toBe(true);
    expect(await value('types')).toBe(0);
  });

  it.each(
    [
      '{"key":"a","__proto__":{"by":5}}',
      '{"key":"a","constructor":{"prototype":{"by":5}}}',
      '{"__proto__":{"key":"a"}}',
      '{"key":"a","by":1,"by":2}',
      '{"key":"a","\\u0062y":1,"by":2}',
      '{"key":"\\ud800"}',
      '\ufeff{"key":"a"}',
      '{"key":"a"}\0',
      '['.repeat(100_000),
      '{"key":"a",}',
    ].map(text => [text.slice(0, 60), text]),
  )('by what %j holds', async (_, text) => {
    const reply = await api.post('/v1/counters/clicks', text);
    expect(reply).toMatchObject({ status: 400, json: { applied: 'no' } });
    expect((await api.get('/v1/counters/clicks?key=a')).json.values).toEqual([0]);
    expect(({} as { by?: number }).by).toBeUndefined();
  });

  it('by bytes that are no UTF-8, in the body or the query', async () => {
    const head = `Host: x\r\nConnection: close\r\nAuthorization: Bearer ${api.key}\r\n`;
    const broken = Buffer.from('{"key":"\xff"}', 'latin1');
    const type = `Content-Type: application/json\r\nContent-Length: ${broken.length}\r\n\r\n`;
    const post = Buffer.concat([Buffer.from(`POST /v1/counters/views HTTP/1.1\r\n${head}${type}`), broken]);
    expect(await api.raw(post)).toMatch(/^HTTP\/1.1 400 /);
    for (const query of ['key=%ff', 'key=%', 'key=%zz', '%ff=a'])
      expect((await api.get(`/v1/counters/views?${query}`)).status, query).toBe(400);
  });

  it('keeps __proto__ in metadata as the data that it is', async () => {
    const text = '{"account":"proto","amount":1,"id":"1","metadata":{"__proto__":{"x":1}}}';
    expect((await api.post('/v1/points/loyalty/entries', text)).status).toBe(201);
    const { text: shown } = await api.get('/v1/points/loyalty/entries?account=proto');
    expect(shown).toContain('"metadata":{"__proto__":{"x":1}}');
  });
});

it('an address or host that a client claims changes nothing', async () => {
  const headers = {
    ...bearer(api.key),
    'x-forwarded-for': '10.1.2.3',
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'https',
    host: 'evil.example',
  };
  const reply = await api.target('/v1/counters/views?key=a', headers);
  expect(reply.status).toBe(200);
  expect(JSON.stringify([...reply.headers]) + reply.text).not.toContain('evil');
});

it('the log of a failed request has the address that a trusted proxy names', async () => {
  const lines: string[] = [];
  const log = pino({}, { write: line => lines.push(line) });
  const counter = () => {
    throw new Error('a bug');
  };
  const failing = { sluice: { counter } as unknown as Sluice, log };
  const proxied = await openApi(engine, { trustedProxies: ['127.0.0.1'] }, failing);
  const direct = await openApi(engine, {}, failing);
  for (const { get } of [proxied, direct])
    expect(
      (await get('/v1/counters/views?key=a', { headers: { 'x-forwarded-for': '10.1.2.3' } })).status,
    ).toBe(500);
  expect(lines.map(line => JSON.parse(line).client)).toEqual(['10.1.2.3', '127.0.0.1']);
});

it('what is no HTTP is answered as a problem too, and the connection closed', async () => {
  for (const bytes of [
    'nonsense\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n',
    'POST /v1/updates HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    `GET /?${'x'.repeat(140_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
  ]) {
    const reply = await api.raw(bytes);
    expect(reply, bytes.slice(0, 60)).toMatch(/^HTTP\/1.1 4\d\d .*problem\+json.*"code":"INVALID_REQUEST"/s);
  }
});

it('headers and bodies that arrive slowly end with their connection', async () => {
  const strict = await openApi(engine, { headersMs: 300, bodyMs: 300, idleMs: 60_000 });
  const begun = performance.now();
  const slowHeaders = strict.raw('GET /v1/counters/views?key=a HTTP/1.1\r\nHost: x\r\n');
  const slowBody = strict
    .raw(
      `POST /v1/counters/views HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${strict.key}\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{"key"`,
    )
    .catch(() => '');
  expect(await slowHeaders).toMatch(/^HTTP\/1.1 408 .*"code":"REQUEST_TIMEOUT"/s);
  expect(await slowBody).toBe('');
  expect(performance.now() - begun).toBeLessThan(30_000);
  expect((await strict.get('/v1/counters/views?key=a')).status).toBe(200);
});

it('the rest of a body that nobody reads keeps its connection no longer than one that is read', async () => {
  const strict = await openApi(engine, { bodyMs: 300, idleMs: 60_000 });
  const heads = ['POST /v1/counters/views', 'GET /v1/openapi.json'];
  const open = new Set(heads);
  for (const head of heads) {
    const socket = connect(strict.port, '127.0.0.1');
    socket.write(
      `${head} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n`,
    );
    const trickle = setInterval(() => socket.write('x'), 50);
    socket.on('error', () => {});
    socket.on('close', () => {
      clearInterval(trickle);
      open.delete(head);
    });
    socket.resume();
  }
  await until(() => open.size === 0, 'both connections to end', 20_000);
});

it('bytes that follow a request are not answered in its place', async () => {
  const body = '{"key":"followed"}';
  const head = `POST /v1/counters/views HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${api.key}\r\nContent-Type: application/json\r\nPrefer: wait=2\r\nContent-Length: ${body.length}\r\n\r\n`;
  const reply = await api.raw(`${head}${body}nonsense\r\n\r\n`).catch(() => '');
  expect(reply).not.toContain('"applied":"no"');
  await until(async () => (await value('followed')) === 1, 'the update that came first');
});

it('nothing is written into a stream of answers that ends in the middle', async () => {
  const line = '{"counter":"views","key":"cut"}\n';
  const head = `POST /v1/updates HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${api.key}\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n`;
  const received = await new Promise<string>(resolve => {
    let text = '';
    const socket = connect(api.port, '127.0.0.1', () => {
      socket.write(`${head}${line.length.toString(16)}\r\n${line}\r\n`);
    });
    // The head of the answer has come: what follows is no chunk.
    socket.once('data', () => socket.write('no chunk\r\n'));
    socket.on('data', part => {
      text += part;
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
  });
  expect(received).toMatch(/^HTTP\/1.1 200 /);
  expect(received).not.toContain('HTTP/1.1 4');
});

it('a body that ends early is not applied', async () => {
  const head = `POST /v1/updates HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${api.key}\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n`;
  await new Promise<void>((resolve, reject) => {
    const socket = connect(api.port, '127.0.0.1', () => {
      socket.write(`${head}[{"counter":"views","key":"early"}]`, () => socket.end());
    });
    socket.on('close', () => resolve());
    socket.on('error', reject);
    socket.resume();
  });
  expect(await value('early')).toBe(0);
});
