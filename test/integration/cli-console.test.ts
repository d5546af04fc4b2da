// `sluice console` and `sluice worker --console` as processes: their start, their page and their end.

import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { createServer } from 'node:net';
import { expect, it } from 'vitest';
import { cleanUp } from '../support/cleanup.ts';
import { openDeployment, startedLine, startSluice } from '../support/command.ts';
import { until } from '../support/engine.ts';

const definitions = { counters: { page_views: {} }, points: { loyalty: {} } } as const;
const ANY_PORTS = { SLUICE_CONSOLE_PORT: '0', SLUICE_HTTP_PORT: '0' };

interface Deployment {
  readonly env: Record<string, string>;
}

/** Starts it, and waits for its address. */
async function openPage({ env }: Deployment, args: string[], more: Record<string, string> = {}) {
  const running = startSluice(args, { ...env, ...ANY_PORTS, ...more });
  cleanUp(async () => {
    running.child.kill('SIGKILL');
    await running.ended;
  });
  const { url } = await startedLine(running, '"console started"');
  return { running, url: String(url) };
}

async function sampleOf(url: string) {
  const answer = await fetch(`${url}api/overview`);
  return answer.ok
    ? ((await answer.json()) as { sample: { workersAlive: number | null } | null }).sample
    : null;
}

/** As a tab does. Resolves once a sample came, with what tells how the stream ended. */
async function openTab(url: string) {
  const [answer] = (await once(get(`${url}api/events`), 'response')) as [IncomingMessage];
  cleanUp(() => answer.destroy());
  const { promise: ended, resolve } = Promise.withResolvers<'complete' | 'cut'>();
  answer.on('error', () => {}).once('close', () => resolve(answer.complete ? 'complete' : 'cut'));
  const { promise: shown, resolve: show } = Promise.withResolvers<void>();
  answer.on('data', data => String(data).includes('event: sample') && show());
  await shown;
  return { ended };
}

it('the console shows its page and the servers, and exits 0 on SIGTERM', async () => {
  const { running, url } = await openPage(await openDeployment(definitions), ['console']);
  expect(await (await fetch(url)).text()).toContain('<title>');
  await until(async () => (await sampleOf(url))?.workersAlive === 0, 'a sample');
  running.child.kill('SIGTERM');
  expect(await running.ended).toMatchObject({ code: 0, stderr: '' });
});

it('an open tab does not hold up the end of the console', async () => {
  const { running, url } = await openPage(await openDeployment(definitions), ['console']);
  const tab = await openTab(url);
  running.child.kill('SIGTERM');
  expect(await tab.ended).toBe('complete');
  expect((await running.ended).code).toBe(0);
});

it('a worker with the console shows itself, flushes, and ends both on SIGTERM', async () => {
  const deployment = await openDeployment(definitions);
  const { running, url } = await openPage(deployment, ['worker', '--console']);
  await until(async () => (await sampleOf(url))?.workersAlive === 1, 'its heartbeat');
  const line = '{"counter":"page_views","key":"/"}\n';
  expect((await deployment.sluice(['ingest', '-'], {}, line)).code).toBe(0);
  await until(
    async () => (await deployment.database.query('SELECT value FROM sluice_counters')).length === 1,
    'the flush',
  );
  running.child.kill('SIGTERM');
  expect((await running.ended).code).toBe(0);
  await expect(fetch(url)).rejects.toThrow();
});

it('a tab of a worker with the console ends while the worker finishes its batch', async () => {
  const deployment = await openDeployment(definitions);
  const more = { SLUICE_LOCK_WAIT_SECONDS: '60' };
  const { running, url } = await openPage(deployment, ['worker', '--console'], more);
  const tab = await openTab(url);
  await deployment.database.transaction(async connection => {
    // The batch waits for the lock on this row.
    await connection.query("INSERT INTO sluice_counters VALUES ('page_views', '/', 41, UTC_TIMESTAMP(3))");
    const line = '{"counter":"page_views","key":"/"}\n';
    expect((await deployment.sluice(['ingest', '-'], {}, line)).code).toBe(0);
    const state = deployment.keys.state(deployment.keys.partitionOf('/'));
    await until(async () => Boolean(await deployment.redis.hget(state, 'token')), 'a batch in flight');
    running.child.kill('SIGTERM');
    expect(await tab.ended).toBe('complete');
    expect(running.child.exitCode).toBeNull();
  });
  expect((await running.ended).code).toBe(0);
  const [row] = await deployment.database.query('SELECT value FROM sluice_counters');
  expect(String(row?.value)).toBe('42');
});

it('a port that is taken, or an address for others without a login, ends the start with its remedy', async () => {
  const deployment = await openDeployment(definitions);
  const other = createServer();
  cleanUp(() => new Promise(resolve => other.close(resolve)));
  await new Promise<void>(resolve => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as { port: number };
  const taken = await deployment.sluice(['console'], { SLUICE_CONSOLE_PORT: String(port) });
  expect(taken).toMatchObject({ code: 2 });
  expect(taken.stderr).toContain(`cannot listen on 127.0.0.1:${port} (EADDRINUSE); set SLUICE_CONSOLE_PORT`);
  const open = await deployment.sluice(['console'], { SLUICE_CONSOLE_HOST: '0.0.0.0' });
  expect(open.code).toBe(2);
  expect(open.stderr).toContain('SLUICE_CONSOLE_ORIGINS');
});
