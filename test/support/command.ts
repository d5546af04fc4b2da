/** The `sluice` command as users run it: processes of their own, with an environment that holds nothing else. */
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
/** Nothing that a test started outlives the process of its file, however the test ended. */
const children = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/** What a program takes over from the tests, and nothing else. */
const inherited = Object.fromEntries(
  ['PATH', 'TMPDIR', 'NODE_COMPILE_CACHE'].flatMap(name =>
    process.env[name] ? [[name, process.env[name]]] : [],
  ),
);

/** Starts a program. */
export function start(file: string, args: string[], env: Environment, cwd = project): Running {
  const child = spawn(file, args, { cwd, env: { ...inherited, ...env } });
  child.once('close', () => children.delete(child));
  children.add(child);
  const output: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] };
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].on('data', data => output[stream].push(data));
  // A command that ends early closes its input under the writer.
  child.stdin.on('error', () => {});
  const text = (stream: 'stdout' | 'stderr') => () => Buffer.concat(output[stream]).toString();
  const ended = new Promise<Outcome>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', code => resolve({ code, stdout: text('stdout')(), stderr: text('stderr')() }));
  });
  return { child, stdout: text('stdout'), stderr: text('stderr'), ended };
}

/** Vitest ends its own processes without their exit handlers, so a program must not be left to those. */
function endWithTest(running: Running): Running {
  cleanUp(async () => {
    running.child.kill('SIGKILL');
    await running.ended;
  });
  return running;
}

/** `sluice ARGS`, without a shell and without npm between, as build.ts compiled it. */
export function startSluice(args: string[], env: Environment): Running {
  return start(process.execPath, ['dist-test/cli/main.js', ...args], env);
}

/** Runs `sluice ARGS` to its end. */
export function sluice(args: string[], env: Environment, input: string | Buffer = ''): Promise<Outcome> {
  const running = startSluice(args, env);
  running.child.stdin!.end(input);
  return running.ended;
}

/** The JSON objects among the lines; throws on a line that is none. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line));
}

/** Resolves once the worker has logged that it is up, with the port that it listens on. */
export async function workerPort(worker: Running): Promise<number> {
  const find = (text: string) => text.split('\n').find(line => line.includes('"worker started"'));
  const line = await new Promise<string>((resolve, reject) => {
    const look = () => {
      const found = find(worker.stdout());
      if (found?.endsWith('}')) resolve(found);
    };
    worker.child.stdout!.on('data', look);
    worker.ended.then(end =>
      reject(new Error(`the worker ended with ${end.code}: ${end.stdout}${end.stderr}`)),
    );
    look();
  });
  return JSON.parse(line).port;
}

const PARTITIONS = 4;

interface DeploymentOptions {
  migrated?: boolean;
  /** Other servers than the project's. */
  servers?: Servers;
}

/** An empty database and a namespace of the test's own, with a definitions file; dropped after it. */
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
  /** `migrate` is run by a user of its own. */
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
  return {
    name,
    env,
    folder,
    /** The administrator's connections, for what a test does by itself. */
    database,
    redis,
    access,
    keys: new Keys(name, PARTITIONS),
    file(fileName: string, content: string | Buffer): string {
      const path = join(folder, fileName);
      writeFileSync(path, content);
      return path;
    },
    /** A counter's value as a producer reads it, which makes it live. */
    async read(counter: string, key: string): Promise<number> {
      const settings = { partitions: PARTITIONS };
      const producer = await createProducer({
        redis: redisUrl,
        mysql: mysqlUrl,
        definitions,
        namespace: name,
        settings,
      });
      try {
        return await producer.counter(counter).get(key);
      } finally {
        await producer.close();
      }
    },
    sluice: (args: string[], more: Environment = {}, input: string | Buffer = '') =>
      sluice(args, { ...env, ...migrating(args), ...more }, input),
    start: (args: string[], more: Environment = {}) => endWithTest(startSluice(args, { ...env, ...more })),
    /** A worker process that is up. */
    async worker(more: Environment = {}) {
      const worker = endWithTest(startSluice(['worker'], { ...env, ...more }));
      return { ...worker, port: await workerPort(worker) };
    },
  };
}
