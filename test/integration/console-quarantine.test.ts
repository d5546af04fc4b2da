// Quarantine, operations and flush jobs of the console: pages and counts, dry runs, actions on a frozen set, their audit
// record, and what hostile requests get.

import { Worker as Consumer } from 'bullmq';
import { describe, expect, it } from 'vitest';
import { jobRoutes } from '../../src/console/jobs.ts';
import { operationRoutes } from '../../src/console/operations.ts';
import { quarantineRoutes } from '../../src/console/quarantine.ts';
import { countRows, pageOfRows } from '../../src/console/quarantine-rows.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { wake } from '../../src/shared/redis/queue.ts';
import { asker, caller, consoleParts } from '../support/console.ts';
import { type Engine, openEngine, until } from '../support/engine.ts';
import { drift, mend, poisoned, quarantined } from '../support/failed.ts';
import { openProxy } from '../support/proxy.ts';

const routes = [...quarantineRoutes, ...operationRoutes, ...jobRoutes];
const CODE = 'ER_SIGNAL_EXCEPTION';

async function opened(engine: Engine) {
  const parts = await consoleParts(engine);
  return { parts, call: caller(routes, parts) };
}

/** What a dry run counts, which the run sends back. */
async function counted({ call }: Pick<Awaited<ReturnType<typeof opened>>, 'call'>, selection: object) {
  const { status, body } = await call.post('/api/quarantine/plan', selection);
  expect(status).toBe(200);
  return body.counted;
}

/** Rows as a flush puts them aside, of any number. */
async function fill({ database }: Engine, count: number, change = ''): Promise<void> {
  await database.query(
    `INSERT INTO sluice_quarantine (partition_id, sequence, kind, name, item_key, amount, error_code, payload, created_at)
     SELECT 0, 9007199254740993, 'counter', 'views', CONCAT('k', n), 9007199254740993, 'ER_X', '{"updates":3}', '2026-01-02 03:04:05.678'
     FROM JSON_TABLE(CONCAT('[1', REPEAT(',1', ?), ']'), '$[*]' COLUMNS (n FOR ORDINALITY)) j ${change}`,
    [count - 1],
  );
}

