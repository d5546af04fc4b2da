// Updates and claims that wait for a replica or the disk: what they wait for, and what happens without it.

import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startMysql, startRedis } from '../../scripts/servers.ts';
import { Barrier } from '../../src/shared/redis/barrier.ts';
import { countReplicas } from '../../src/shared/redis/durability.ts';
import { Primaries } from '../../src/shared/redis/primaries.ts';
import { cleanUp } from '../support/cleanup.ts';
import { openEngine, until } from '../support/engine.ts';
import { ownServers, temporaryFolder } from '../support/servers.ts';

/** A primary with one replica that can be stopped. */
async function openReplicated(settings = {}) {
  const folder = await temporaryFolder();
  const [primary, mysql] = await Promise.all([
    startRedis({ flavour: 'redis8', directory: join(folder, 'primary') }),
    startMysql({ flavour: 'mysql97', directory: join(folder, 'mysql') }),
  ]);
  const replica = await startRedis({
    flavour: 'redis8',
    directory: join(folder, 'replica'),
    args: ['--replicaof', '127.0.0.1', String(primary.port)],
  });
  cleanUp(async () => {
    replica.kill('SIGCONT');
    await Promise.all([replica.discard(), primary.discard(), mysql.discard()]);
  });
  const engine = await openEngine(
    { partitions: 2, callTimeoutMs: 1000, barrierTimeoutMs: 300, ...settings },
    { redisUrl: primary.url, mysqlUrl: mysql.url },
  );
  await until(async () => (await engine.redis.wait(1, 100)) === 1, 'the replica to follow');
  return { engine, primary, replica };
}

it('an update waits for the replica if its caller asks for that', async () => {
  const { engine, replica } = await openReplicated();
  const sluice = await engine.producer();
  const views = sluice.counter('views');
  expect((await views.increment('k', 1, { durability: 'replica' })).value).toBe(null);
  expect(await sluice.counter('views').get('k')).toBe(1);
  replica.kill('SIGSTOP');
  await expect(views.increment('k', 1, { id: 'a', durability: 'replica' })).rejects.toMatchObject({
    code: 'NOT_DURABLE',
    retryable: true,
  });
  // Other updates do not wait, and this one is applied all the same.
  expect((await views.increment('k')).value).toBe(3);
  const [result] = await sluice.apply([{ counter: 'views', key: 'k' }], { durability: 'replica' });
  expect(result).toMatchObject({ ok: false, error: { code: 'NOT_DURABLE' } });
  replica.kill('SIGCONT');
  await until(async () => (await engine.redis.wait(1, 100)) === 1, 'the replica to follow');
  expect(await views.increment('k', 1, { id: 'a', durability: 'replica' })).toMatchObject({
    duplicate: true,
  });
  expect(await views.get('k')).toBe(4);
});

it('updates of one producer keep their order, whatever each waits for', async () => {
  // Each of the forty is a call of its own, and half of them wait for the replica.
  const { engine } = await openReplicated({ callTimeoutMs: 30_000, barrierTimeoutMs: 10_000 });
  const sluice = await engine.producer();
  await sluice.points('loyalty').balance('a');
  const receipts = await Promise.all(
    Array.from({ length: 40 }, (_, n) =>
      sluice.points('loyalty').credit('a', 1, {
        id: `${n}`,
        durability: n % 2 === 0 ? 'replica' : 'memory',
      }),
    ),
  );
  expect(receipts.map(receipt => receipt.value)).toEqual(Array.from({ length: 40 }, (_, n) => n + 1));
});

it('a batch is not written before its claim is on the replica', async () => {
  const { engine, replica } = await openReplicated();
  const worker = await engine.worker({}, {}, { claimDurability: 'replica' });
  expect(await worker.metrics.registry.metrics()).toContain(
    'sluice_claim_durability{durability="replica"} 1',
  );
  const sluice = await engine.producer();
  await (await sluice.counter('views').increment('k')).persisted();
  replica.kill('SIGSTOP');
  const receipt = await sluice.counter('views').increment('k');
  const unconfirmed = async () => (await worker.metrics.claimsUnconfirmed.get()).values[0]?.value ?? 0;
  await until(async () => (await unconfirmed()) >= 3, 'claims that are not confirmed');
  expect(await engine.counterInMysql('views', 'k')).toBe(1);
  expect((await engine.inspector.partition(engine.keys.partitionOf('k')))!.inFlight).toBe(1);
  // Waiting is not a failure, so no attempt is used up.
  expect(await worker.metrics.registry.metrics()).toContain('sluice_queue_depth{state="failed"} 0');
  replica.kill('SIGCONT');
  await receipt.persisted();
  expect(await engine.counterInMysql('views', 'k')).toBe(2);
});

it('a worker waits for a replica by default, while there is one', async () => {
  const { engine, replica } = await openReplicated();
  const worker = await engine.worker();
  const durability = async () =>
    /sluice_claim_durability\{durability="(\w+)"\} 1/.exec(await worker.metrics.registry.metrics())?.[1];
  expect(await durability()).toBe('replica');
  await replica.stop();
  const sluice = await engine.producer();
  await (await sluice.counter('views').increment('k')).persisted();
  expect(await durability()).toBe('memory');
});

