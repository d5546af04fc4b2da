/** The `sluice` command: as users run it, as a process with nothing else in its environment, or in this process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Redis } from 'ioredis';
import { createProducer } from '../../src/producer/producer.ts';
import type { DefinitionsInput } from '../../src/shared/config/definitions.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { migrate } from '../../src/shared/mysql/migrate.ts';
import { openRedis } from '../../src/shared/redis/connections.ts';
import { Keys } from '../../src/shared/redis/keys.ts';
import { openAccess } from './access.ts';
import { cleanUp } from './cleanup.ts';
import { isFree, sluiceHere } from './command-here.ts';
import type { Servers } from './engine.ts';
import { temporaryFolder } from './servers.ts';

export type Environment = Record<string, string>;

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly ended: Promise<Outcome>;
}

const project = fileURLToPath(new URL('../../', import.meta.url));
/** A test's processes end with the process of its file, however the test ends. */
const children = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/** The only variables that a program inherits from the tests. */
const inherited = Object.fromEntries(
  ['PATH', 'TMPDIR', 'NODE_COMPILE_CACHE'].flatMap(name =>
    process.env[name] ? [[name, process.env[name]]] : [],
  ),
);

export function start(file: string, args: string[], env: Environment, cwd = project): Running {
  const child = spawn(file, args, { cwd, env: { ...inherited, ...env } });
  child.once('close', () => children.delete(child));
  children.add(child);
  const output: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] };
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].on('data', data => output[stream].push(data));
  // The writer gets an error if a command ends early and closes its input.
  child.stdin.on('error', () => {});
  const text = (stream: 'stdout' | 'stderr') => () => Buffer.concat(output[stream]).toString();
  const ended = new Promise<Outcome>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', code => resolve({ code, stdout: text('stdout')(), stderr: text('stderr')() }));
  });
  return { child, stdout: text('stdout'), stderr: text('stderr'), ended };
}

/** Vitest kills its processes without running their exit handlers, so each test ends its own programs. */
function endWithTest(running: Running): Running {
  cleanUp(async () => {
    running.child.kill('SIGKILL');
    await running.ended;
  });
  return running;
}

/** Starts `sluice ARGS` as build.ts compiled it, without a shell or npm in between. */
export function startSluice(args: string[], env: Environment): Running {
  return start(process.execPath, ['dist-test/cli/main.js', ...args], env);
}

/** Runs `sluice ARGS` to its end. */
export function sluice(args: string[], env: Environment, input: string | Buffer = ''): Promise<Outcome> {
  const running = startSluice(args, env);
  running.child.stdin!.end(input);
  return running.ended;
}

/** These run until a signal, and their log is on stdout. */
const SERVING = ['worker', 'serve', 'console'];

/** The cheapest way: in this process unless the command needs one of its own. */
export function sluiceCheaply(
  args: string[],
  env: Environment,
  input: string | Buffer = '',
): Promise<Outcome> {
  const needsProcess = SERVING.includes(args[0] ?? '') || args.includes('-') || input !== '';
  return isFree() && !needsProcess ? sluiceHere(args, env) : sluice(args, env, input);
}

/** Parses each line as JSON; throws if one is not JSON. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line));
}

/** Resolves with the worker's port once it has logged that it has started. */
export async function workerPort(worker: Running): Promise<number> {
  return (await startedLine(worker, '"worker started"')).port as number;
}

/** The line of the log, as JSON, in which a process says that it has started. */
export async function startedLine(running: Running, message: string): Promise<Record<string, unknown>> {
  const find = (text: string) => text.split('\n').find(line => line.includes(message));
  const line = await new Promise<string>((resolve, reject) => {
    const look = () => {
      const found = find(running.stdout());
      if (found?.endsWith('}')) resolve(found);
    };
    running.child.stdout!.on('data', look);
    running.ended.then(end =>
      reject(new Error(`the process ended with ${end.code}: ${end.stdout}${end.stderr}`)),
    );
    look();
  });
  return JSON.parse(line);
}

async function createKey(env: Environment): Promise<string> {
  return (await sluiceCheaply(['keys', 'create', 'test', ...ALL_SCOPES], env)).stdout.trim();
}

