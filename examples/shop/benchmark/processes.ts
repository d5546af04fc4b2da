/** The processes that the benchmark measures. All of them end with it. */
import { type ChildProcess, execFile, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { promisify } from 'node:util';
import type { Report, Task } from './reader.ts';

type Environment = Record<string, string>;

const folder = new URL('../', import.meta.url);
const SLUICE = 'node_modules/sluice/dist/cli/main.js';
export const ADMIN_KEY = 'key-of-the-benchmark';
const environment: NodeJS.ProcessEnv = { ...process.env, SLUICE_CONFIG: 'sluice.config.json', ADMIN_KEY };

const children = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

function follow(child: ChildProcess): ChildProcess {
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

/** Runs a program to its end. */
export async function run(...args: string[]): Promise<void> {
  await promisify(execFile)(process.execPath, args, { cwd: folder, env: environment });
}

export const migrateSluice = () => run(SLUICE, 'migrate');

/** A worker of Sluice, which builds the ranks. */
export function startWorker(): void {
  const env = { ...environment, SLUICE_HTTP_PORT: '0' };
  follow(spawn(process.execPath, [SLUICE, 'worker'], { cwd: folder, env, stdio: 'ignore' }));
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  await new Promise(resolve => server.close(resolve));
  return port;
}

export type Api = Awaited<ReturnType<typeof startApi>>;

/** A process of the API, once it answers. */
export async function startApi(more: Environment = {}) {
  const [port, metricsPort] = [await freePort(), await freePort()];
  const env = { ...environment, PORT: String(port), METRICS_PORT: String(metricsPort), ...more };
  const began = performance.now();
  const child = follow(
    spawn(process.execPath, ['src/main.ts'], { cwd: folder, env, stdio: ['ignore', 'ignore', 'inherit'] }),
  );
  const base = `http://127.0.0.1:${port}`;
  const answers = () =>
    fetch(`${base}/health`).then(
      response => response.ok,
      () => false,
    );
  while (!(await answers())) {
    if (child.exitCode !== null) throw new Error('The API ended at its start; its last lines say why.');
    await new Promise(resolve => setTimeout(resolve, 20));
  }
  return {
    port,
    startMs: performance.now() - began,
    /** With the key of the operators. */
    async send(method: string, path: string, body: object): Promise<void> {
      const headers = { 'content-type': 'application/json', 'x-admin-key': ADMIN_KEY };
      const response = await fetch(base + path, { method, headers, body: JSON.stringify(body) });
      if (!response.ok)
        throw new Error(`${method} ${path} answered ${response.status}: ${await response.text()}`);
    },
    async numbers(): Promise<{ hits: number; reads: number; queries: number }> {
      const stats = (await (await fetch(`${base}/cache/stats`)).json()) as Record<string, number>;
      const metrics = await (await fetch(`http://127.0.0.1:${metricsPort}/`)).text();
      const queries = Number(/^shop_catalogue_queries_total (\d+)$/m.exec(metrics)?.[1]);
      return {
        hits: stats.hits!,
        reads: stats.hits! + stats.misses! + stats.stale! + stats.failed!,
        queries,
      };
    },
    async stop(): Promise<void> {
      child.kill('SIGTERM');
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}

/** Processes that read without HTTP, all at the same time. */
export async function withReaders<T>(
  count: number,
  more: Environment,
  use: (runAll: (task: Task) => Promise<Report[]>) => Promise<T>,
): Promise<T> {
  const readers = Array.from({ length: count }, () =>
    follow(fork(new URL('reader.ts', import.meta.url), { cwd: folder, env: { ...environment, ...more } })),
  );
  await Promise.all(readers.map(reader => once(reader, 'message')));
  const runAll = (task: Task) =>
    Promise.all(
      readers.map(async reader => {
        reader.send(task);
        return (await once(reader, 'message'))[0] as Report;
      }),
    );
  try {
    return await use(runAll);
  } finally {
    for (const reader of readers) reader.send('end');
    await Promise.all(readers.map(reader => once(reader, 'exit')));
  }
}
