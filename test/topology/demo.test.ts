// `npm run demo` as a process: its result, its exit codes, and that it leaves nothing behind. Every process
// of a run inherits a tag in its environment, by which leftovers are found.

import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { parseOptions, UsageError } from '../../scripts/demo/options.ts';
import { cacheFolder } from '../../scripts/servers/binaries.ts';
import { type RunningServer, startMysql, startRedis } from '../../scripts/servers.ts';

const project = fileURLToPath(new URL('../../', import.meta.url));
const redisFolder = join(cacheFolder(), 'servers', 'redis7', 'bin');
const mysqlFolder = join(cacheFolder(), 'servers', 'mariadb', 'bin');

let directory: string;
let servers: [RunningServer, RunningServer];
let redis: Redis;
let mysql: Connection;
let given: string[];
let demos: Demo[];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-demo-test-'));
  servers = await Promise.all([
    startRedis({ flavour: 'redis8', directory: join(directory, 'redis') }),
    startMysql({ flavour: 'mysql97', directory: join(directory, 'mysql') }),
  ]);
  redis = new Redis(servers[0].url);
  mysql = await createConnection(servers[1].url);
  given = ['--redis', servers[0].url, '--mysql', servers[1].url];
});

afterAll(async () => {
  redis?.disconnect();
  mysql?.destroy();
  await Promise.all((servers ?? []).map(server => server.discard()));
  await rm(directory, { recursive: true, force: true });
});

beforeEach(() => {
  demos = [];
});

afterEach(async () => {
  for (const demo of demos) demo.child.kill('SIGKILL');
});

interface Demo {
  child: ChildProcess;
  stdout: string;
  stderr: string;
  tag: string;
  exit: Promise<number | null>;
}

function demo(args: string[], environment: NodeJS.ProcessEnv = {}): Demo {
  const tag = randomUUID();
  const child = spawn('npm', ['run', '--silent', 'demo', '--', ...args], {
    cwd: project,
    // A process group of its own, like a foreground job of a terminal: Ctrl-C reaches all of it.
    detached: true,
    // Nothing is measured, so processes may start in the cheapest way.
    env: { ...process.env, BENCH_TRIAL: '1', ...environment, DEMO_TEST_TAG: tag },
  });
  const exit = new Promise<number | null>(resolve => child.once('close', resolve));
  const running: Demo = { child, stdout: '', stderr: '', tag, exit };
  child.stdout.on('data', chunk => {
    running.stdout += chunk;
  });
  child.stderr.on('data', chunk => {
    running.stderr += chunk;
  });
  demos.push(running);
  return running;
}

/** Resolves once the demo has written this to stderr. */
async function said(running: Demo, what: RegExp): Promise<void> {
  await expect.poll(() => running.stderr, { timeout: 50_000, interval: 50 }).toMatch(what);
}

async function leftOver(tag: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir('/proc')).filter(name => /^\d+$/.test(name))) {
    try {
      if (!(await readFile(`/proc/${pid}/environ`, 'utf8')).includes(`DEMO_TEST_TAG=${tag}`)) continue;
      found.push((await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' '));
    } catch {
      // The process has ended meanwhile.
    }
  }
  return found;
}

const databases = async () =>
  (await mysql.query<RowDataPacket[]>("SHOW DATABASES LIKE 'sluice\\_demo'"))[0].length;
const lastLine = (running: Demo) => JSON.parse(running.stdout.trimEnd().split('\n').at(-1)!);

/** The unpacked mariadbd as a system's one: callers pass --no-defaults, which its wrapper passes already. */
async function systemLikeFolder(): Promise<string> {
  const folder = join(directory, 'bin');
  await mkdir(folder, { recursive: true });
  const script = `#!/bin/sh\n[ "$1" != --no-defaults ] || shift\nexec "${join(mysqlFolder, 'mariadbd')}" "$@"\n`;
  await writeFile(join(folder, 'mariadbd'), script, { mode: 0o755 });
  return folder;
}

