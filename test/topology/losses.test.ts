// Redis goes back to its last save: how much of the loss is known, what is declared, and what receipts say.

import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import type { RunningServer } from '../../scripts/servers.ts';
import { readLosses } from '../../src/shared/partition/losses.ts';
import { type Engine, openEngine, until } from '../support/engine.ts';
import { ownServers } from '../support/servers.ts';

/** A Redis that keeps only what `save` wrote when it is killed. */
async function openForgetful() {
  const { redis, servers } = await ownServers(['--appendonly', 'no']);
  const engine = await openEngine({ partitions: 1 }, servers);
  return { engine, redis };
}

async function forget(redis: RunningServer): Promise<void> {
  redis.kill('SIGKILL');
  await redis.restart();
}

async function declared(engine: Engine) {
  return (await readLosses(engine.database)).map(({ kind, updates }) => ({ kind, updates }));
}

it('lost pending updates are counted, and their receipts fail', async () => {
  const { engine, redis } = await openForgetful();
  const registry = new Registry();
  const [sluice, other] = [await engine.producer({}, { registry }), await engine.producer()];
  const views = sluice.counter('views');
  const kept = await Promise.all([1, 2, 3].map(() => views.increment('k')));
  await engine.redis.save();
  // All have one key, so no position in a queue tells lost updates from kept ones.
  await other.counter('views').increment('k');
  const lost = [await views.increment('k'), await views.increment('k')];
  const entry = await sluice.points('loyalty').credit('a', 5, { id: 'x' });
  await forget(redis);

  // A new producer, which knows of no loss, comes first and counts on.
  const fresh = await engine.producer();
  await fresh.counter('views').increment('k');
  expect(await declared(engine)).toEqual([]);
  // This producer knows of one of the four lost updates, the first one.
  await other.counter('views').increment('k');
  await until(async () => (await declared(engine))[0]?.updates === 1, 'the loss that is known first');
  await views.increment('k');
  await until(async () => (await declared(engine))[0]?.updates === 4, 'the whole loss');
  expect(await declared(engine)).toEqual([{ kind: 'lost', updates: 4 }]);
  expect(await registry.metrics()).toContain('sluice_lost_updates_total 3');

  const worker = await engine.worker();
  for (const receipt of kept) await receipt.persisted();
  for (const receipt of [...lost, entry])
    await expect(receipt.persisted()).rejects.toMatchObject({ code: 'PERSISTENCE_UNKNOWN' });
  expect(await engine.counterInMysql('views', 'k')).toBe(6);
  expect(await sluice.counter('views').get('k')).toBe(6);
  expect(await worker.metrics.registry.metrics()).toContain('sluice_declared_loss_updates{kind="lost"} 4');
});

it('a receipt fails even if nobody has called since the loss', async () => {
  const { engine, redis } = await openForgetful();
  const sluice = await engine.producer();
  await sluice.counter('views').increment('k');
  await engine.redis.save();
  const lost = await sluice.counter('views').increment('k');
  await forget(redis);
  await engine.drain();
  expect(await engine.counterInMysql('views', 'k')).toBe(1);
  await expect(lost.persisted()).rejects.toMatchObject({ code: 'PERSISTENCE_UNKNOWN' });
});

it.each(['claimed again', 'found idle'])(
  'updates that count twice after a forgotten claim are declared: %s',
  async how => {
    const { engine, redis } = await openForgetful();
    const sluice = await engine.producer();
    await Promise.all([1, 2, 3, 4].map(() => sluice.counter('views').increment('k')));
    await engine.redis.save();
    await engine.drain();
    await forget(redis);
    if (how === 'found idle') await engine.aligner.align(0);
    await engine.drain();
    expect(await engine.counterInMysql('views', 'k')).toBe(8);
    expect(await declared(engine)).toEqual([{ kind: 'doubled', updates: 4 }]);
    // The loss is declared once; later updates are in order.
    await sluice.counter('views').increment('k');
    await engine.drain();
    expect(await declared(engine)).toEqual([{ kind: 'doubled', updates: 4 }]);
  },
);

it('a loss is declared although the transaction that found it fails', async () => {
  const { engine, redis } = await openForgetful();
  const sluice = await engine.producer();
  await sluice.counter('views').increment('k');
  await engine.redis.save();
  await engine.drain();
  await forget(redis);
  engine.crashAt('recorded');
  await expect(engine.flusher.flush(0)).rejects.toThrow();
  engine.crashAt(undefined);
  await engine.drain();
  expect(await engine.counterInMysql('views', 'k')).toBe(2);
  expect(await declared(engine)).toEqual([{ kind: 'doubled', updates: 1 }]);
});

it('a Redis that lost everything continues from the counts of MySQL', async () => {
  const { engine, redis } = await openForgetful();
  const sluice = await engine.producer();
  await Promise.all([1, 2, 3].map(() => sluice.counter('views').increment('k')));
  await engine.drain();
  const lost = await sluice.counter('views').increment('k');
  await engine.redis.del(engine.keys.state(0));
  await forget(redis);
  await sluice.counter('views').increment('k');
  await until(async () => (await declared(engine)).length > 0, 'the loss');
  expect(await declared(engine)).toEqual([{ kind: 'lost', updates: 1 }]);
  await engine.drain();
  await expect(lost.persisted()).rejects.toMatchObject({ code: 'PERSISTENCE_UNKNOWN' });
  expect(await sluice.counter('views').get('k')).toBe(4);
});