it('a durability that the server cannot provide is refused at start and at the call', async () => {
  const { servers } = await ownServers(['--appendonly', 'no']);
  const engine = await openEngine({}, servers);
  const sluice = await engine.producer();
  for (const durability of ['replica', 'fsync'] as const) {
    const refused = { code: 'REDIS_UNSUITABLE' };
    await expect(engine.producer({}, { durability })).rejects.toMatchObject(refused);
    await expect(engine.worker({}, {}, { claimDurability: durability })).rejects.toMatchObject(refused);
  }
  await expect(sluice.counter('views').increment('k', 1, { durability: 'fsync' })).rejects.toMatchObject({
    code: 'REDIS_UNSUITABLE',
    retryable: false,
  });
  // A replica may come: the service decides how long it repeats the call.
  await expect(sluice.counter('views').increment('k', 1, { durability: 'replica' })).rejects.toMatchObject({
    code: 'TOO_FEW_REPLICAS',
    retryable: true,
    message: expect.stringMatching(
      /has 0 replicas now.* needs 1.*repeat the call.*choose another durability/,
    ),
  });
  expect(await sluice.counter('views').get('k')).toBe(0);
  await expect(
    sluice.counter('views').increment('k', 1, { durability: 'disk' as 'fsync' }),
  ).rejects.toMatchObject({ code: 'INVALID_CONFIGURATION' });
  await engine.redis.config('SET', 'appendonly', 'yes');
  await sluice.counter('views').increment('k', 1, { durability: 'fsync' });
  const worker = await engine.worker({}, {}, { claimDurability: 'fsync' });
  await (await sluice.counter('views').increment('k')).persisted();
  expect(await worker.stop()).toBe(true);
});

it('the first call with a durability is repeated until the replica is back, and counts once', async () => {
  const { engine, replica } = await openReplicated();
  const sluice = await engine.producer();
  await replica.stop();
  await until(async () => (await countReplicas(engine.redis)) === 0, 'the primary to lose its replica');
  const views = sluice.counter('views');
  const ask = () => views.increment('k', 1, { id: 'a', durability: 'replica' });
  const tooFew = { code: 'TOO_FEW_REPLICAS', retryable: true };
  await expect(ask()).rejects.toMatchObject(tooFew);
  const [alone] = await sluice.apply([{ counter: 'views', key: 'k', id: 'a' }], { durability: 'replica' });
  expect(alone).toMatchObject({ ok: false, error: tooFew });
  expect(await views.get('k')).toBe(0);
  await replica.restart();
  await until(async () => (await engine.redis.wait(1, 100)) === 1, 'the replica to follow');
  expect(await ask()).toMatchObject({ duplicate: false });
  expect(await ask()).toMatchObject({ duplicate: true });
  expect(await views.get('k')).toBe(1);
});

it('the first call with a durability ends in time although no server answers', async () => {
  const { engine, primary } = await openReplicated();
  const sluice = await engine.producer();
  primary.kill('SIGSTOP');
  cleanUp(async () => primary.kill('SIGCONT'));
  await expect(sluice.counter('views').increment('k', 1, { durability: 'replica' })).rejects.toMatchObject({
    code: 'REDIS_UNAVAILABLE',
    retryable: true,
  });
});

it('an update waits for the configured number of replicas, and fewer replicas are refused', async () => {
  const { engine, primary } = await openReplicated({ barrierReplicas: 2 });
  await expect(engine.producer({}, { durability: 'replica' })).rejects.toMatchObject({
    code: 'REDIS_UNSUITABLE',
  });
  const second = await startRedis({
    flavour: 'redis8',
    directory: await temporaryFolder(),
    args: ['--replicaof', '127.0.0.1', String(primary.port)],
  });
  cleanUp(async () => {
    second.kill('SIGCONT');
    await second.stop();
  });
  await until(async () => (await engine.redis.wait(2, 100)) === 2, 'both replicas to follow');
  const sluice = await engine.producer({}, { durability: 'replica' });
  await sluice.counter('views').increment('k');
  second.kill('SIGSTOP');
  await expect(sluice.counter('views').increment('k')).rejects.toMatchObject({ code: 'NOT_DURABLE' });
});

it('a barrier on a connection that broke confirms nothing', async () => {
  const { engine } = await openReplicated();
  const barrier = new Barrier(new Primaries(engine.redis, engine.keys));
  const broken = barrier.run(0, 'replica', 1000, async lane => {
    await lane.set(`{${engine.name}:0}:probe`, 1);
    await engine.redis.client('KILL', 'ID', String(await lane.client('ID')));
  });
  await expect(broken).rejects.toThrow();
  // The barrier opens another connection for the next one.
  const whole = await barrier.run(0, 'replica', 1000, lane => lane.set(`{${engine.name}:0}:probe`, 2));
  expect(whole).toEqual({ answer: 'OK', confirmed: true });
  barrier.close();
});