describe('groups and pages', () => {
  it('show what there is, by error code and name, with exact numbers', async () => {
    const engine = await poisoned(3);
    await fill(engine, 5);
    const { call } = await opened(engine);
    const { body } = await call.get('/api/quarantine/groups');
    expect(body.total).toEqual({ count: 11, atLeast: false });
    expect(body.unlisted).toBe(0);
    expect(body.groups).toMatchObject([
      {
        kind: 'counter',
        name: 'views',
        code: 'ER_X',
        updates: { count: 5, atLeast: false },
        oldestAt: '2026-01-02T03:04:05.678Z',
      },
      { code: CODE, cause: 'refused', updates: { count: 3 } },
      { code: CODE, cause: 'refused', updates: { count: 3 } },
    ]);
    const page = (await call.get('/api/quarantine?code=ER_X&limit=2')).body;
    expect(page.total).toEqual({ count: 5, atLeast: false });
    expect(page.updates).toMatchObject([
      { key: 'k1', amount: '9007199254740993', sequence: '9007199254740993', updates: 3, version: null },
      { key: 'k2' },
    ]);
    const keys: string[] = [];
    for (let after = 0; ; ) {
      const { updates, next } = (await call.get(`/api/quarantine?code=ER_X&limit=2&after=${after}`)).body;
      keys.push(...updates.map(({ key }: { key: string }) => key));
      if (next === null) break;
      after = next;
    }
    expect(keys).toEqual(['k1', 'k2', 'k3', 'k4', 'k5']);
  });

  it('agree with each other, whatever the filter', async () => {
    const engine = await poisoned(3);
    await fill(engine, 5);
    const { call } = await opened(engine);
    const all = (await call.get('/api/quarantine?limit=200')).body.updates;
    expect(all).toHaveLength(11);
    type Row = {
      kind: string;
      name: string;
      key: string;
      code: string;
      quarantinedAt: string;
      partition: number;
    };
    const select = async (query: string, expected: (row: Row) => boolean) => {
      const wanted = all.filter(expected);
      const page = (await call.get(`/api/quarantine?limit=200&${query}`)).body;
      expect(page.updates, query).toEqual(wanted);
      expect(page, query).toMatchObject({ next: null, total: { count: wanted.length, atLeast: false } });
      const { total, groups } = (await call.get(`/api/quarantine/groups?${query}`)).body;
      expect(total, query).toEqual({ count: wanted.length, atLeast: false });
      const sum = groups.reduce(
        (count: number, group: { updates: { count: number } }) => count + group.updates.count,
        0,
      );
      expect(sum, query).toBe(wanted.length);
    };
    await select('kind=entry', ({ kind }) => kind === 'entry');
    await select('name=views', ({ name }) => name === 'views');
    await select('name=VIEWS', () => false);
    await select(
      `kind=counter&name=views&code=${CODE}`,
      ({ kind, code }) => kind === 'counter' && code === CODE,
    );
    await select('key=k1', ({ key }) => key === 'k1');
    await select('kind=counter&name=views&key=bad1', ({ key, kind }) => key === 'bad1' && kind === 'counter');
    await select('keyPrefix=bad', ({ key }) => key.startsWith('bad'));
    await select('keyPrefix=k&code=ER_X', ({ code }) => code === 'ER_X');
    await select('until=2026-01-03T00:00:00Z', ({ code }) => code === 'ER_X');
    await select('from=2026-01-03T00:00:00Z', ({ code }) => code === CODE);
    await select('partition=0', ({ partition }) => partition === 0);
  });

  it('take a prefix as text, not as a pattern', async () => {
    const engine = await openEngine();
    await fill(engine, 1);
    for (const key of ['50%', '50% off', '500', 'a_b', 'axb', 'a|b', "a'b", 'a\\b'])
      await engine.database.query(
        'INSERT INTO sluice_quarantine (partition_id, sequence, kind, name, item_key, amount, error_code, payload, created_at) VALUES (0, 1, ?, ?, ?, 1, ?, ?, UTC_TIMESTAMP(3))',
        ['counter', 'views', Buffer.from(key), 'X', '{}'],
      );
    const { call } = await opened(engine);
    const found = async (prefix: string) =>
      (await call.get(`/api/quarantine?keyPrefix=${encodeURIComponent(prefix)}`)).body.updates.map(
        ({ key }: { key: string }) => key,
      );
    expect(await found('50%')).toEqual(['50%', '50% off']);
    expect(await found('a_')).toEqual(['a_b']);
    expect(await found('a|')).toEqual(['a|b']);
    expect(await found("a'")).toEqual(["a'b"]);
    expect(await found('a\\')).toEqual(['a\\b']);
    expect(await found('%')).toEqual([]);
    // An operation selects the same.
    const { body } = await call.post('/api/quarantine/plan', {
      action: 'drop',
      filter: { keyPrefix: '50%' },
    });
    expect(body).toMatchObject({ updates: 2, tried: 2, groups: [{ outcome: 'dropped', updates: 2 }] });
  });

  it('end in time: a count is then at least what was found, and a page has a next one', async () => {
    const engine = await openEngine({ partitions: 1 });
    await fill(engine, 9000);
    const { database } = engine.own;
    const hurry = { ms: 0, most: 100_000 };
    const rare = { key: 'k9000' };
    expect(await countRows(database, rare, hurry)).toEqual({ count: 0, atLeast: true });
    expect(await countRows(database, rare, { ms: 60_000, most: 100 })).toEqual({ count: 1, atLeast: false });
    expect(await countRows(database, {}, { ms: 60_000, most: 100 })).toEqual({ count: 100, atLeast: true });
    expect(await countRows(database, { keyPrefix: 'k' }, { ms: 60_000, most: 100 })).toEqual({
      count: 100,
      atLeast: true,
    });
    const keys: string[] = [];
    for (let after: number | null = 0; after !== null; ) {
      const page = await pageOfRows(database, rare, after, 10);
      keys.push(...page.rows.map(row => String(row.item_key)));
      after = page.next;
    }
    expect(keys).toEqual(['k9000']);
  });

  it('never say that nothing matches, if the time was over before all rows were looked at', async () => {
    const engine = await openEngine({ partitions: 1 });
    await fill(engine, 9000);
    await fill(engine, 3);
    await engine.database.query(
      'UPDATE sluice_quarantine SET partition_id = 1, created_at = UTC_TIMESTAMP(3) ORDER BY id DESC LIMIT 3',
    );
    const { parts } = await opened(engine);
    // One look at the rows takes all the time.
    const far = await openProxy(engine.mysqlUrl, undefined, 30);
    const limits = { connections: 2, idleTransactionSeconds: 60, lockWaitSeconds: 10 };
    const database = new Database({ url: far.url }, limits);
    engine.onClose(() => database.close());
    const call = caller(routes, { ...parts, servers: () => ({ ...parts.servers(), database }) });
    const unknown = { count: 0, atLeast: true };
    expect((await call.get('/api/quarantine/groups?partition=1')).body).toEqual({
      groups: [],
      unlisted: 0,
      total: unknown,
    });
    const page = (await call.get('/api/quarantine?partition=1')).body;
    expect(page).toEqual({ updates: [], total: unknown, next: expect.any(Number) });
    // What came since a time is at the end.
    const recent = 'from=2026-01-03T00:00:00Z';
    const found = { count: 3, atLeast: true };
    const { groups, total } = (await call.get(`/api/quarantine/groups?${recent}`)).body;
    expect([groups.length, groups[0]?.updates, total]).toEqual([1, found, found]);
    expect((await call.get(`/api/quarantine?${recent}`)).body.total).toEqual(found);
  });

  it('hide payloads from who may not see them, also in the history of one update', async () => {
    const engine = await poisoned(1);
    const { parts, call } = await opened(engine);
    const [, id] = await quarantined(engine);
    const seen = (await call.get(`/api/quarantine/${id}`)).body;
    expect(seen.update).toMatchObject({ entryId: 'bad0', reason: 'why', metadata: '{"n":0}', amount: '1' });
    const edit = { action: 'edit', filter: { ids: [id] }, change: { reason: 'secret' } };
    const run = { ...edit, reason: 'INC', counted: await counted({ call }, edit), expected: 1 };
    const { body } = await call.post('/api/quarantine/run', run);
    await until(async () => {
      await engine.drain();
      return (await call.get(`/api/operations/${body.operation}`)).body.state !== 'running';
    });
    const blind = caller(routes, parts, asker('viewer', { seesPayloads: false }));
    for (const path of [
      `/api/quarantine/${id}`,
      '/api/quarantine',
      '/api/operations',
      `/api/operations/${body.operation}`,
      '/api/operations.ndjson',
    ]) {
      const text = JSON.stringify((await blind.get(path)).body);
      expect(text, path).not.toMatch(/secret|\bwhy\b|\\"n\\":0/);
    }
    expect(JSON.stringify((await call.get('/api/operations')).body)).toContain('secret');
  });
});