test('on given servers, every update arrives and nothing is left behind', async () => {
  const running = demo(['--updates', '20000', '--json', ...given]);
  expect(await running.exit, running.stderr).toBe(0);
  expect(running.stderr).toMatch(/killed worker 1/);
  const result = lastLine(running);
  expect(result).toMatchObject({
    acknowledged: 20_000,
    persisted: 20_000,
    difference: 0,
    updatesTaken: 20_000,
  });
  expect(result.updatesPerSecond).toBeGreaterThan(0);
  expect(result.flushLagSeconds.p99).toBeGreaterThanOrEqual(result.flushLagSeconds.p50);
  expect(result.rowsWritten).toBeGreaterThan(2000);
  expect(result.rowsWritten).toBeLessThan(25_000);
  expect(await leftOver(running.tag)).toEqual([]);
  expect(await redis.dbsize()).toBe(0);
  expect(await databases()).toBe(0);
});

test('on servers of its own, the demo prints a table for people', async () => {
  const path = [await systemLikeFolder(), redisFolder, mysqlFolder, process.env.PATH].join(delimiter);
  const running = demo(['--updates', '5000'], { PATH: path, SLUICE_SETUP_NO_SERVERS: '1' });
  expect(await running.exit, running.stderr).toBe(0);
  expect(running.stdout).toMatch(/^ {2}acknowledged +5,000$/m);
  expect(running.stdout).toMatch(/^ {2}in MySQL +5,000$/m);
  expect(running.stdout).toMatch(/^ {2}difference +0 /m);
  expect(await leftOver(running.tag)).toEqual([]);
});

test('a namespace that is not empty is refused and left alone', async () => {
  await redis.set('{sluice-demo:3}:state', 'mine');
  const running = demo(['--updates', '1000', ...given]);
  expect(await running.exit).toBe(2);
  expect(running.stderr).toMatch(/holds keys of the namespace sluice-demo/);
  expect(await redis.get('{sluice-demo:3}:state')).toBe('mine');
  await redis.flushall();
  expect(await databases()).toBe(0);
});

test('a database that is not empty is refused and left alone', async () => {
  await mysql.query('CREATE DATABASE sluice_demo');
  await mysql.query('CREATE TABLE sluice_demo.mine (n INT)');
  const running = demo(['--updates', '1000', ...given]);
  expect(await running.exit).toBe(2);
  expect(running.stderr).toMatch(/database sluice_demo .* has tables/);
  await mysql.query('SELECT n FROM sluice_demo.mine');
  await mysql.query('DROP DATABASE sluice_demo');
});

test('Ctrl-C stops everything and cleans up', async () => {
  const running = demo(['--updates', '100000000', ...given]);
  await said(running, /of 100,000,000/);
  process.kill(-running.child.pid!, 'SIGINT');
  expect(await running.exit).toBe(130);
  expect(await leftOver(running.tag)).toEqual([]);
  expect(await redis.dbsize()).toBe(0);
  expect(await databases()).toBe(0);
});

test('--keep leaves the demo running until a signal, with the outcome as its exit code', async () => {
  const running = demo(['--updates', '1000', '--keep', ...given]);
  await said(running, /Everything keeps running/);
  expect(await redis.exists('{sluice-demo}:format')).toBe(1);
  process.kill(-running.child.pid!, 'SIGTERM');
  await running.exit;
  expect(await leftOver(running.tag)).toEqual([]);
  // Everything that --keep keeps is still there.
  expect(await databases()).toBe(1);
  await mysql.query('DROP DATABASE sluice_demo');
  await redis.flushall();
});

test('wrong usage is refused with exit code 2', async () => {
  const running = demo(['--updates', '0'], { SLUICE_SETUP_NO_SERVERS: '1' });
  expect(await running.exit).toBe(2);
  expect(running.stderr).toMatch(/^demo: --updates takes a whole number/);
});

test.each([
  [['--updates', '1e3'], /--updates takes a whole number/],
  [['--redis', 'redis://127.0.0.1:1'], /belong together/],
  [['--redis', 'localhost', '--mysql', 'mysql://root@127.0.0.1'], /--redis takes a URL/],
  [['--udpates', '5'], /--udpates/],
])('%j is wrong usage', (args, message) => {
  const parse = () => parseOptions(args);
  expect(parse).toThrow(UsageError);
  expect(parse).toThrow(message);
});

test('servers that cannot be reached are named', async () => {
  const running = demo(['--redis', 'redis://127.0.0.1:1', '--mysql', 'mysql://root@127.0.0.1:1']);
  expect(await running.exit).toBe(3);
  expect(running.stderr).toMatch(/127\.0\.0\.1:1/);
});
