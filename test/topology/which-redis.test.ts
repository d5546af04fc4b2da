// A process accepts only the right Redis: its URL's database number, a primary, its own deployment's data.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { Redis } from 'ioredis';
import { beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, startMysql, startRedis, startRedisCluster } from '../../scripts/servers.ts';
import { createProducer } from '../../src/producer/producer.ts';
import { openFailed } from '../../src/replay/index.ts';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { parseSettings } from '../../src/shared/config/settings.ts';
import { createLog } from '../../src/shared/log.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { migrate } from '../../src/shared/mysql/migrate.ts';
import { Barrier } from '../../src/shared/redis/barrier.ts';
import { openRedis } from '../../src/shared/redis/connections.ts';
import { Keys } from '../../src/shared/redis/keys.ts';
import { Primaries } from '../../src/shared/redis/primaries.ts';
import { Worker } from '../../src/worker/worker.ts';
import { cleanUp } from '../support/cleanup.ts';
import { sluice as command } from '../support/command.ts';
import { definitions, until } from '../support/engine.ts';
import { temporaryFolder } from '../support/servers.ts';

const settings = parseSettings({
  partitions: 2,
  flushIntervalMs: 50,
  callTimeoutMs: 1000,
  sweepIntervalMs: 100,
  stuckAfterMs: 300,
});
const limits = { connections: 3, idleTransactionSeconds: 60, lockWaitSeconds: 5 };
const silent = createLog('silent', 'stderr');

let mysql: RunningServer;
let redis: RunningServer;
let other: RunningServer;
let databases = 0;

beforeAll(async () => {
  const folder = await temporaryFolder();
  const start = (name: string, args: string[] = []) =>
    startRedis({ flavour: 'redis8', directory: join(folder, name), args });
  [mysql, redis, other] = await Promise.all([
    startMysql({ flavour: 'mysql97', directory: join(folder, 'mysql') }),
    start('redis'),
    start('other', ['--databases', '1']),
  ]);
  cleanUp(() => Promise.all([mysql.discard(), redis.discard(), other.discard()]));
});

/** A migrated database, one per deployment. */
async function openDatabase(): Promise<Database & { url: string }> {
  const name = `app${++databases}`;
  const admin = new Database({ url: `${mysql.url.replace(/\/$/, '')}/mysql` }, limits);
  await admin.query(`CREATE DATABASE ${name}`);
  await admin.close();
  const url = `${mysql.url.replace(/\/$/, '')}/${name}`;
  const database = new Database({ url }, limits);
  await migrate(database, settings.partitions);
  cleanUp(() => database.close());
  return Object.assign(database, { url });
}

interface Deployment {
  redis: string;
  mysql: string;
}

async function produce({ redis: url, mysql: at }: Deployment, namespace: string, log = silent) {
  const producer = await createProducer({ redis: url, mysql: at, definitions, namespace, settings, log });
  cleanUp(() => producer.close());
  return producer;
}

async function work({ redis: url, mysql: at }: Deployment, namespace: string, log = silent) {
  const parts = { definitions: parseDefinitions(definitions), namespace, settings, log };
  const worker = await Worker.start({ redis: { url }, mysql: { url: at }, ...parts });
  cleanUp(() => worker.stop());
  return worker;
}

/** Tries every way to start, one after another, and returns the errors. */
async function refusals(at: Deployment, namespace: string): Promise<{ code: string; message: string }[]> {
  const found: { code: string; message: string }[] = [];
  for (const start of [
    () => produce(at, namespace),
    () => work(at, namespace),
    () => openFailed({ ...at, definitions, namespace, settings }),
  ]) {
    const started = performance.now();
    found.push(
      await start().then(
        () => ({ code: 'none', message: 'started' }),
        error => error,
      ),
    );
    expect(performance.now() - started).toBeLessThan(10_000);
  }
  return found;
}

const undefinedAnswer = () => undefined;

/** Sum of all counters in a database. */
async function stored(database: Database): Promise<number> {
  const [row] = await database.query('SELECT SUM(value) AS total FROM sluice_counters');
  return Number(row!.total);
}

function connect(url: string): Redis {
  const client = new Redis(url);
  cleanUp(() => client.disconnect());
  return client;
}