describe('a dry run', () => {
  it('says what would become of each update, and changes nothing', async () => {
    const engine = await poisoned(3);
    await engine.database.query('DROP TRIGGER bad_counters');
    const { call } = await opened(engine);
    const before = await engine.database.query('SELECT * FROM sluice_quarantine');
    const { body } = await call.post('/api/quarantine/plan', { action: 'replay', all: true });
    expect(body).toEqual({
      ...{ action: 'replay', updates: 6, jobs: 0, partial: false, tried: 6 },
      counted: { last: (await quarantined(engine)).at(-1), jobs: [] },
      groups: [
        { kind: 'counter', name: 'views', code: CODE, outcome: 'replayed', updates: 3 },
        { kind: 'entry', name: 'loyalty', code: CODE, outcome: `refused:${CODE}`, updates: 3 },
      ],
    });
    expect(await engine.database.query('SELECT * FROM sluice_quarantine')).toEqual(before);
    expect(await engine.database.query('SELECT * FROM sluice_operations')).toEqual([]);
  });

  it('ends after some seconds, and says how many it tried', async () => {
    const engine = await openEngine();
    await fill(engine, 9000);
    const { call } = await opened(engine);
    const { body } = await call.post('/api/quarantine/plan', { action: 'drop', all: true });
    expect(body).toMatchObject({ updates: 9000, partial: true });
    expect(body.tried).toBeGreaterThan(0);
    expect(body.tried).toBeLessThan(9000);
  });
});

