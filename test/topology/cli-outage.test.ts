// Commands whose servers go away: they go on, or exit with code 3 and say how far they came.

import { createReadStream } from 'node:fs';
import { expect, it } from 'vitest';
import { openDeployment } from '../support/command.ts';
import { until } from '../support/engine.ts';
import { ownServers } from '../support/servers.ts';

const definitions = { counters: { page_views: {} }, points: { loyalty: {} } } as const;
const view = (n: number) => `{"counter":"page_views","key":"k${n % 100}"}\n`;

it('ingest waits for a Redis that comes back, and ends if it does not', async () => {
  const { redis, servers } = await ownServers();
  const deployment = await openDeployment(definitions, { servers });
  const worker = await deployment.worker();
  const total = 60_000;
  const file = deployment.file('views.ndjson', Array.from({ length: total }, (_, n) => view(n)).join(''));
  const ingest = deployment.start(['ingest', '--json', '--run', 'r', '-']);
  createReadStream(file).pipe(ingest.child.stdin!);
  const written = async () => {
    const [row] = await deployment.database.query(
      'SELECT COALESCE(SUM(value), 0) AS total FROM sluice_counters',
    );
    return Number(row!.total);
  };
  await until(async () => (await written()) > 0, 'the first updates');
  expect(ingest.child.exitCode).toBeNull();
  redis.kill('SIGKILL');
  await redis.restart();
  const outcome = await ingest.ended;
  expect({ code: outcome.code, stderr: outcome.stderr }).toEqual({ code: 0, stderr: '' });
  const report = JSON.parse(outcome.stdout);
  expect(report).toMatchObject({ lines: total, rejected: 0, nextLine: total + 1 });
  // Lines that were accepted without an answer come again as duplicates.
  expect(report.accepted + report.duplicates).toBe(total);
  expect((await deployment.sluice(['drain'])).code).toBe(0);
  expect(await written()).toBe(total);
  expect((await deployment.sluice(['verify'])).code).toBe(0);

  const stuck = deployment.start(['ingest', '--json', '--patience', '1', '-']);
  stuck.child.stdin!.write(view(0));
  await until(async () => (await written()) === total + 1, 'the line before');
  await redis.stop();
  stuck.child.stdin!.end(view(1).repeat(5));
  const end = await stuck.ended;
  expect(end.code).toBe(3);
  expect(JSON.parse(end.stdout)).toEqual({ lines: 1, accepted: 1, duplicates: 0, rejected: 0, nextLine: 2 });
  expect(end.stderr).toMatch(/^sluice: [A-Z_]+: line 2 and 4 more have no final result/m);
  worker.child.kill('SIGKILL');
});

it('drain exits with code 3 if a server falls silent', async () => {
  const { redis, mysql, servers } = await ownServers();
  const deployment = await openDeployment(definitions, { servers });
  expect((await deployment.sluice(['ingest', '-'], {}, view(0))).code).toBe(0);
  for (const [server, code] of [
    [redis, 'REDIS_UNAVAILABLE'],
    [mysql, 'DATABASE_UNAVAILABLE'],
  ] as const) {
    const drain = deployment.start(['drain', '--timeout', '600']);
    await until(() => drain.stderr().includes('1 updates left'), 'drain to wait');
    server.kill('SIGSTOP');
    try {
      expect((await drain.ended).code).toBe(3);
    } finally {
      server.kill('SIGCONT');
    }
    expect(drain.stderr()).toMatch(new RegExp(`^sluice: ${code}: `, 'm'));
    expect(drain.stdout()).toBe('');
  }
});

it('a worker is not ready while a server is away, and keeps answering', async () => {
  const { redis, mysql, servers } = await ownServers();
  const deployment = await openDeployment(definitions, { servers });
  const worker = await deployment.worker();
  const get = (path: string) => fetch(`http://127.0.0.1:${worker.port}${path}`);
  const readiness = async () => {
    const response = await get('/readyz');
    return { status: response.status, ...((await response.json()) as Record<string, unknown>) };
  };
  expect(await readiness()).toMatchObject({ status: 200, redis: 'connected', database: 'connected' });
  await mysql.stop();
  expect(await readiness()).toMatchObject({ status: 503, redis: 'connected', database: 'disconnected' });
  expect((await deployment.sluice(['status'])).code).toBe(3);
  await redis.stop();
  expect(await readiness()).toMatchObject({ status: 503, redis: 'disconnected', database: 'disconnected' });
  expect((await get('/healthz')).status).toBe(200);
  // Its own metrics stay; those that only the servers know are left out.
  const metrics = await get('/metrics');
  const text = await metrics.text();
  expect(metrics.status).toBe(200);
  expect(text).toContain('sluice_flushed_updates_total 0');
  expect(text).not.toMatch(/^sluice_pending_updates\{/m);
  await Promise.all([redis.restart(), mysql.restart()]);
  await until(async () => (await readiness()).status === 200, 'the worker to be ready again');
  expect(await (await get('/metrics')).text()).toMatch(/^sluice_pending_updates\{partition="0"\} 0$/m);
  worker.child.kill('SIGTERM');
  expect((await worker.ended).code).toBe(0);
});
