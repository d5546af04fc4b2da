// Clients in other languages, as docs/http.md shows them, against the server; and what the server tells of itself.

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, it } from 'vitest';
import { routes } from '../../src/http/routes.ts';
import { openApi, type TestApi } from '../support/api.ts';
import { openEngine } from '../support/engine.ts';

const run = promisify(execFile);
const examples = join(import.meta.dirname, '../../examples/http');
const definitions = { counters: { page_views: {} }, points: { loyalty: {} } } as const;

let api: TestApi;
beforeAll(async () => {
  api = await openApi(await openEngine(), {}, { definitions });
});

it('a Python program with its standard library', async () => {
  const { stdout } = await run('python3', [join(examples, 'client.py'), api.base, api.key]);
  expect(JSON.parse(stdout)).toEqual({
    duplicates: [false, true],
    values: [3, 0],
    refused: 'INSUFFICIENT_POINTS',
    balance: 10,
    history: ['order-1'],
    last: { done: true, lines: 3001, accepted: 3000, duplicates: 0, refused: 1 },
    refusals: [[3001, 'UNKNOWN_COUNTER']],
    again: { done: true, lines: 3001, accepted: 0, duplicates: 3000, refused: 1 },
    bulk: [1000, 1000, 1000],
  });
});

it('a TypeScript program with types from the document', async () => {
  const types = run(join(import.meta.dirname, '../../node_modules/.bin/tsc'), [
    '-p',
    join(examples, 'tsconfig.json'),
  ]);
  const client = ['--disable-warning=ExperimentalWarning', join(examples, 'client.ts'), api.base, api.key];
  const { stdout } = await run(process.execPath, client);
  expect(JSON.parse(stdout)).toEqual({
    duplicates: [false, true],
    value: 2,
    balance: 25,
    refused: ['INSUFFICIENT_POINTS'],
  });
  await types;
});

it('the document and the page are public, and the document has a tag', async () => {
  const first = await api.get('/v1/openapi.json', { key: null });
  expect(first.status).toBe(200);
  expect(Object.keys(first.json.paths).toSorted()).toEqual(
    [...new Set(routes.map(({ path }) => path))].toSorted(),
  );
  const tag = first.headers.get('etag')!;
  for (const known of [tag, `"x", W/${tag}`, '*'])
    expect(
      await api.get('/v1/openapi.json', { key: null, headers: { 'if-none-match': known } }),
    ).toMatchObject({
      status: 304,
      text: '',
    });
  expect((await api.get('/v1/openapi.json', { headers: { 'if-none-match': '"x"' } })).status).toBe(200);
  const page = await api.get('/v1/docs', { key: null });
  expect(page.headers.get('content-security-policy')).toMatch(/default-src 'none'/);
  expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
});

it('the server has the routes of the document and no other, and counts its requests', async () => {
  const paths = api.api.app.printRoutes({ commonPrefix: false });
  for (const { path } of routes)
    expect(paths).toContain(
      path
        .replace('/v1', '')
        .replace(/\{(\w+)\}/g, ':$1')
        .split('/')
        .at(-1),
    );
  await api.get('/v1/counters/nope?key=a');
  await api.get('/nowhere');
  const metrics = await api.registry.metrics();
  expect(metrics).toMatch(
    /^sluice_http_requests_total\{route="\/v1\/counters\/\{name\}",method="GET",status="404"\} 1$/m,
  );
  expect(metrics).toMatch(/^sluice_http_requests_total\{route="unknown",method="GET",status="404"\} 1$/m);
  expect(metrics).toMatch(
    /^sluice_http_request_duration_seconds_count\{route="\/v1\/counters\/\{name\}"\} \d+$/m,
  );
});
