/** The example shop as its readers run it: processes, two Redis servers, MySQL, and HTTP calls. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inject } from 'vitest';
import { freePort, startRedis } from '../../scripts/servers.ts';
import { cleanUp } from './cleanup.ts';
import { type Environment, openDeployment, type Running, start } from './command.ts';
import { type Servers, until } from './engine.ts';
import { temporaryFolder } from './servers.ts';

export type Shop = Awaited<ReturnType<typeof openShop>>;
export type ShopProcess = Awaited<ReturnType<Shop['api']>>;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests compare it with what they expect.
  readonly body: any;
}

/** A cache's Redis of the test's own, which evicts. */
export async function cacheRedis() {
  const directory = await temporaryFolder();
  const args = ['--maxmemory', '64mb', '--maxmemory-policy', 'allkeys-lru', '--save', ''];
  const server = await startRedis({ flavour: 'redis8', directory, args });
  cleanUp(() => server.discard());
  return server;
}

/** Sends JSON and reads it. An absolute address reaches another process. */
export async function call(
  base: string,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(base + path, {
    method,
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    redirect: 'manual',
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json');
  return {
    status: response.status,
    headers: response.headers,
    body: text === '' ? undefined : isJson ? JSON.parse(text) : text,
  };
}

/** Says when all requests are on their way, then what was answered. */
const CALLERS = `
import { subscribe } from 'node:diagnostics_channel';
const [url, count] = process.argv.slice(1);
let sent = 0;
subscribe('undici:client:sendHeaders', () => ++sent === Number(count) && console.log('sent'));
const one = async () => {
  const response = await fetch(url);
  return { status: response.status, body: await response.json() };
};
console.log(JSON.stringify(await Promise.all(Array.from({ length: Number(count) }, one))));`;

/** So many calls at once, from a process of their own: some machines let no process have a thousand connections. */
export function callAtOnce(url: string, count: number) {
  const args = ['--input-type=module', '-e', CALLERS, url, String(count)];
  const running = start(process.execPath, args, {});
  const answers = async (): Promise<Pick<Answer, 'status' | 'body'>[]> => {
    const { code, stdout, stderr } = await running.ended;
    if (code !== 0) throw new Error(`the callers ended with ${code}: ${stderr}`);
    return JSON.parse(stdout.split('\n')[1]!);
  };
  return { answers, sent: () => until(() => running.stdout().startsWith('sent\n'), 'the calls to be sent') };
}

/**
 * A shop with a database and a namespace of its own, migrated and without data. Nothing runs yet.
 * @param servers of the test's own, if it stops them
 */
export async function openShop({ servers }: { servers?: Servers } = {}) {
  const folder = inject('shopFolder');
  const definitions = JSON.parse(await readFile(join(folder, 'sluice.config.json'), 'utf8'));
  const deployment = await openDeployment(definitions, servers ? { servers } : {});
  const cache = await cacheRedis();
  const env: Environment = {
    ...deployment.env,
    CACHE_REDIS_URL: cache.url,
    ADMIN_KEY: 'admin-key-of-the-test',
    SESSION_SECRET: 'a secret of the test that is long enough',
  };
  const begin = (program: string, more: Environment) => {
    const running = start(process.execPath, [`src/${program}.ts`], { ...env, ...more }, folder);
    cleanUp(async () => {
      running.child.kill('SIGKILL');
      await running.ended;
    });
    return running;
  };
  /** Runs a program of the shop to its end, for example `seed`. */
  const run = async (program: string, more: Environment = {}) => {
    const { code, stdout, stderr } = await begin(program, more).ended;
    if (code !== 0) throw new Error(`${program} ended with ${code}: ${stdout}${stderr}`);
  };
  /** Starts a process of the API, and resolves once it answers. */
  const api = async (more: Environment = {}) => {
    const [port, metricsPort] = [await freePort(), await freePort()];
    const running = begin('main', { PORT: String(port), METRICS_PORT: String(metricsPort), ...more });
    const base = `http://127.0.0.1:${port}`;
    await answering(running, `${base}/health`);
    return {
      ...running,
      base,
      call: (method: string, path: string, body?: unknown, headers?: Record<string, string>) =>
        call(base, method, path, body, headers),
      metrics: async () => (await fetch(`http://127.0.0.1:${metricsPort}/`)).text(),
    };
  };
  await run('migrate');
  return {
    ...deployment,
    env,
    cache,
    api,
    run,
    /** Starts a program of the shop that runs until a signal, for example `jobs`. */
    begin: (program: string, more: Environment = {}) => begin(program, more),
  };
}

/** A start is a second of one core, and a machine may be busy with ten of them. */
const START_MS = 90_000;

async function answering(running: Running, url: string): Promise<void> {
  let end: string | undefined;
  void running.ended.then(({ code, stdout, stderr }) => {
    end = `the process ended with ${code}: ${stdout}${stderr}`;
  });
  await until(
    async () => {
      if (end !== undefined) throw new Error(end);
      return fetch(url).then(
        () => true,
        () => false,
      );
    },
    'the shop to answer',
    START_MS,
  );
}