describe('a refused database number', () => {
  it('fails every start, and nothing is written to database 0', async () => {
    const [production, staging] = [await openDatabase(), await openDatabase()];
    const sluice = await produce({ redis: other.url, mysql: production.url }, 'numbers');
    await sluice.counter('views').increment('k', 500);
    const admin = connect(other.url);
    const before = await admin.call('INFO', 'commandstats');
    for (const { code, message } of await refusals(
      { redis: `${other.url}/1`, mysql: staging.url },
      'numbers',
    )) {
      expect(code).toBe('REDIS_UNSUITABLE');
      expect(message).toContain(`Redis at 127.0.0.1:${other.port} refused this user database number 1`);
      expect(message).toContain('DB index is out of range');
    }
    const scriptsRun = (text: unknown) => /cmdstat_evalsha:calls=(\d+)/.exec(String(text))?.[1];
    expect(scriptsRun(await admin.call('INFO', 'commandstats'))).toBe(scriptsRun(before));
    expect(await stored(staging)).toBe(0);
    await work({ redis: other.url, mysql: production.url }, 'numbers');
    await until(async () => (await stored(production)) === 500, 'the points of production');
  });

  it('stops commands on every copy of a connection, such as those of BullMQ and of the barrier', async () => {
    const client = openRedis({ url: `${other.url}/1` }, () => {}) as Redis;
    const copy = client.duplicate({ connectionName: 'a' });
    copy.on('error', () => {});
    cleanUp(() => {
      client.disconnect();
      copy.disconnect();
    });
    for (const connection of [client, copy]) void connection.set('stray', 1).catch(() => {});
    const lane = new Barrier(new Primaries(client, new Keys('x', 1))).run(0, 'replica', 500, on =>
      on.set('stray', 1),
    );
    await expect(lane).rejects.toThrow();
    const admin = connect(other.url);
    // Each connection has retried a few times by then.
    const attempts = async () =>
      Number(/cmdstat_select:calls=(\d+)/.exec(String(await admin.call('INFO', 'commandstats')))?.[1]);
    const first = await attempts();
    await until(async () => (await attempts()) >= first + 6, 'more attempts');
    expect(await admin.get('stray')).toBe(null);
  });

  it('stops a process that reconnects, until the server allows it again', async () => {
    const database = await openDatabase();
    const admin = connect(redis.url);
    await admin.call('ACL', 'SETUSER', 'app', 'on', '>pw', '~*', '&*', '+@all');
    const at = { redis: `redis://app:pw@127.0.0.1:${redis.port}/3`, mysql: database.url };
    const sluice = await produce(at, 'again');
    await work(at, 'again');
    await (await sluice.counter('views').increment('k')).persisted();
    await admin.call('ACL', 'SETUSER', 'app', '-select');
    await admin.call('CLIENT', 'KILL', 'USER', 'app');
    // A call that was in flight when the connection was cut has an unknown outcome.
    let answer: { code: string; message: string } | undefined;
    await until(async () => {
      answer = await sluice
        .counter('views')
        .increment('k', 1, { id: 'x' })
        .then(undefinedAnswer, error => error);
      return answer?.code !== 'UNKNOWN_OUTCOME';
    }, 'a certain answer');
    expect(answer).toMatchObject({
      code: 'REDIS_UNSUITABLE',
      message: expect.stringMatching(/database number 3 \("NOPERM/),
    });
    for (const { code } of await refusals(at, 'again')) expect(code).toBe('REDIS_UNSUITABLE');
    expect(await admin.keys('*again*')).toEqual([]);
    await admin.call('ACL', 'SETUSER', 'app', '+select');
    await until(
      () =>
        sluice
          .counter('views')
          .increment('k')
          .then(
            () => true,
            () => false,
          ),
      'the number',
    );
    await until(async () => (await stored(database)) >= 2, 'the flush');
  });

  it('is what a Cluster answers to a URL of a single server', async () => {
    const directory = join(await temporaryFolder(), 'cluster');
    const cluster = await startRedisCluster({ flavour: 'redis8', directory, masters: 1 });
    cleanUp(() => cluster.discard());
    const database = await openDatabase();
    const url = `redis://127.0.0.1:${cluster.nodes[0]!.port}/1`;
    for (const { code, message } of await refusals({ redis: url, mysql: database.url }, 'c'))
      expect([code, message]).toEqual(['REDIS_UNSUITABLE', expect.stringContaining('database number 1')]);
  });
});

describe('a replica', () => {
  async function openReplica(): Promise<RunningServer> {
    const replica = await startRedis({
      flavour: 'redis8',
      directory: join(await temporaryFolder(), 'replica'),
      args: ['--replicaof', `127.0.0.1 ${redis.port}`],
    });
    cleanUp(() => replica.stop());
    return replica;
  }

  it('is refused at start because of its role', async () => {
    const database = await openDatabase();
    const replica = await openReplica();
    for (const { code, message } of await refusals({ redis: replica.url, mysql: database.url }, 'r')) {
      expect(code).toBe('REDIS_UNSUITABLE');
      expect(message).toContain(
        `Redis at 127.0.0.1:${replica.port} is a replica of 127.0.0.1:${redis.port} and takes no writes`,
      );
    }
    const env = { REDIS_URL: replica.url, MYSQL_URL: database.url, SLUICE_PARTITIONS: '2' };
    const config = join(await temporaryFolder(), 'sluice.config.json');
    await writeFile(config, JSON.stringify(definitions));
    const { code, stderr } = await command(['status'], { ...env, SLUICE_CONFIG: config });
    expect([code, stderr]).toEqual([2, expect.stringMatching(/REDIS_UNSUITABLE: .*role:slave/)]);
  });

  it('that was a primary is named in errors, asked with backoff, and used again once it is the primary', async () => {
    const database = await openDatabase();
    const folder = await temporaryFolder();
    const own = await startRedis({ flavour: 'redis8', directory: join(folder, 'own') });
    cleanUp(() => own.stop());
    const lines: { msg: string; err?: { message?: string } }[] = [];
    const log = createLog(
      'warn',
      new Writable({
        write(chunk, _, done) {
          lines.push(JSON.parse(String(chunk)));
          done();
        },
      }),
    );
    const at = { redis: own.url, mysql: database.url };
    const sluice = await produce(at, 'demoted', log);
    await work(at, 'demoted', log);
    await (await sluice.counter('views').increment('k')).persisted();
    const admin = connect(own.url);
    await admin.replicaof('127.0.0.1', redis.port);
    const connections = async () =>
      Number(/total_connections_received:(\d+)/.exec(await admin.info('stats'))![1]);
    await expect(sluice.counter('views').increment('k', 1, { id: 'a' })).rejects.toMatchObject({
      retryable: expect.any(Boolean),
    });
    const [before, started] = [await connections(), performance.now()];
    await expect(sluice.counter('views').increment('k', 1, { id: 'b' })).rejects.toMatchObject({
      code: 'REDIS_UNSUITABLE',
      message: expect.stringMatching(/is a replica of .*READONLY/),
    });
    await new Promise(resolve => setTimeout(resolve, 2000));
    // Five connections of producer, worker and BullMQ, each at most five times a second while it backs off.
    expect((await connections()) - before).toBeLessThan(((performance.now() - started) / 1000) * 25);
    const about = lines.filter(({ err }) => /is a replica/.test(err?.message ?? ''));
    expect(about.length).toBeGreaterThanOrEqual(2);
    expect(lines.length).toBeLessThan(30);
    await admin.replicaof('NO', 'ONE');
    await until(
      () =>
        sluice
          .counter('views')
          .increment('k', 1, { id: 'c' })
          .then(
            () => true,
            () => false,
          ),
      'writes',
    );
  });
});

describe('data of another deployment', () => {
  it('is refused at start, and one of two first starts wins', async () => {
    const [one, two] = [await openDatabase(), await openDatabase()];
    const starts = await Promise.allSettled(
      [one, two].map(database => produce({ redis: redis.url, mysql: database.url }, 'first')),
    );
    const [winner, loser] = starts[0]!.status === 'fulfilled' ? [one, two] : [two, one];
    expect(starts.map(start => start.status).sort()).toEqual(['fulfilled', 'rejected']);
    for (const { code, message } of await refusals({ redis: redis.url, mysql: loser.url }, 'first')) {
      expect(code).toBe('REDIS_UNSUITABLE');
      expect(message).toMatch(/namespace first belongs to another deployment .* "Another deployment"/);
    }
    await work({ redis: redis.url, mysql: winner.url }, 'first');
    // docs/operating.md says how to use a database that was created again.
    const admin = connect(redis.url);
    const anew = await openDatabase();
    const name = await admin.hget('{first}:format', 'deployment');
    await anew.query("UPDATE sluice_meta SET value = ? WHERE name = 'deployment'", [name]);
    await produce({ redis: redis.url, mysql: anew.url }, 'first');
    // Another database number has no data yet; an emptied Redis is recorded again for whoever comes first.
    await produce({ redis: `${redis.url}/5`, mysql: loser.url }, 'first');
    const fifth = connect(`${redis.url}/5`);
    await fifth.flushdb();
    await produce({ redis: `${redis.url}/5`, mysql: loser.url }, 'first');
    expect(await fifth.hget('{first}:format', 'deployment')).toMatch(/^[\w-]{16}$/);
  });

  it('is left alone by running processes that are led to it', async () => {
    const [mine, theirs] = [await openDatabase(), await openDatabase()];
    const mineAt = { redis: redis.url, mysql: mine.url };
    const theirAt = { redis: `${redis.url}/6`, mysql: theirs.url };
    // SWAPDB leads the existing connections of both deployments to the other one's data.
    const ours = await produce(mineAt, 'moved');
    await ours.counter('views').increment('k', 3);
    const worker = await work(mineAt, 'moved');
    await until(async () => (await stored(mine)) === 3, 'the first flush');
    const their = await produce(theirAt, 'moved');
    await their.counter('views').increment('k', 500);
    await their.counter('views').get('k');
    const admin = connect(redis.url);
    await admin.swapdb(0, 6);
    await expect(ours.counter('views').increment('k')).rejects.toMatchObject({
      code: 'REDIS_UNSUITABLE',
      message: expect.stringContaining('FOREIGN'),
    });
    await expect(ours.counter('views').get('k')).rejects.toMatchObject({ code: 'REDIS_UNSUITABLE' });
    await expect(ours.points('loyalty').history('a')).rejects.toMatchObject({ code: 'REDIS_UNSUITABLE' });
    await until(async () => !(await worker.readiness()).ready, 'the worker to be not ready');
    // Long enough for a wrong flush.
    await new Promise(resolve => setTimeout(resolve, 1500));
    expect(await stored(mine)).toBe(3);
    await admin.swapdb(0, 6);
    await until(
      () =>
        ours
          .counter('views')
          .increment('k')
          .then(
            () => true,
            () => false,
          ),
      'the way back',
    );
    await until(async () => (await stored(mine)) === 4, 'the next flush');
    await work(theirAt, 'moved');
    await until(async () => (await stored(theirs)) === 500, 'what is theirs');
  });

  it('needs no write for a read-only command, and no free memory once it is recorded', async () => {
    const database = await openDatabase();
    const full = await startRedis({
      flavour: 'redis8',
      directory: join(await temporaryFolder(), 'full'),
      args: ['--maxmemory', '1mb'],
    });
    cleanUp(() => full.stop());
    const admin = connect(full.url);
    const env = {
      REDIS_URL: full.url,
      MYSQL_URL: database.url,
      SLUICE_PARTITIONS: '2',
      SLUICE_CONFIG: join(await temporaryFolder(), 'sluice.config.json'),
    };
    await writeFile(env.SLUICE_CONFIG, JSON.stringify(definitions));
    const { code, stderr } = await command(['status'], env);
    expect([code, stderr]).toEqual([0, '']);
    expect(await admin.exists('{sluice}:format')).toBe(0);
    const at = { redis: full.url, mysql: database.url };
    await expect(produce(at, 'sluice')).rejects.toMatchObject({
      code: 'REDIS_OUT_OF_MEMORY',
      retryable: true,
    });
    await admin.config('SET', 'maxmemory', '0');
    await produce(at, 'sluice');
    await admin.config('SET', 'maxmemory', '1mb');
    await work(at, 'sluice');
  });
});

describe('a server that hides or refuses commands', () => {
  it.each(['EVALSHA', 'EVAL', 'INFO'])('%s makes a start fail', async hidden => {
    const database = await openDatabase();
    const server = await startRedis({
      flavour: 'redis8',
      directory: join(await temporaryFolder(), 'hidden'),
      // startRedis asks INFO until the server is ready, so INFO cannot be renamed.
      args: hidden === 'INFO' ? [] : ['--rename-command', hidden, ''],
    });
    cleanUp(() => server.stop());
    if (hidden === 'INFO') {
      const admin = connect(server.url);
      await admin.call('ACL', 'SETUSER', 'default', '-info');
    }
    for (const { code, message } of await refusals({ redis: server.url, mysql: database.url }, 'hidden')) {
      expect(code).toBe(hidden === 'INFO' ? 'ACCESS_DENIED' : 'REDIS_UNSUITABLE');
      expect(message).toContain(hidden);
    }
  });

  it('fails an update with the name of its reply', async () => {
    const database = await openDatabase();
    const sluice = await produce({ redis: redis.url, mysql: database.url }, 'named');
    const admin = connect(redis.url);
    await admin.config('SET', 'min-replicas-to-write', '2');
    await expect(sluice.counter('views').increment('k')).rejects.toMatchObject({
      code: 'REDIS_UNAVAILABLE',
      message: expect.stringMatching(/NOREPLICAS to EVALSHA: .*min-replicas-to-write/),
    });
    await admin.config('SET', 'min-replicas-to-write', '0');
    await sluice.counter('views').increment('k');
  });
});
