// Many clients at once, and ranks over HTTP.

import { beforeAll, expect, it } from 'vitest';
import { openApi, type TestApi } from '../support/api.ts';
import { cleanUp } from '../support/cleanup.ts';
import { start } from '../support/command.ts';
import { type Engine, openEngine, until } from '../support/engine.ts';

const definitions = {
  counters: { views: {}, scores: { ranked: true } },
  points: { loyalty: { ranked: true } },
} as const;
/** Each needs a file of this process, which has some open itself and may open no more than its limit. */
const IDLE = Math.min(10_000, openFileLimit() - 500);

let engine: Engine;
let api: TestApi;
beforeAll(async () => {
  engine = await openEngine();
  api = await openApi(engine, { idleMs: 60_000 }, { definitions });
});

it(`${IDLE} idle connections and half-sent requests keep nobody else from counting`, async () => {
  await idleClients();
  const connections = () =>
    new Promise<number>(resolve => api.api.app.server.getConnections((_, count) => resolve(count)));
  await until(async () => (await connections()) >= IDLE, 'all connections');
  expect((await api.post('/v1/counters/views', { key: 'idle' })).status).toBe(200);
});

function openFileLimit(): number {
  const { userLimits } = process.report.getReport() as {
    userLimits: { open_files: { soft: number | string } };
  };
  // It may be "unlimited".
  return Number(userLimits.open_files.soft) || Number.POSITIVE_INFINITY;
}

/** A process of its own, since it needs a file for each connection too. It opens the next if one is refused. */
async function idleClients() {
  const open = `
    import { connect } from 'node:net';
    const half = 'POST /v1/updates HTTP/1.1\\r\\nHost: x\\r\\n';
    const next = n => {
      if (n >= ${IDLE}) return;
      const socket = connect(${api.port}, '127.0.0.1', () => {
        if (n % 3 === 0) socket.write(half);
        next(n + 8);
      });
      socket.on('error', error => console.error(error.code));
    };
    for (let n = 0; n < 8; n++) next(n);`;
  const clients = start(process.execPath, ['--input-type=module', '-e', open], {});
  cleanUp(async () => {
    clients.child.kill('SIGKILL');
    await clients.ended;
  });
}

it('every request of many at once has its own answer, and all count', async () => {
  await api.get('/v1/counters/views?key=busy');
  const requests = Array.from({ length: 300 }, async (_, n) => {
    if (n % 3 === 0) return api.post('/v1/counters/views', { key: 'busy' });
    const body = { account: `a${n % 10}`, amount: 1, id: `busy-${n % 150}` };
    return api.post('/v1/points/loyalty/entries', body);
  });
  const replies = await Promise.all(requests);
  const values = new Set<number>();
  for (const [n, { status, json }] of replies.entries()) {
    expect(n % 3 === 0 ? [200] : [200, 201]).toContain(status);
    expect(json).toMatchObject({
      value: expect.any(Number),
      duplicate: expect.any(Boolean),
      state: 'accepted',
    });
    if (n % 3 === 0) values.add(json.value);
  }
  expect([...values].toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, n) => n + 1));
  // 200 entries, of which each id came twice at most.
  const ids = new Set(replies.flatMap((_, n) => (n % 3 === 0 ? [] : [`a${n % 10} ${n % 150}`])));
  const balances = await Promise.all(
    Array.from(
      { length: 10 },
      async (_, n) => (await api.get(`/v1/points/loyalty/balance?account=a${n}`)).json.balance,
    ),
  );
  expect(balances.reduce((sum, balance) => sum + balance, 0)).toBe(ids.size);
});

it('ranks are read by key, from the top and around a key', async () => {
  expect(await api.get('/v1/counters/views/top')).toMatchObject({
    status: 404,
    json: { code: 'NOT_RANKED' },
  });
  const early = await api.get('/v1/counters/scores/top');
  if (early.status !== 200) {
    expect(early).toMatchObject({ status: 503, json: { code: 'RANKS_BUILDING', retryable: true } });
    expect(early.headers.get('retry-after')).toBe('1');
  }
  await engine.worker({}, {}, { definitions: api.definitions });
  for (let n = 1; n <= 5; n++) await api.post('/v1/counters/scores', { key: `s${n}`, by: 10 * n });
  await until(async () => (await api.get('/v1/counters/scores/top')).json.exact === true, 'the ranks');
  const first = (await api.get('/v1/counters/scores/top?count=2')).json;
  expect(first).toMatchObject({
    size: 5,
    members: [
      { rank: 1, key: 's5', value: 50 },
      { rank: 2, key: 's4' },
    ],
  });
  const second = (await api.get(`/v1/counters/scores/top?count=3&cursor=${first.next}`)).json;
  expect(second.members.map((one: { key: string }) => one.key)).toEqual(['s3', 's2', 's1']);
  expect((await api.get('/v1/counters/scores/ranks?key=s5&key=none&key=s1')).json.ranks).toMatchObject([
    { key: 's5', rank: 1, value: 50 },
    { key: 'none', rank: null, value: null },
    { key: 's1', rank: 5, value: 10 },
  ]);
  expect((await api.get('/v1/counters/scores/around?key=s3&count=1')).json.members).toMatchObject([
    { key: 's4' },
    { key: 's3', rank: 3 },
    { key: 's2' },
  ]);
  for (const wrong of [
    'top?cursor=x',
    'top?count=0',
    'ranks',
    'around',
    'around?key=a&count=501',
    'ranks?account=a',
  ])
    expect((await api.get(`/v1/counters/scores/${wrong}`)).status, wrong).toBe(400);
});
