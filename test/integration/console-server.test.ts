// The console's server: samples and their stream, partitions and their evidence, the page's files, outages.

import { get } from 'node:http';
import { expect, it } from 'vitest';
import type { Sample } from '../../src/console/answers.ts';
import { openTestConsole, type TestConsole } from '../support/console-server.ts';
import { type Engine, openEngine, until } from '../support/engine.ts';

async function sampleWith(console: TestConsole, condition: (sample: Sample) => boolean, what: string) {
  let found: Sample | null = null;
  await until(async () => {
    const { body } = await console.get('/api/overview');
    found = body.sample ?? null;
    return found !== null && condition(found);
  }, what);
  return found!;
}

async function openWithUpdates(): Promise<{ engine: Engine; console: TestConsole }> {
  const engine = await openEngine();
  const sluice = await engine.producer();
  await sluice.counter('views').increment('k', 7);
  await sluice.points('loyalty').credit('alice', 30, { id: 'a' });
  return { engine, console: await openTestConsole(engine) };
}

it('a sample shows what waits, and that nobody writes it', async () => {
  const { engine, console } = await openWithUpdates();
  const sample = await sampleWith(
    console,
    ({ redis, database, atRisk }) => redis === 'connected' && database === 'connected' && atRisk.length > 0,
    'a sample of both servers',
  );
  expect(sample).toMatchObject({
    backlog: 8 - 6,
    workersAlive: 0,
    atRisk: [{ program: 'loyalty', points: '30' }],
    quarantine: { refused: { count: 0, atLeast: false }, oldestSeconds: null },
    halted: [],
    verdict: { level: 'bad', reason: 'no-workers', runbook: '#sluicenoworkers' },
  });
  expect(sample.lags).toHaveLength(engine.keys.partitions);
  await engine.drain();
  const after = await sampleWith(console, ({ backlog }) => backlog === 0, 'nothing to wait');
  expect(after.lagSeconds).toBe(0);
});

it('the stream sends each sample, with a header for proxies that keep answers back', async () => {
  const { console } = await openWithUpdates();
  await sampleWith(console, () => true, 'the first sample');
  const samples: Sample[] = [];
  const headers = await new Promise<NodeJS.Dict<string | string[]>>((resolve, reject) => {
    const asking = get(
      { port: console.port, path: '/api/events', headers: { host: console.host } },
      answer => {
        let text = '';
        answer.on('error', () => {});
        answer.on('data', chunk => {
          text += chunk;
          samples.splice(
            0,
            samples.length,
            ...[...text.matchAll(/^event: sample\ndata: (.*)$/gm)].map(([, data]) => JSON.parse(data!)),
          );
          if (samples.length < 3) return;
          resolve(answer.headers);
          asking.destroy();
        });
      },
    );
    asking.on('error', reject);
  });
  expect(headers).toMatchObject({
    'content-type': 'text/event-stream; charset=utf-8',
    'x-accel-buffering': 'no',
    'cache-control': 'no-store',
  });
  expect(new Set(samples.map(({ at }) => at)).size).toBe(3);
});

it('partitions show their flushes, and evidence says that both sides agree', async () => {
  const { engine, console } = await openWithUpdates();
  await engine.drain();
  const { body } = await console.get('/api/partitions');
  expect(body.partitions).toHaveLength(engine.keys.partitions);
  const flushed = body.partitions.filter(
    ({ committedAt }: { committedAt: string | null }) => committedAt !== null,
  );
  expect(flushed.length).toBeGreaterThan(0);
  expect(flushed[0]).toMatchObject({ pendingUpdates: 0, lagSeconds: 0, halted: false });
  const evidence = await console.get(`/api/partitions/${flushed[0].partition}/evidence`);
  expect(evidence.body).toMatchObject({
    verdict: 'IN_ORDER',
    command: null,
    redis: { sequence: flushed[0].sequence },
  });
  expect((await console.get('/api/partitions/99999/evidence')).status).toBe(404);
  expect((await console.get('/api/partitions/1e1/evidence')).body.code).toBe('INVALID_REQUEST');
});

it('a partition whose database went back is halted, with its evidence and command', async () => {
  const { engine, console } = await openWithUpdates();
  await engine.drain();
  const partition = engine.keys.partitionOf('k');
  await engine.database.query(
    "UPDATE sluice_partitions SET sequence = sequence - 1, token = 'older' WHERE partition_id = ?",
    [partition],
  );
  await engine.database.query('DELETE FROM sluice_batches WHERE partition_id = ?', [partition]);
  const sample = await sampleWith(console, ({ halted }) => halted.length > 0, 'the halt');
  expect(sample.halted).toEqual([partition]);
  const { body } = await console.get(`/api/partitions/${partition}/evidence`);
  expect(body).toMatchObject({
    verdict: 'DATABASE_WENT_BACK',
    command: `sluice recover --partition ${partition}`,
  });
  const { body: all } = await console.get('/api/partitions');
  expect(all.partitions[partition].halted).toBe(true);
});

it("the page's files are there, are not sent twice, and there are no others", async () => {
  const { console } = await openWithUpdates();
  const page = await console.get('/');
  expect(page).toMatchObject({ status: 200, headers: { 'content-type': 'text/html; charset=utf-8' } });
  expect(page.headers['content-security-policy']).toMatch(/^default-src 'none'; script-src 'self'/);
  expect((await console.get('/quarantine')).text).toBe(page.text);
  const script = await console.get('/app.js');
  expect(script.headers['content-type']).toMatch(/^text\/javascript/);
  expect((await console.get('/app.js', { 'if-none-match': String(script.headers.etag) })).status).toBe(304);
  for (const path of [
    '/app.ts',
    '/../package.json',
    '/%2e%2e/package.json',
    '/app.js/',
    '/API/me',
    '//e',
    '/.env',
  ])
    expect((await console.get(path)).status, path).toBe(404);
  expect((await console.ask('/', { method: 'DELETE' })).status).toBe(415);
});

it('says so while Redis is away, and goes on when it is back', async () => {
  const engine = await openEngine();
  const console = await openTestConsole(engine);
  await sampleWith(console, ({ redis }) => redis === 'connected', 'a connection');
  const wrong = await openTestConsole(engine, { REDIS_URL: 'redis://127.0.0.1:1' });
  const sample = await sampleWith(wrong, () => true, 'a sample');
  expect(sample).toMatchObject({ redis: 'unavailable', lagSeconds: null, verdict: { reason: 'redis-away' } });
  await until(
    async () => (await wrong.get('/api/partitions')).body.code === 'REDIS_UNAVAILABLE',
    'the reason',
  );
});