describe('an action', () => {
  it('replays what was counted and nothing that came later, under the name of the login', async () => {
    const engine = await poisoned(2);
    const { call } = await opened(engine);
    await mend(engine);
    const replay = { action: 'replay', filter: { kind: 'counter' } };
    const run = { ...replay, reason: 'INC-1', counted: await counted({ call }, replay), expected: 1 };
    const refused = await call.post('/api/quarantine/run', run);
    expect([refused.status, refused.body.code]).toEqual([409, 'COUNT_CHANGED']);
    expect(refused.body.detail).toMatch(/^2 updates and jobs match now, and 1 were shown/);
    expect(await quarantined(engine)).toHaveLength(4);
    const { status, body } = await call.post('/api/quarantine/run', { ...run, expected: 2 });
    expect(status).toBe(202);
    const { operation } = body;
    await until(async () => (await call.get(`/api/operations/${operation}`)).body.state === 'finished');
    expect(await engine.counterInMysql('views', 'bad1')).toBe(2);
    expect(await quarantined(engine)).toHaveLength(2);
    const shown = (await call.get(`/api/operations/${operation}`)).body;
    expect(shown).toMatchObject({
      ...{
        action: 'replay',
        operator: 'olga',
        reason: 'INC-1',
        address: '192.0.2.7',
        progress: null,
        next: null,
      },
      outcomes: { replayed: 2 },
      items: [
        { outcome: 'replayed', operator: 'olga', original: { key: 'bad0' } },
        { original: { key: 'bad1', amount: '2' } },
      ],
    });
    const gone = (await call.get(`/api/quarantine/${shown.items[0].original.id}`)).body;
    expect(gone).toMatchObject({ update: null, items: [{ operation, action: 'replay', reason: 'INC-1' }] });
    expect(await drift(engine, 2)).toEqual([]);
  });

  it('leaves alone what enters quarantine after it was counted', async () => {
    const engine = await openEngine({ partitions: 1 });
    await fill(engine, 3);
    const { parts, call } = await opened(engine);
    const replay = { action: 'replay', all: true };
    const run = { ...replay, reason: 'x', counted: await counted({ call }, replay), expected: 3 };
    // As many arrive as leave before the run is confirmed: the number is the same.
    await engine.database.query('DELETE FROM sluice_quarantine LIMIT 2');
    await fill(engine, 2);
    // Another update arrives between the second count and the start.
    const failed = await parts.failed();
    const late = caller(routes, {
      ...parts,
      failed: async () => {
        await fill(engine, 1);
        return failed;
      },
    });
    const { body } = await late.post('/api/quarantine/run', run);
    await until(async () => (await call.get(`/api/operations/${body.operation}`)).body.state === 'finished');
    expect(Object.values((await call.get(`/api/operations/${body.operation}`)).body.outcomes)).toEqual([1]);
  });

  it('stops, shows how far it is, and is resumed', async () => {
    const engine = await openEngine({ partitions: 1 });
    await fill(engine, 30);
    await engine.database.query('UPDATE sluice_quarantine SET amount = 1');
    const { call } = await opened(engine);
    const replay = { action: 'replay', all: true };
    const run = {
      ...{ ...replay, reason: 'slowly', rate: 4 },
      ...{ counted: await counted({ call }, replay), expected: 30 },
    };
    const { operation } = (await call.post('/api/quarantine/run', run)).body;
    await until(async () => {
      const { progress } = (await call.get(`/api/operations/${operation}`)).body;
      return progress !== null && progress.done > 1 && progress.total === 30;
    });
    expect((await call.get('/api/operations?operator=olga&action=replay')).body.operations).toMatchObject([
      { operation, state: 'running' },
    ]);
    expect((await call.post(`/api/operations/${operation}/stop`, '')).status).toBe(200);
    await until(async () => (await call.get(`/api/operations/${operation}`)).body.state === 'interrupted');
    expect((await call.post(`/api/operations/${operation}/stop`, '')).body.code).toBe('NOT_RUNNING_HERE');
    expect((await quarantined(engine)).length).toBeGreaterThan(0);
    expect((await call.post(`/api/operations/${operation}/resume`, '')).status).toBe(202);
    await until(async () => (await call.get(`/api/operations/${operation}`)).body.state === 'finished');
    expect(await quarantined(engine)).toEqual([]);
    expect((await call.post(`/api/operations/${operation}/resume`, '')).body.code).toBe('OPERATION_FINISHED');
    expect((await call.post('/api/operations/999/resume', '')).body.code).toBe('UNKNOWN_OPERATION');
  });

  it('drops with its worker, and the live value follows', async () => {
    const engine = await poisoned(2);
    const { call } = await opened(engine);
    await engine.worker({ flushIntervalMs: 100 });
    const drop = { action: 'drop', all: true };
    const run = { ...drop, reason: 'test data', counted: await counted({ call }, drop), expected: 4 };
    const { operation } = (await call.post('/api/quarantine/run', run)).body;
    await until(async () => (await call.get(`/api/operations/${operation}`)).body.state === 'finished');
    expect((await call.get(`/api/operations/${operation}`)).body.outcomes).toEqual({ dropped: 4 });
    expect(await quarantined(engine)).toEqual([]);
    expect(await drift(engine, 2)).toEqual([]);
  });
});

