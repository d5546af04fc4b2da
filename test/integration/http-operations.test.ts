// Operations on failed updates over HTTP when something goes wrong: MySQL is away, a client repeats itself or goes away,
// an operation is stopped.

import { describe, expect, it } from 'vitest';
import { openApi } from '../support/api.ts';
import { type Engine, openEngine, until } from '../support/engine.ts';
import { openProxy } from '../support/proxy.ts';

/** Counters as a flush puts them aside, which a replay writes. */
async function fill({ database }: Engine, count: number): Promise<void> {
  await database.query(
    `INSERT INTO sluice_quarantine (partition_id, sequence, kind, name, item_key, amount, error_code, payload, created_at)
     SELECT 0, 1, 'counter', 'views', CONCAT('k', n), 1, 'ER_X', '{"updates":1}', UTC_TIMESTAMP(3)
     FROM JSON_TABLE(CONCAT('[1', REPEAT(',1', ?), ']'), '$[*]' COLUMNS (n FOR ORDINALITY)) j`,
    [count - 1],
  );
}

async function opened(count: number, given: Parameters<typeof openApi>[2] = {}) {
  const engine = await openEngine({ partitions: 1 });
  await fill(engine, count);
  return { engine, api: await openApi(engine, {}, given) };
}

const nothing = { method: 'POST' };

describe('while MySQL is away', () => {
  it('every route says so, and works again afterwards', async () => {
    const engine = await openEngine({ partitions: 1 });
    const proxy = await openProxy(engine.mysqlUrl);
    const api = await openApi(engine, {}, { mysqlUrl: proxy.url });
    expect((await api.get('/v1/failed')).status).toBe(200);
    proxy.refuse();
    const asked = [
      await api.get('/v1/failed'),
      await api.get('/v1/operations'),
      await api.get('/v1/operations/1'),
      await api.post('/v1/failed/replay', { all: true }),
      await api.post('/v1/failed/replay', { all: true, dryRun: true }),
      await api.post('/v1/failed/drop', { all: true, reason: 'x' }),
      await api.send('/v1/operations/1/cancel', nothing),
      await api.send('/v1/operations/1/resume', nothing),
    ];
    for (const { status, json, headers } of asked) {
      expect([status, json]).toMatchObject([
        503,
        { code: 'DATABASE_UNAVAILABLE', retryable: true, applied: 'no' },
      ]);
      expect(headers.get('retry-after')).toBe('1');
    }
    proxy.open();
    expect((await api.get('/v1/failed')).status).toBe(200);
  });

  it('an operation that was recorded is answered as such', async () => {
    const gone = Object.assign(new Error('gone'), { code: 'ECONNREFUSED' });
    const { engine, api } = await opened(1, {
      between: failed => ({
        replay: (...args) => failed.replay(...args),
        operation: async () => {
          throw gone;
        },
      }),
    });
    const started = await api.post('/v1/failed/replay', { all: true, reason: 'once' });
    expect(started).toMatchObject({ status: 202, json: { operation: 1, reason: 'once', finishedAt: null } });
    expect(started.headers.get('location')).toBe('/v1/operations/1');
    await until(async () => (await engine.counterInMysql('views', 'k1')) === 1, 'the replay');
  });
});

describe('a dry run', () => {
  it('ends after some seconds, and says that it is partial', async () => {
    const { api } = await opened(6000);
    const { status, json } = await api.post('/v1/failed/replay', { all: true, dryRun: true });
    expect([status, json]).toMatchObject([200, { action: 'replay', partial: true }]);
    expect(json.tried).toBeGreaterThan(0);
    expect(json.tried).toBeLessThan(6000);
    const few = await api.post('/v1/failed/replay', { filter: { key: 'k7' }, dryRun: true });
    expect(few.json).toMatchObject({ groups: [{ outcome: 'replayed' }], tried: 1, partial: false });
    const drop = await api.post('/v1/failed/drop', { filter: { key: 'k7' }, dryRun: true });
    expect(drop.json).toMatchObject({ groups: [{ outcome: 'dropped' }], tried: 1, partial: false });
  });

  it('ends when its client goes away', async () => {
    let signal: AbortSignal | undefined;
    const { api } = await opened(6000, {
      between: failed => ({
        plan: (action, filter, options = {}) => {
          signal = options.signal;
          return failed.plan(action, filter, options);
        },
      }),
    });
    const client = new AbortController();
    const answer = fetch(`${api.base}/v1/failed/replay`, {
      method: 'POST',
      headers: { authorization: `Bearer ${api.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ all: true, dryRun: true }),
      signal: client.signal,
    });
    await until(() => Promise.resolve(signal !== undefined), 'the dry run');
    client.abort();
    await expect(answer).rejects.toThrow();
    await until(() => Promise.resolve(signal!.aborted), 'its end');
    // Not because its time was over.
    expect(signal!.reason).toMatchObject({ name: 'AbortError' });
  });
});

describe('an operation', () => {
  it('that was cancelled is continued by a resume at once, and a drop does not wait for its flush', async () => {
    const { engine, api } = await opened(3);
    const { headers } = await api.post('/v1/failed/drop', { all: true, reason: 'x', rate: 1 });
    const location = headers.get('location')!;
    // No worker runs, so nothing is dropped before one does.
    expect((await api.send(`${location}/cancel`, nothing)).status).toBe(200);
    expect((await api.send(`${location}/resume`, nothing)).status).toBe(202);
    await engine.worker({ flushIntervalMs: 100 });
    await until(async () => (await api.get(location)).json.outcomes.dropped === 3, 'the drop');
    expect((await api.get(location)).json.rate).toBe(1);
  });
});
