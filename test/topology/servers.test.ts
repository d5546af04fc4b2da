// The servers of the topology tests: clusters form, TLS is enforced, and restarted servers keep their data.

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cluster, Redis } from 'ioredis';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  isCopying,
  startMysql,
  startRedis,
  startRedisCluster,
  startRedisSentinel,
  startRedisTls,
} from '../../scripts/servers.ts';

let directory: string;
let cleanups: (() => unknown)[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-topology-'));
  cleanups = [];
});

afterEach(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
  await rm(directory, { recursive: true, force: true });
});

function discardAfterwards<T extends { discard(): Promise<void> }>(server: T): T {
  cleanups.push(() => server.discard());
  return server;
}

function disconnectAfterwards<T extends Redis | Cluster>(client: T): T {
  cleanups.push(() => client.disconnect());
  return client;
}

test('a cluster forms and every master takes writes', async () => {
  const cluster = discardAfterwards(await startRedisCluster({ flavour: 'redis8', directory }));
  const seeds = cluster.nodes.map(node => ({ host: '127.0.0.1', port: node.port }));
  const client = disconnectAfterwards(new Cluster(seeds));
  await Promise.all(Array.from({ length: 60 }, (_, index) => client.set(`key${index}`, index)));
  const sizes = await Promise.all(
    cluster.nodes.map(node => disconnectAfterwards(new Redis(node.url)).dbsize()),
  );
  expect(cluster.url).toMatch(/^redis\+cluster:\/\/127\.0\.0\.1:\d+,127\.0\.0\.1:\d+,127\.0\.0\.1:\d+$/);
  expect(sizes.every(size => size > 0)).toBe(true);
  expect(sizes.reduce((sum, size) => sum + size)).toBe(60);
});

test('in a cluster, a replica takes over from a killed master', async () => {
  const options = { flavour: 'redis8', directory, replicas: 1, nodeTimeoutMs: 1000 } as const;
  const cluster = discardAfterwards(await startRedisCluster(options));
  expect(cluster.nodes).toHaveLength(6);
  const seeds = cluster.nodes.map(node => ({ host: '127.0.0.1', port: node.port }));
  const client = disconnectAfterwards(new Cluster(seeds));
  await Promise.all(Array.from({ length: 60 }, (_, index) => client.set(`key${index}`, index)));
  const [victim, , , replica] = cluster.nodes.map(node => disconnectAfterwards(new Redis(node.url)));
  victim!.on('error', () => {});
  const written = await victim!.dbsize();
  await expect.poll(() => replica!.dbsize(), { timeout: 20_000 }).toBe(written);
  cluster.nodes[0]!.kill('SIGKILL');
  await expect.poll(() => replica!.info('replication'), { timeout: 20_000 }).toContain('role:master');
  await cluster.nodes[0]!.restart();
  await expect.poll(() => isCopying(cluster.nodes[0]!), { timeout: 20_000 }).toBe(true);
  const values = Array.from({ length: 60 }, (_, index) => client.get(`key${index}`));
  expect(await Promise.all(values)).toEqual(Array.from({ length: 60 }, (_, index) => String(index)));
});

test('Sentinels promote a replica when the primary is killed, and the old primary comes back as a replica', async () => {
  const redis = discardAfterwards(await startRedisSentinel({ flavour: 'redis8', directory }));
  const sentinels = redis.sentinels.map(({ port }) => ({ host: '127.0.0.1', port }));
  const client = disconnectAfterwards(new Redis({ sentinels, name: 'primary' }));
  client.on('error', () => {});
  await client.set('points', 42);
  expect(await client.wait(2, 5000)).toBe(2);
  const [primary] = redis.nodes;
  expect(await redis.primaryPort()).toBe(primary!.port);
  primary!.kill('SIGKILL');
  await expect.poll(redis.primaryPort, { timeout: 20_000 }).not.toBe(primary!.port);
  expect(await client.get('points')).toBe('42');
  await primary!.restart();
  await expect.poll(() => isCopying(primary!), { timeout: 20_000 }).toBe(true);
});

test('Redis with TLS accepts clients with its CA only', async () => {
  const server = discardAfterwards(
    await startRedisTls({ flavour: 'redis8', directory, password: 'se:cret@1' }),
  );
  const ca = await readFile(server.caFile, 'utf8');
  const trusting = disconnectAfterwards(new Redis(server.url, { tls: { ca } }));
  expect(await trusting.ping()).toBe('PONG');
  const distrusting = disconnectAfterwards(
    new Redis(server.url, { retryStrategy: null, lazyConnect: true, tls: {} }),
  );
  const refusal = new Promise<Error>(resolve => distrusting.once('error', resolve));
  await expect(distrusting.connect()).rejects.toThrow();
  expect((await refusal).message).toMatch(/self.signed certificate|unable to verify/);
});

test('MySQL with TLS accepts clients with its CA only', async () => {
  const server = discardAfterwards(await startMysql({ flavour: 'mysql97', directory, tls: true }));
  const ca = await readFile(server.caFile as string, 'utf8');
  const mysql = await createConnection({ uri: server.url, ssl: { ca } });
  cleanups.push(() => mysql.destroy());
  const [rows] = await mysql.query<RowDataPacket[]>("SHOW STATUS LIKE 'Ssl_cipher'");
  expect(rows[0]?.Value).toMatch(/TLS/);
  await expect(createConnection(server.url)).rejects.toMatchObject({ code: 'ER_SECURE_TRANSPORT_REQUIRED' });
});

test('Redis keeps its data and its port over a restart', async () => {
  const server = discardAfterwards(await startRedis({ flavour: 'redis8', directory }));
  const client = disconnectAfterwards(new Redis(server.url));
  await client.set('points', 42);
  const { pid, port } = server;
  await server.restart();
  expect(await client.get('points')).toBe('42');
  expect(server.pid).not.toBe(pid);
  expect(server.port).toBe(port);
});

test('MySQL keeps committed data when it is killed and restarted', async () => {
  const server = discardAfterwards(await startMysql({ flavour: 'mysql97', directory }));
  const before = await createConnection(server.url);
  before.on('error', () => {});
  await before.query('CREATE DATABASE kept');
  await before.query('CREATE TABLE kept.points (n BIGINT NOT NULL)');
  await before.query('INSERT INTO kept.points VALUES (42)');
  server.kill('SIGKILL');
  await server.restart();
  const after = await createConnection(server.url);
  cleanups.push(() => after.destroy());
  const [rows] = await after.query<RowDataPacket[]>('SELECT n FROM kept.points');
  expect(rows).toEqual([{ n: 42 }]);
});

test('servers that start at the same time get different ports', async () => {
  const servers = await Promise.all(
    ['a', 'b', 'c'].map(name => startRedis({ flavour: 'redis8', directory: join(directory, name) })),
  );
  servers.forEach(discardAfterwards);
  expect(new Set(servers.map(server => server.port)).size).toBe(3);
});

test('a server that cannot start reports why', async () => {
  const hopeless = startRedis({ flavour: 'redis8', directory, args: ['--no-such-setting', '1'] });
  await expect(hopeless).rejects.toThrow(/no-such-setting/);
});