describe('flush jobs', () => {
  it('are listed, and dropped or replayed like updates', async () => {
    const engine = await openEngine({ attempts: 1, stuckAfterMs: 600_000 });
    const { parts, call } = await opened(engine);
    await engine.worker();
    await engine.database.query('RENAME TABLE sluice_counters TO hidden');
    await (await engine.producer()).counter('views').increment('/');
    await until(async () => (await call.get('/api/jobs')).body.jobs.length === 1, 'the job to fail');
    const { body } = await call.get('/api/jobs');
    expect(body.counts).toMatchObject({ failed: 1 });
    expect(body.jobs).toMatchObject([
      {
        ...{ state: 'failed', partition: engine.keys.partitionOf('/'), attempts: 1 },
        reason: expect.stringMatching(/sluice_counters/),
      },
    ]);
    const blind = caller(routes, parts, asker('viewer', { seesPayloads: false }));
    expect((await blind.get('/api/jobs')).body.jobs[0].reason).toBeNull();
    const filter = { jobs: [body.jobs[0].job] };
    expect((await call.post('/api/quarantine/plan', { action: 'drop', filter })).body).toMatchObject({
      updates: 0,
      jobs: 1,
      partial: false,
    });
    const drop = { action: 'drop', filter };
    const run = { ...drop, reason: 'old', counted: await counted({ call }, drop), expected: 0 };
    expect((await call.post('/api/quarantine/run', run)).body.code).toBe('COUNT_CHANGED');
    const { operation } = (await call.post('/api/quarantine/run', { ...run, expected: 1 })).body;
    await until(async () => (await call.get(`/api/operations/${operation}`)).body.state === 'finished');
    expect((await call.get('/api/jobs')).body.counts.failed).toBe(0);
    await engine.database.query('RENAME TABLE hidden TO sluice_counters');
    expect((await call.get('/api/jobs?state=waiting&limit=5')).status).toBe(200);
  });

  it('that failed after they were counted are left alone', async () => {
    const engine = await openEngine();
    const { parts, call } = await opened(engine);
    const { queue } = parts.servers();
    const connection = engine.redis.duplicate({ maxRetriesPerRequest: null });
    const consumer = new Consumer(queue.name, () => Promise.reject(new Error('made by the test')), {
      ...{ connection, prefix: engine.keys.queuePrefix },
    });
    engine.onClose(async () => {
      await consumer.close();
      connection.disconnect();
    });
    const failedJobs = async () =>
      (await call.get('/api/jobs')).body.jobs.map(({ job }: { job: string }) => job);
    const fail = async (there: number) => {
      await wake(queue, { partition: 0 });
      await until(async () => (await failedJobs()).length === there, 'the job to fail');
    };
    await fail(1);
    const [first] = await failedJobs();
    const drop = { action: 'drop', all: true };
    const seen = await counted({ call }, drop);
    expect(seen).toEqual({ last: 0, jobs: [first] });
    await fail(2);
    const run = { ...drop, reason: 'old', counted: seen, expected: 1 };
    const { operation } = (await call.post('/api/quarantine/run', run)).body;
    await until(async () => (await call.get(`/api/operations/${operation}`)).body.state === 'finished');
    const left = await failedJobs();
    expect(left).toHaveLength(1);
    expect(left).not.toContain(first);
  });
});

describe('the audit record', () => {
  it('is a list with filters, page by page, and a file', async () => {
    const engine = await openEngine();
    for (let n = 0; n < 7; n++)
      await engine.database.query(
        'INSERT INTO sluice_operations (action, operator, filter, started_at, finished_at) VALUES (?, ?, ?, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))',
        [n % 2 ? 'drop' : 'repair', n === 3 ? "o'brien%" : 'olga', '{"filter":{},"jobs":[]}'],
      );
    const { call } = await opened(engine);
    const first = (await call.get('/api/operations?limit=4')).body;
    expect(first.operations).toHaveLength(4);
    const second = (await call.get(`/api/operations?limit=4&before=${first.next}`)).body;
    expect(second.operations).toHaveLength(3);
    expect(second.next).toBeNull();
    expect((await call.get('/api/operations?action=drop')).body.operations).toHaveLength(3);
    expect(
      (await call.get(`/api/operations?operator=${encodeURIComponent("o'brien%")}`)).body.operations,
    ).toHaveLength(1);
    expect((await call.get('/api/operations?operator=o%25')).body.operations).toEqual([]);
    const lines = (await call.get('/api/operations.ndjson?action=repair')).body
      .trim()
      .split('\n')
      .map((line: string) => JSON.parse(line));
    expect(lines.map(({ action, state }: { action: string; state: string }) => [action, state])).toEqual(
      Array(4).fill(['repair', 'finished']),
    );
    expect((await call.get('/api/operations.ndjson?operator=nobody')).body).toBe('');
  });
});