const PARTITIONS = 4;
const ALL_SCOPES = ['--scope', 'read', '--scope', 'write', '--scope', 'operate'];

interface DeploymentOptions {
  migrated?: boolean;
  /** Instead of the project's. */
  servers?: Servers;
}

/**
 * An empty database, a namespace and a definitions file, with the command for them; dropped after the test.
 */
export async function openDeployment(
  definitions: DefinitionsInput,
  { migrated = true, servers }: DeploymentOptions = {},
) {
  const name = `c${randomBytes(6).toString('hex')}`;
  const limits = { connections: 2, idleTransactionSeconds: 60, lockWaitSeconds: 10 };
  const access = await openAccess(name, servers);
  const { redisUrl, mysqlUrl } = access.user;
  const database = new Database({ url: access.admin.mysqlUrl }, limits);
  if (migrated) {
    const migrator = new Database({ url: access.migratorUrl }, limits);
    await migrate(migrator, PARTITIONS);
    await migrator.close();
  }
  const folder = await temporaryFolder();
  const config = join(folder, 'sluice.config.json');
  writeFileSync(config, JSON.stringify(definitions));
  const redis = openRedis({ url: access.admin.redisUrl }, () => {}) as Redis;
  cleanUp(async () => {
    redis.disconnect();
    await database.close();
    await access.drop();
  });
  /** `migrate` needs a user with more rights. */
  const migrating = ([command]: string[]): Environment =>
    command === 'migrate' ? { MYSQL_URL: access.migratorUrl } : {};
  const env: Environment = {
    REDIS_URL: redisUrl,
    MYSQL_URL: mysqlUrl,
    SLUICE_CONFIG: config,
    SLUICE_NAMESPACE: name,
    SLUICE_PARTITIONS: String(PARTITIONS),
    SLUICE_HTTP_PORT: '0',
  };
  const openProducer = () =>
    createProducer({
      redis: redisUrl,
      mysql: mysqlUrl,
      definitions,
      namespace: name,
      settings: { partitions: PARTITIONS },
    });
  return {
    name,
    env,
    folder,
    /** A producer in this process, which the test closes. */
    producer: openProducer,
    /** Connections of the administrator, for what the test does itself. */
    database,
    redis,
    access,
    keys: new Keys(name, PARTITIONS),
    file(fileName: string, content: string | Buffer): string {
      const path = join(folder, fileName);
      writeFileSync(path, content);
      return path;
    },
    /** Reads a counter through a producer, which makes it live. */
    async read(counter: string, key: string): Promise<number> {
      const producer = await openProducer();
      try {
        return await producer.counter(counter).get(key);
      } finally {
        await producer.close();
      }
    },
    /** A process if the test has servers of its own, since it may stop them, or if the command needs one. */
    sluice: (args: string[], more: Environment = {}, input: string | Buffer = '') =>
      (servers ? sluice : sluiceCheaply)(args, { ...env, ...migrating(args), ...more }, input),
    /** Always as a process. */
    process: (args: string[], more: Environment = {}) =>
      sluice(args, { ...env, ...migrating(args), ...more }),
    start: (args: string[], more: Environment = {}) => endWithTest(startSluice(args, { ...env, ...more })),
    /** Starts a worker process and waits until it is up. */
    async worker(more: Environment = {}) {
      const worker = endWithTest(startSluice(['worker'], { ...env, ...more }));
      return { ...worker, port: await workerPort(worker) };
    },
    /**
     * Starts `sluice serve` on free ports, with a key for everything, and waits until it takes requests.
     * @param known the key of another process, instead of a new one
     */
    async serve(more: Environment = {}, known?: string) {
      const key = known ?? (await createKey({ ...env, ...more }));
      const api = endWithTest(startSluice(['serve'], { ...env, SLUICE_API_PORT: '0', ...more }));
      const { port, healthPort } = await startedLine(api, '"API started"');
      return { ...api, key, base: `http://127.0.0.1:${port}`, healthBase: `http://127.0.0.1:${healthPort}` };
    },
  };
}
