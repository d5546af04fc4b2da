// Processes that start while their servers are away, and SIGTERM from the first moment on.

import { createConnection } from 'mysql2/promise';
import { beforeAll, describe, expect, it } from 'vitest';
import type { RunningServer } from '../../scripts/servers.ts';
import { createProducer } from '../../src/producer/producer.ts';
import { type Environment, jsonLines, openDeployment, type Running, start } from '../support/command.ts';
import { type Servers, until } from '../support/engine.ts';
import { ownServers } from '../support/servers.ts';

const definitions = { counters: { page_views: {} } } as const;
const view = '{"counter":"page_views","key":"/"}\n';
const NOWHERE = { REDIS_URL: 'redis://127.0.0.1:1', MYSQL_URL: 'mysql://root@127.0.0.1:1/app' };

let redis: RunningServer;
let mysql: RunningServer;
let servers: Servers;

beforeAll(async () => {
  ({ redis, mysql, servers } = await ownServers());
});

/** Resolves with the port once the worker listens. */
async function portOf(worker: Running): Promise<number> {
  let port = 0;
  await until(() => {
    const line = worker.stdout().match(/^.*"worker listens.*}$/m)?.[0];
    if (line) port = JSON.parse(line).port;
    return port > 0;
  }, 'the worker to listen');
  return port;
}

const waits = (worker: Running) => worker.stdout().includes('the start waits for it');

describe('a worker whose servers are away', () => {
  it('waits, healthy but not ready, says why, and starts once they are there', async () => {
    const deployment = await openDeployment(definitions, { servers });
    expect((await deployment.sluice(['ingest', '-'], {}, view)).code).toBe(0);
    await Promise.all([redis.stop(), mysql.stop()]);
    const worker = deployment.start(['worker']);
    const port = await portOf(worker);
    await until(() => waits(worker), 'the worker to wait');
    const get = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`);
      return { status: response.status, text: await response.text() };
    };
    expect((await get('/healthz')).status).toBe(200);
    const ready = await get('/readyz');
    expect(ready.status).toBe(503);
    expect(JSON.parse(ready.text)).toEqual({
      ready: false,
      redis: 'disconnected',
      database: 'disconnected',
      flushing: 'starting',
      lagSeconds: 0,
      reason: expect.stringMatching(/^(REDIS|DATABASE)_UNAVAILABLE: .*127\.0\.0\.1/),
    });
    expect(await get('/metrics')).toMatchObject({ status: 200, text: expect.stringContaining('sluice_') });

    await redis.restart();
    await until(
      async () => (await get('/readyz')).text.includes('DATABASE_UNAVAILABLE'),
      'only MySQL to lack',
    );
    await mysql.restart();
    await until(() => worker.stdout().includes('"worker started"'), 'the worker to start');
    await until(async () => (await get('/readyz')).status === 200, 'the worker to be ready');
    expect((await deployment.sluice(['drain'])).code).toBe(0);
    const [row] = await deployment.database.query('SELECT value FROM sluice_counters');
    expect(String(row?.value)).toBe('1');
    worker.child.kill('SIGTERM');
    const end = await worker.ended;
    expect(end.code).toBe(0);
    // The reason is logged a few times, not at each attempt.
    const said = jsonLines(end.stdout).filter(({ level }) => level === 'warn');
    expect(said.length).toBeLessThan(8);
  }, 120_000);

  it.each(['SIGTERM', 'SIGINT'] as const)('ends at once on %s, with exit code 0', async signal => {
    const deployment = await openDeployment(definitions, { servers });
    const worker = deployment.start(['worker'], NOWHERE);
    await until(() => waits(worker), 'the worker to wait');
    const told = performance.now();
    worker.child.kill(signal);
    const { code, stdout } = await worker.ended;
    // By itself it would wait for five minutes.
    expect(performance.now() - told).toBeLessThan(30_000);
    expect(code).toBe(0);
    expect(stdout).toContain('worker stopped before it started to flush');
  });

  it('fails after its time limit with the code of the missing server', async () => {
    const deployment = await openDeployment(definitions, { servers });
    const short = { SLUICE_START_WAIT_MS: '1' };
    const { REDIS_URL, MYSQL_URL } = NOWHERE;
    const noRedis = await deployment.sluice(['worker'], { ...short, REDIS_URL });
    expect(noRedis.code).toBe(3);
    expect(noRedis.stderr).toMatch(/^sluice: REDIS_UNAVAILABLE: Redis at 127\.0\.0\.1:1 .*refused/m);
    const noMysql = await deployment.sluice(['worker'], { ...short, MYSQL_URL });
    expect(noMysql.code).toBe(3);
    expect(noMysql.stderr).toMatch(/^sluice: DATABASE_UNAVAILABLE: .*127\.0\.0\.1:1 .*refused/m);
  });

  it('fails at once on an error that waiting cannot cure, whatever else is away', async () => {
    const bare = await openDeployment(definitions, { migrated: false, servers });
    const { REDIS_URL } = NOWHERE;
    const wrong = bare.env.MYSQL_URL!.replace('root@', 'root:wrong@');
    for (const [code, env] of [
      ['NOT_MIGRATED', {}],
      ['ACCESS_DENIED', { MYSQL_URL: wrong }],
      ['DATABASE_UNSUITABLE', { MYSQL_URL: `${bare.env.MYSQL_URL}_` }],
    ] satisfies [string, Environment][]) {
      const end = await bare.sluice(['worker'], { REDIS_URL, ...env });
      expect(end.code).toBe(2);
      expect(end.stderr).toMatch(new RegExp(`^sluice: ${code}: `, 'm'));
    }
  });
});

describe('a command', () => {
  it.each([['status'], ['ingest', '-'], ['failed', 'list'], ['migrate']])(
    '%s also waits if it is told to',
    async (...args) => {
      const deployment = await openDeployment(definitions, { servers });
      await mysql.stop();
      const command = deployment.start(args, { SLUICE_START_WAIT_MS: '60000', SLUICE_LOG_LEVEL: 'warn' });
      command.child.stdin!.end(args[0] === 'ingest' ? view : '');
      await until(() => command.stderr().includes('the start waits for it'), 'the command to wait');
      await mysql.restart();
      expect(await command.ended).toMatchObject({ code: 0 });
    },
  );

  /** A user without the right to the connection that MySQL reserves for administrators. */
  async function openCrowded() {
    const deployment = await openDeployment(definitions, { servers });
    const name = deployment.name.slice(0, 12);
    await deployment.database.query(`CREATE USER ${name}@'%'`);
    await deployment.database.query(`GRANT ALL ON ${deployment.name}.* TO ${name}@'%'`);
    const url = deployment.env.MYSQL_URL!.replace('root@', `${name}@`);
    const [row] = await deployment.database.query('SELECT @@max_connections AS most');
    const end = async () => {
      await deployment.database.query(`SET GLOBAL max_connections = ${Number(row!.most)}`);
      await deployment.database.query(`DROP USER ${name}@'%'`);
    };
    return {
      deployment,
      url,
      end,
      limit: (most: number) => deployment.database.query(`SET GLOBAL max_connections = ${most}`),
    };
  }

  it('more producers than MySQL has connections all start', async () => {
    const { deployment, url, end, limit } = await openCrowded();
    await limit(4);
    const { REDIS_URL: redis, SLUICE_NAMESPACE: namespace } = deployment.env as {
      REDIS_URL: string;
      SLUICE_NAMESPACE: string;
    };
    const settings = { partitions: 4, startWaitMs: 10_000 };
    const options = { redis, mysql: url, definitions, namespace, settings };
    const producers = await Promise.all(Array.from({ length: 20 }, () => createProducer(options)));
    await end();
    for (const producer of producers) await producer.close();
  });

  it('waits for a MySQL with too many connections', async () => {
    const { deployment, url, end, limit } = await openCrowded();
    await limit(1);
    const holder = await createConnection(url).catch(() => undefined);
    const command = deployment.start(['status'], {
      MYSQL_URL: url,
      SLUICE_START_WAIT_MS: '60000',
      SLUICE_LOG_LEVEL: 'warn',
    });
    await until(() => command.stderr().includes('the start waits for it'), 'the command to wait');
    holder?.destroy();
    await limit(10);
    expect(await command.ended).toMatchObject({ code: 0 });
    await end();
  });
});

describe('SIGTERM in the first moment', () => {
  // Sends SIGTERM once a handler is installed, and prints how many of the program's files are loaded then.
  const preload = `
    import { registerHooks } from 'node:module';
    const loaded = [];
    registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context); } });
    process.on('newListener', name => {
      if (name !== 'SIGTERM' || process.argv[1]?.includes('main') !== true) return;
      console.error('loaded', loaded.filter(url => /\\/src\\/|node_modules\\/(?!tsx|esbuild)/.test(url)).length);
      setImmediate(() => process.kill(process.pid, 'SIGTERM'));
    });`;

  it.each([
    [['worker'], 0],
    [['status'], 143],
    [['migrate'], 143],
  ])('%j ends with %i', async (args, code) => {
    const deployment = await openDeployment(definitions, { servers });
    const file = deployment.file('preload.mjs', preload);
    const node = ['--import', 'tsx', '--import', `file://${file}`, 'src/cli/main.ts', ...args];
    const end = await start(process.execPath, node, { ...deployment.env, ...NOWHERE }).ended;
    expect(end.code).toBe(code);
    // At most the entry and the module that handles signals.
    expect(Number(/loaded (\d+)/.exec(end.stderr)?.[1])).toBeLessThanOrEqual(2);
  });
});
