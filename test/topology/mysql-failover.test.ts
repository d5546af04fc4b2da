// A list of hosts in MYSQL_URL, with the documented rights: Sluice uses the host that takes writes, and moves
// to another one within five seconds once that takes writes.

import { join } from 'node:path';
import { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import type { DatabaseCluster, RunningServer } from '../../scripts/servers.ts';
import {
  asRoot,
  hostList,
  startGalera,
  startGroupReplication,
  startRedis,
  waitFor,
} from '../../scripts/servers.ts';
import { createProducer } from '../../src/producer/producer.ts';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { parseSettings } from '../../src/shared/config/settings.ts';
import { createLog } from '../../src/shared/log.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { migrate } from '../../src/shared/mysql/migrate.ts';
import { Aligner } from '../../src/shared/partition/align.ts';
import { connectRedis, openRedis } from '../../src/shared/redis/connections.ts';
import { Keys } from '../../src/shared/redis/keys.ts';
import { checkSchema } from '../../src/shared/start-checks.ts';
import { Worker } from '../../src/worker/worker.ts';
import { cleanUp } from '../support/cleanup.ts';
import { readRights } from '../support/rights.ts';
import { temporaryFolder } from '../support/servers.ts';

const partitions = 4;
const settings = parseSettings({ partitions, flushIntervalMs: 50 });
const definitions = { counters: { views: {} } } as const;
const limits = { ...settings, connections: 2 };
/** Counts from when another host takes writes, on a quiet machine. */
const promisedMs = 5000;
const namespace = 'sluice';
const start = { 'Group Replication': startGroupReplication, Galera: startGalera };

async function open(kind: keyof typeof start) {
  const folder = await temporaryFolder();
  const [redis, cluster] = await Promise.all([
    startRedis({ flavour: 'redis8', directory: join(folder, 'redis') }),
    start[kind]({ directory: join(folder, 'mysql') }),
  ]);
  cleanUp(() => redis.discard());
  cleanUp(() => cluster.discard());
  const urlOf = (hosts: string) => `mysql://sluice:secret@${hosts}/app`;
  await asRoot(await cluster.primary(), async ask => {
    await ask('CREATE DATABASE app');
    await ask("CREATE USER 'sluice'@'%' IDENTIFIED BY 'secret'");
    for (const grant of readRights(namespace, 'app').mysql) await ask(grant);
  });
  const root = new Database({ url: `mysql://root@${hostList(cluster)}/app` }, limits);
  await migrate(root, partitions);
  await root.close();
  return { redis: redis.url, cluster, urlOf, url: urlOf(hostList(cluster)) };
}

async function startWorker(redis: string, mysql: string): Promise<string[]> {
  const said: string[] = [];
  const log = createLog('warn', 'stderr');
  const note = (...words: unknown[]) => void said.push(JSON.stringify(words));
  log.warn = note;
  log.error = note;
  const worker = await Worker.start({
    redis: { url: redis },
    mysql: { url: mysql },
    definitions: parseDefinitions(definitions),
    namespace,
    settings,
    claimDurability: 'memory',
    log,
  });
  cleanUp(() => worker.stop());
  return said;
}

async function startProducer(redis: string, mysql: string) {
  const sluice = await createProducer({ redis, mysql, definitions, settings, namespace });
  cleanUp(() => sluice.close());
  let acknowledged = 0;
  /** The first time, before anything fails, shows how busy this machine is. */
  let calmMs: number | undefined;
  /** Sends updates to every partition; resolves with the codes of those that did not reach the database. */
  const push = async (): Promise<string[]> => {
    const updates = Array.from({ length: 32 }, (_, i) => ({ counter: 'views' as const, key: `k${i}` }));
    const began = performance.now();
    const timeoutMs = calmMs === undefined ? 30_000 : promisedMs + 5 * calmMs;
    const results = await sluice.apply(updates);
    acknowledged += results.filter(result => result.ok).length;
    const outcomes = results.map(result =>
      result.ok
        ? result.persisted({ timeoutMs }).then(
            () => [],
            error => [error.code],
          )
        : [result.error.code],
    );
    const codes = (await Promise.all(outcomes)).flat();
    calmMs ??= performance.now() - began;
    return codes;
  };
  return { push, acknowledged: () => acknowledged };
}

async function sum(member: RunningServer): Promise<number> {
  const [row] = await asRoot(member, ask => ask('SELECT SUM(value) AS total FROM app.sluice_counters'));
  return Number(row!.total);
}

/** Resolves once a member other than `from` takes writes. */
async function takenOver(cluster: DatabaseCluster, from: RunningServer): Promise<RunningServer> {
  let next = from;
  await waitFor('failover', 60_000, async () => {
    next = await cluster.primary();
    if (next === from) return false;
    await asRoot(next, ask =>
      ask('UPDATE app.sluice_partitions SET updates = updates WHERE partition_id = 0'),
    );
    return true;
  });
  return next;
}

/** Code of the error with which this server refuses to align partition 0. */
async function alignmentAt(redisUrl: string, mysqlUrl: string): Promise<string> {
  const [redis, database] = [openRedis({ url: redisUrl }, () => {}), new Database({ url: mysqlUrl }, limits)];
  try {
    await connectRedis(redis, redisUrl);
    const keys = new Keys(namespace, partitions);
    keys.deployment = await checkSchema(database, partitions, namespace);
    const aligner = new Aligner(redis, database, keys, createLog('silent', 'stderr'));
    return await aligner.align(0).catch(error => error.code);
  } finally {
    redis.disconnect();
    await database.close();
  }
}

describe('Group Replication', () => {
  it('loses nothing while its primary is cut off from the others', { timeout: 240_000 }, async () => {
    const { redis, cluster, url, urlOf } = await open('Group Replication');
    const said = await startWorker(redis, url);
    const { push, acknowledged } = await startProducer(redis, url);
    expect(await push()).toEqual([]);
    const old = await cluster.primary();
    await cluster.cut(old);
    const next = await takenOver(cluster, old);
    // The old primary still answers reads, and claims not to be read-only.
    const [row] = await asRoot(old, ask => ask('SELECT @@GLOBAL.super_read_only AS ro'));
    expect(Number(row!.ro)).toBe(0);
    expect(await push()).toEqual([]);
    expect(await sum(next)).toBe(acknowledged());
    expect(said.join()).toContain(`"to":"127.0.0.1:${next.port}"`);
    expect(said.join()).not.toContain('DATABASE_WENT_BACK');
    // Redis is ahead. Only the new primary may say that the data went back; the others may just be behind.
    const states = new Redis(redis);
    cleanUp(() => states.disconnect());
    await states.hset(new Keys(namespace, partitions).state(0), 'sequence', 1_000_000);
    const replica = cluster.members.find(member => member !== old && member !== next)!;
    const seenBy = (member: RunningServer) => alignmentAt(redis, urlOf(`127.0.0.1:${member.port}`));
    expect(await seenBy(next)).toBe('DATABASE_WENT_BACK');
    // A worker's statement may hang in the old primary's commit and hold the lock, so either error may come.
    expect(['NOT_WRITABLE', 'ER_LOCK_WAIT_TIMEOUT']).toContain(await seenBy(old));
    expect(await seenBy(replica)).toBe('ER_OPTION_PREVENTS_STATEMENT');
    await cluster.heal(old);
  });
});

describe('Galera', () => {
  it('counts exactly with workers on two members, and when one falls silent', {
    timeout: 240_000,
  }, async () => {
    const { redis, cluster, url, urlOf } = await open('Galera');
    const [first, second, third] = cluster.members;
    const said = [
      await startWorker(redis, urlOf(`127.0.0.1:${first!.port}`)),
      await startWorker(redis, urlOf(`127.0.0.1:${second!.port}`)),
      await startWorker(redis, url),
    ];
    const { push, acknowledged } = await startProducer(redis, url);
    for (let round = 0; round < 30; round++) expect(await push()).toEqual([]);
    expect(await sum(third!)).toBe(acknowledged());
    expect(said.join()).not.toContain('DATABASE_WENT_BACK');
    first!.kill('SIGSTOP');
    const next = await takenOver(cluster, first!);
    expect(await push()).toEqual([]);
    expect(await sum(next)).toBe(acknowledged());
    expect(said.join()).not.toContain('DATABASE_WENT_BACK');
    first!.kill('SIGCONT');
  });
});
