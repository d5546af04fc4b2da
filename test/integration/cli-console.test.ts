// `sluice console` and `sluice worker --console` as processes: their start, their page and their end.

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

it('the console shows its page and the servers, and exits 0 on SIGTERM', async () => {
  const { running, url } = await openPage(await openDeployment(definitions), ['console']);
  expect(await (await fetch(url)).text()).toContain('<title>');
  await until(async () => (await sampleOf(url))?.workersAlive === 0, 'a sample');
  running.child.kill('SIGTERM');
  expect(await running.ended).toMatchObject({ code: 0, stderr: '' });
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