describe('what is refused', () => {
  it('with its status, and nothing is started', async () => {
    const engine = await openEngine();
    await fill(engine, 1);
    const { call } = await opened(engine);
    for (const query of [
      ...[
        'days=99999999',
        'limit=0',
        'limit=201',
        'limit=1e3',
        'after=-1',
        'after=9999999999999999',
        'after=NaN',
      ],
      ...[
        'kind=__proto__',
        'kind=counter&kind=entry',
        'from=yesterday',
        'from=2026-01-01',
        'until=99999999-01-01T00:00:00Z',
      ],
      ...[
        'partition=1e9',
        'sequence=5',
        'key=',
        `key=${'k'.repeat(2049)}`,
        'ids=1',
        'jobs=1',
        'key[$ne]=1',
        '__proto__=1',
      ],
    ]) {
      expect((await call.get(`/api/quarantine?${query}`)).status, query).toBe(400);
    }
    for (const id of [
      '0',
      '-1',
      '1e3',
      '99999999999999999',
      '..',
      '%2e%2e',
      '1%00',
      'groups%2f',
      "1'--",
      '999999',
    ])
      expect((await call.get(`/api/quarantine/${id}`)).status, id).toBeGreaterThanOrEqual(400);
    const last = (await quarantined(engine))[0];
    const run = { action: 'drop', all: true, reason: 'x', counted: { last, jobs: [] }, expected: 1 };
    for (const body of [
      ...[
        { ...run, counted: undefined },
        { ...run, counted: { jobs: [] } },
        { ...run, counted: { last } },
        { ...run, counted: { last: -1, jobs: [] } },
        { ...run, counted: { last: String(last), jobs: [] } },
        { ...run, counted: { last, jobs: [7] } },
      ],
      ...[
        { ...run, reason: '' },
        { ...run, reason: undefined },
        { ...run, expected: undefined },
        { ...run, expected: -1 },
      ],
      ...[
        { ...run, expected: 1.5 },
        { ...run, expected: '1' },
        { ...run, rate: 0 },
        { ...run, rate: -1 },
        { ...run, rate: 1e9 },
      ],
      ...[
        { ...run, all: false },
        { ...run, all: 'yes' },
        { ...run, filter: { kind: 'counter' } },
        { ...run, operator: 'eve' },
      ],
      ...[
        { ...run, action: 'edit' },
        { ...run, change: { amount: 5 } },
        { ...run, action: 'recover' },
        { ...run, action: '__proto__' },
      ],
      ...[
        { ...run, all: undefined, filter: {} },
        { ...run, all: undefined, filter: { ids: [0] } },
        { ...run, all: undefined, filter: { ids: ['1'] } },
      ],
      ...[
        { ...run, all: undefined, filter: { key: '\ud800' } },
        { ...run, all: undefined, filter: { $where: '1' } },
      ],
      ...[
        '{"action":"drop","all":true,"reason":"x","counted":{"last":1,"jobs":[]},"expected":1,"__proto__":{"a":1}}',
        '[]',
        'null',
        '{"action":"drop",',
      ],
      '{"action":"drop","all":true,"reason":"x","counted":{"last":1,"jobs":[]},"expected":9007199254740993}',
      '{"action":"drop","all":true,"reason":"x","counted":{"last":9007199254740993,"jobs":[]},"expected":1}',
      '{"action":"edit","all":true,"change":{"amount":9007199254740993},"reason":"x","counted":{"last":1,"jobs":[]},"expected":1}',
    ])
      expect((await call.post('/api/quarantine/run', body)).status, JSON.stringify(body)).toBe(400);
    for (const query of [
      'before=-1',
      'action=DROP',
      'action=__proto__',
      'operator=',
      'limit=9999999',
      'state=x',
    ])
      expect((await call.get(`/api/operations?${query}`)).status, query).toBe(400);
    for (const query of ['state=__proto__', 'state=completed', 'after=-1', 'after=99999999', 'limit=0'])
      expect((await call.get(`/api/jobs?${query}`)).status, query).toBe(400);
    expect(await engine.database.query('SELECT id FROM sluice_operations')).toEqual([]);
    expect(await quarantined(engine)).toHaveLength(1);
  });
});
