// Logs that nobody reads or that cannot be written: the engine goes on, and counts the lost lines.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { TYPESCRIPT } from '../../scripts/load/typescript.ts';
import { freePort } from '../../scripts/servers.ts';
import { cleanUp } from '../support/cleanup.ts';
import { openDeployment, start } from '../support/command.ts';
import { type Servers, until } from '../support/engine.ts';
import { ownServers } from '../support/servers.ts';

const project = fileURLToPath(new URL('../../', import.meta.url));

let servers: Servers;
beforeAll(async () => {
  servers = (await ownServers()).servers;
});

/** A worker whose stdout goes through a shell's `redirection`. */
async function openWorker(redirection: string, setUp = '') {
  const deployment = await openDeployment({ counters: { views: {} } }, { servers });
  const port = await freePort();
  const script = `${setUp} exec "$0" dist-test/cli/main.js worker ${redirection}`;
  const env = { PATH: process.env.PATH!, ...deployment.env, SLUICE_HTTP_PORT: String(port) };
  const child = spawn('bash', ['-c', script, process.execPath], {
    cwd: project,
    env: { ...env, FIFO: join(deployment.folder, 'fifo'), SLUICE_LOG_LEVEL: 'trace', SLUICE_EMF: '1' },
  });
  let stderr = '';
  child.stderr.on('data', data => {
    stderr += data;
  });
  const ended = once(child, 'close');
  cleanUp(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const isUp = async (path: string) =>
    (await fetch(`http://127.0.0.1:${port}${path}`).catch(() => undefined))?.status === 200;
  return {
    child,
    stderr: () => stderr,
    /** Checks that it starts, flushes an update, answers, and stops cleanly. */
    async works() {
      await until(() => isUp('/readyz'), 'readiness');
      const line = '{"counter":"views","key":"k"}\n';
      expect(await deployment.sluice(['ingest', '-'], {}, line)).toMatchObject({ code: 0 });
      const rows = () => deployment.database.query('SELECT value FROM sluice_counters');
      await until(async () => (await rows()).length === 1, 'the update in MySQL');
      expect(await isUp('/healthz')).toBe(true);
      child.kill('SIGTERM');
      expect((await ended)[0]).toBe(0);
    },
  };
}

describe('a worker', () => {
  it('goes on while its stdout is a full pipe that nobody reads', async () => {
    const fill = 'mkfifo "$FIFO"; exec 7<>"$FIFO"; head -c 65536 /dev/zero >&7;';
    const worker = await openWorker('>&7', fill);
    await worker.works();
  });

  it('goes on after its reader has gone, and reports it', async () => {
    const worker = await openWorker('');
    worker.child.stdout.destroy();
    await worker.works();
    expect(worker.stderr()).toMatch(/^sluice: LOG_FAILED: stdout cannot be written \(EPIPE\)/m);
  });

  it('goes on while the disk of its log is full, and reports it', async () => {
    const worker = await openWorker('> /dev/full');
    await worker.works();
    expect(worker.stderr()).toMatch(/^sluice: LOG_FAILED: stdout cannot be written \(ENOSPC\)/m);
  });
});

it('lines that do not fit into memory are dropped, counted and reported', async () => {
  const program = `
    import { LogStream } from './src/shared/log-stream.ts';
    const stream = new LogStream('stdout');
    for (let n = 0; n < 3000; n++) stream.write(JSON.stringify({ n, text: 'x'.repeat(1000) }) + '\\n');
    console.error(stream.dropped);
    process.stdin.once('data', async () => {
      await stream.flushed(60_000);
      stream.write('{"n":"last"}\\n');
      await stream.flushed(60_000);
      process.exit();
    });
  `;
  const child = spawn(process.execPath, [...TYPESCRIPT, '--input-type=module', '-e', program], {
    cwd: project,
  });
  const ended = once(child, 'close');
  cleanUp(() => child.kill('SIGKILL'));
  const dropped = Number(String((await once(child.stderr, 'data'))[0]));
  expect(dropped).toBeGreaterThan(1000);
  let text = '';
  child.stdout.on('data', data => {
    text += data;
  });
  child.stdin.write('read\n');
  await ended;
  const lines = text
    .trim()
    .split('\n')
    .map(line => JSON.parse(line));
  expect(lines).toHaveLength(3000 - dropped + 2);
  expect(lines.at(-2)).toMatchObject({ lines: dropped, msg: expect.stringContaining('dropped') });
  expect(lines.at(-1)).toEqual({ n: 'last' });
});

it('a command whose output cannot be written fails with a message', async () => {
  const full = start(
    'bash',
    ['-c', '"$0" dist-test/cli/main.js plan --help > /dev/full', process.execPath],
    {},
  );
  expect(await full.ended).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^sluice: OUTPUT_FAILED: stdout cannot be written \(ENOSPC\)/m),
  });
});
