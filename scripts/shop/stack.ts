/** Servers and processes of the shop. Closing it ends and removes everything that opening it began. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSettings } from '../../src/shared/config/settings.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { migrate } from '../../src/shared/mysql/migrate.ts';
import { makeFolder, undoAll } from '../demo/run-folder.ts';
import type { Screen } from '../demo/screen.ts';
import { createDatabase, serverVersions } from '../demo/territory.ts';
import { type Deployment, ownEnvironment, SluiceProcess } from '../load/processes.ts';
import { freePort, startMysql, startRedis } from '../servers.ts';
import type { ShopOptions } from './options.ts';

const runs = fileURLToPath(new URL('../../.demo/', import.meta.url));
const shop = fileURLToPath(new URL('../../examples/shop/', import.meta.url));
/** The cache's Redis is small, so that it evicts within an hour of traffic. */
const EVICTS = ['--maxmemory', '128mb', '--maxmemory-policy', 'allkeys-lru', '--save', ''];
const WORKERS = 2;
const APIS = 2;

export interface Stack {
  readonly api: readonly string[];
  readonly console: string;
  readonly folder: string;
  readonly adminKey: string;
  /** For commands of another terminal. */
  readonly env: NodeJS.ProcessEnv;
  close(): Promise<void>;
}

export async function openStack(options: ShopOptions, screen: Screen): Promise<Stack> {
  const folder = makeFolder(runs);
  const undo: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
  try {
    const deployment = await startServers(folder, undo, screen);
    const processes = new Processes(deployment, folder, undo);
    await fill(processes, options, screen);
    const [consoleUrl, ...api] = await startAll(processes, screen);
    const { adminKey, env } = processes;
    return { api, console: consoleUrl!, folder, adminKey, env, close: () => undoAll(undo) };
  } catch (error) {
    await undoAll(undo).catch(() => {});
    throw error;
  }
}

