// What the operators of the example shop see: its health, its document, and each metric that a panel or an alert uses.

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { beforeAll, expect, it } from 'vitest';
import { expressions, shopDashboards } from '../../deploy/grafana/dashboards.ts';
import { freePort } from '../../scripts/servers.ts';
import { cleanUp } from '../support/cleanup.ts';
import { jsonLines } from '../support/command.ts';
import { until } from '../support/engine.ts';
import { readSamples } from '../support/prometheus.ts';
import { openShop, type Shop, type ShopProcess } from '../support/shop.ts';

const sources = fileURLToPath(new URL('../../examples/shop/src/', import.meta.url));
const alertsFile = new URL('../../deploy/prometheus/shop-alerts.yml', import.meta.url);
const METRIC = /\bshop_\w+/g;

let shop: Shop;
let api: ShopProcess;
beforeAll(async () => {
  shop = await openShop();
  api = await shop.api();
}, 120_000);

/** Routes as the code writes them: method and path as in the document. */
function routesInCode(): string[] {
  const files = readdirSync(sources, { recursive: true, encoding: 'utf8' }).filter(file =>
    /\.ts$/.test(file),
  );
  const code = files.map(file => readFileSync(sources + file, 'utf8')).join('\n');
  const calls = code.matchAll(/\bapi\.(get|post|put|patch|delete)(?:<[^(]*>)?\(\s*'([^']+)'/g);
  return [...calls].map(([, method, path]) => `${method} ${path!.replaceAll(/:(\w+)/g, '{$1}')}`);
}

it('the document has each route of each part, and its page runs its own scripts only', async () => {
  const { call } = api;
  expect(await call('GET', '/health')).toMatchObject({
    status: 200,
    body: { redis: 'connected', database: 'connected', cache: 'connected' },
  });

  const { body: document } = await call('GET', '/docs/json');
  expect(document.openapi).toBe('3.1.0');
  type Operation = { summary?: string; tags?: string[] };
  const operations = Object.entries(document.paths as Record<string, Record<string, Operation>>).flatMap(
    ([path, methods]) =>
      Object.entries(methods).map(([method, one]) => ({ route: `${method} ${path}`, ...one })),
  );
  const documented = operations.map(({ route }) => route);
  const written = routesInCode();
  expect(written.length).toBeGreaterThan(20);
  expect(documented).toEqual(expect.arrayContaining(written));
  for (const { route, summary, tags } of operations) {
    expect(summary, route).toMatch(/\w/);
    expect(tags?.length, route).toBe(1);
  }
  // A tag is the name of a part.
  const folders = readdirSync(sources, { withFileTypes: true }).filter(entry => entry.isDirectory());
  const tagged = new Set(operations.flatMap(({ tags }) => tags!));
  expect(folders.map(({ name }) => name)).toEqual(expect.arrayContaining([...tagged]));

  const page = await call('GET', '/docs');
  expect(page.status).toBe(200);
  const policy = page.headers.get('content-security-policy')!;
  expect(policy).toMatch(/default-src 'self'/);
  expect(policy).not.toMatch(/script-src|https?:|upgrade/);
  // What the page loads is there, and is its own.
  const loaded = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path as string);
  expect(loaded.length).toBeGreaterThan(3);
  for (const path of loaded) {
    expect(path).toMatch(/^[./]/);
    const { pathname } = new URL(path, 'http://shop/docs/');
    expect((await call('GET', pathname)).status, path).toBe(200);
  }
}, 120_000);

it('each metric of a panel or an alert exists, and slow commands are logged without their arguments', async () => {
  const port = await freePort();
  const jobs = shop.begin('jobs', { METRICS_PORT: String(port) });
  const cache = new Redis(shop.cache.url);
  cleanUp(async () => cache.disconnect());
  await cache.config('SET', 'slowlog-log-slower-than', '0');
  await cache.get('profile of ada@example.org');

  for (const path of ['/products/7/views', '/products/8/views', '/nothing', '/nowhere'])
    await api.call('GET', path);
  const ofJobs = async () =>
    fetch(`http://127.0.0.1:${port}/`).then(
      answer => answer.text(),
      () => '',
    );
  let pages = '';
  const isReported = async () => {
    pages = (await api.metrics()) + (await ofJobs());
    // A job of the sweep has run.
    return /shop_jobs_total\{.*completed/.test(pages) && /shop_redis_up\{server="cache"\} 1/.test(pages);
  };
  await until(isReported, 'both processes to report');
  const samples = readSamples(pages);
  const types = [...pages.matchAll(/^# TYPE (shop_\w+) (\w+)/gm)].map(
    ([, name, type]) => [name!, type!] as const,
  );
  const known = types.flatMap(([name, type]) =>
    type === 'histogram' ? ['_bucket', '_sum', '_count'].map(end => name + end) : [name],
  );
  const shown = Object.values(shopDashboards)
    .flatMap(expressions)
    .map(({ expression }) => expression);
  const alerts = [...readFileSync(alertsFile, 'utf8').matchAll(/expr: (.*)/g)].map(([, text]) => text!);
  for (const expression of [...shown, ...alerts])
    for (const [metric] of expression.matchAll(METRIC)) expect(known, expression).toContain(metric);
  const used = shown.join('\n');
  for (const [name] of types) expect(used, `${name} is shown nowhere`).toContain(name);

  // By the pattern of the route, and all unknown paths as one.
  const count = (route: string, status: number) =>
    samples.get(`shop_http_request_duration_seconds_count{method="GET",route="${route}",status="${status}"}`);
  expect(count('/products/:id/views', 200)).toBe(2);
  expect(count('none', 404)).toBe(2);
  expect(pages).not.toContain('/nothing');
  // Numbers, not texts.
  expect(samples.get('shop_redis_max_memory_bytes{server="cache"}')).toBe(64 * 1024 * 1024);
  expect(samples.get('shop_redis_used_memory_bytes{server="cache"}')).toBeGreaterThan(100_000);
  expect(samples.get('shop_redis_misses{server="cache"}')).toBeGreaterThanOrEqual(1);

  const slow = () =>
    jsonLines(jobs.stdout()).find(
      ({ msg, server, command }) => msg === 'slow command' && server === 'cache' && command === 'get',
    );
  await until(() => slow() !== undefined, 'the slow command');
  expect(slow()).toMatchObject({ arguments: 1, ms: expect.any(Number) });
  expect(jobs.stdout()).not.toContain('ada@example.org');

  jobs.child.kill('SIGTERM');
  expect(await jobs.ended).toMatchObject({ code: 0, stderr: '' });
}, 120_000);