/** Runs the shop's benchmark on servers of its own; what it prints goes to this terminal. */
export async function runBenchmark({ products }: ShopOptions, screen: Screen): Promise<void> {
  const folder = makeFolder(runs);
  const undo: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
  try {
    const deployment = await startServers(folder, undo, screen);
    const { env } = new Processes(deployment, folder, undo);
    const child = spawn(process.execPath, ['benchmark/main.ts'], {
      cwd: shop,
      env: { ...env, PRODUCTS: String(products) },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const [code] = await once(child, 'exit');
    if (code !== 0) throw new Error(`the benchmark ended with ${code}`);
  } finally {
    await undoAll(undo);
  }
}

interface ShopDeployment extends Deployment {
  readonly cacheRedisUrl: string;
}

async function startServers(
  folder: string,
  undo: (() => unknown)[],
  screen: Screen,
): Promise<ShopDeployment> {
  const starting = [
    startRedis({ flavour: 'path', directory: join(folder, 'redis') }),
    startRedis({ flavour: 'path', directory: join(folder, 'cache-redis'), args: EVICTS }),
    startMysql({ flavour: 'path', directory: join(folder, 'mysql') }),
  ] as const;
  undo.push(() => Promise.all(starting.map(server => server.then(one => one.stop()).catch(() => {}))));
  const [redis, cacheRedis, mysql] = await Promise.all(starting);
  const mysqlUrl = `${mysql.url}/shop`;
  await createDatabase(mysqlUrl);
  const database = new Database({ url: mysqlUrl }, { ...parseSettings(), connections: 2 });
  try {
    const versions = await serverVersions(redis.url, database);
    screen.step(`started ${versions}, and a second Redis for the cache`);
    await migrate(database, parseSettings().partitions);
  } finally {
    await database.close();
  }
  const config = join(shop, 'sluice.config.json');
  return { redisUrl: redis.url, cacheRedisUrl: cacheRedis.url, mysqlUrl, namespace: 'sluice', config };
}

/** Programs of the shop and of Sluice, each with a log of its own. */
class Processes {
  readonly adminKey = randomBytes(12).toString('hex');
  readonly env: NodeJS.ProcessEnv;
  readonly #deployment: ShopDeployment;
  readonly #folder: string;
  readonly #undo: (() => unknown)[];

  constructor(deployment: ShopDeployment, folder: string, undo: (() => unknown)[]) {
    this.#deployment = deployment;
    this.#folder = folder;
    this.#undo = undo;
    this.env = ownEnvironment(deployment, {
      CACHE_REDIS_URL: deployment.cacheRedisUrl,
      ADMIN_KEY: this.adminKey,
      SESSION_SECRET: randomBytes(24).toString('hex'),
    });
  }

  /** A program of the shop that runs until it is stopped. */
  shop(program: string, log: string, says: string, env: NodeJS.ProcessEnv = {}): Promise<SluiceProcess> {
    return this.#keep(this.#start(program, log, says, env));
  }

  /** Runs a program of the shop to its end. */
  async run(program: string, env: NodeJS.ProcessEnv = {}): Promise<void> {
    const running = await this.#start(program, program, '', env);
    const code = await running.exitCode();
    if (code !== 0)
      throw new Error(
        `the shop's ${program} ended with ${code}; it said:\n${running.output.said.slice(-3000)}`,
      );
  }

  #start(program: string, log: string, says: string, env: NodeJS.ProcessEnv): Promise<SluiceProcess> {
    return SluiceProcess.startProgram({
      name: `the shop's ${program}`,
      args: [`src/${program}.ts`],
      folder: shop,
      env: { ...this.env, ...env },
      logFile: join(this.#folder, `${log}.log`),
      says,
    });
  }

  sluice(command: 'worker' | 'console', log: string, settings = {}): Promise<SluiceProcess> {
    return this.#keep(
      SluiceProcess.start({
        command,
        deployment: this.#deployment,
        logFile: join(this.#folder, `${log}.log`),
        settings,
      }),
    );
  }

  /** Registered before it is awaited, so that the failure of another one does not leave it running. */
  #keep(starting: Promise<SluiceProcess>): Promise<SluiceProcess> {
    this.#undo.push(() => starting.then(running => running.stop()).catch(() => {}));
    return starting;
  }
}

async function fill(processes: Processes, { users, products }: ShopOptions, screen: Screen): Promise<void> {
  await processes.run('migrate');
  await processes.run('seed', { USERS: String(users), PRODUCTS: String(products) });
  const grouped = (value: number) => value.toLocaleString('en-US');
  screen.step(`made the tables, ${grouped(products)} products and ${grouped(users)} users`);
}

/** @returns the address of the console, then those of the API */
async function startAll(processes: Processes, screen: Screen): Promise<string[]> {
  const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
  const outside = await freePort();
  const outsideUrl = `http://127.0.0.1:${outside}`;
  await Promise.all([
    ...numbers(WORKERS).map(number => processes.sluice('worker', `worker-${number}`)),
    processes.shop('outside/stub', 'outside', 'listening', { PORT: String(outside) }),
    processes.shop('jobs', 'jobs', 'jobs started', { METRICS_PORT: String(await freePort()) }),
  ]);
  screen.step('two workers of Sluice, the process of the jobs, and an outside API to call');
  const ports = await apiPorts();
  const [shown] = await Promise.all([
    processes.sluice('console', 'console', { SLUICE_CONSOLE_PORT: '0' }),
    ...ports.map(async (port, index) =>
      processes.shop('main', `api-${index + 1}`, 'Server listening', {
        PORT: String(port),
        METRICS_PORT: String(await freePort()),
        OUTSIDE_URL: outsideUrl,
      }),
    ),
  ]);
  screen.step('two processes of the API, and the console, which only shows');
  return [/"url":"([^"]+)"/.exec(shown.output.said)![1]!, ...ports.map(port => `http://127.0.0.1:${port}`)];
}

/** Port 3000 and those behind it, unless somebody else has them. */
async function apiPorts(): Promise<number[]> {
  const ports: number[] = [];
  for (let number = 0; number < APIS; number++) ports.push(await freePort(3000 + number));
  return ports;
}
