// Sampled verification in the workers: it finds drift, reports it without naming keys, and notices repairs.

import { expect, it } from 'vitest';
import type { Settings } from '../../src/shared/config/settings.ts';
import { createLog } from '../../src/shared/log.ts';
import { WorkerMetrics } from '../../src/worker/metrics.ts';
import { Verifier } from '../../src/worker/verifier.ts';
import { openDeployment } from '../support/command.ts';
import { type Engine, openEngine, until } from '../support/engine.ts';
import { addToLive, dropLive } from '../support/live.ts';

/** A verifier that runs on request, and its log lines at info. */
function openVerifier(engine: Engine, settings: Partial<Settings> = {}, isOpen = false) {
  const lines: string[] = [];
  const metrics = new WorkerMetrics();
  const { own, keys, cold } = engine;
  const verifier = new Verifier({
    redis: own.redis,
    keys,
    cold,
    tables: { mapped: () => undefined },
    circuit: { isOpen },
    metrics,
    settings: { ...engine.settings, ...settings },
    random: Math.random,
    log: createLog('info', { write: (line: string) => lines.push(line) }),
  });
  return { verifier, lines, drift: () => gauge(metrics, 'no'), verified: () => total(metrics) };
}

async function gauge({ driftKeys }: WorkerMetrics, mapped: 'yes' | 'no'): Promise<number> {
  return (await driftKeys.get()).values.find(value => value.labels.mapped === mapped)!.value;
}

async function total({ verifiedKeys }: WorkerMetrics): Promise<number> {
  return (await verifiedKeys.get()).values[0]!.value;
}

it('the verifier finds wrong live values, logs no keys, and notices repairs', async () => {
  const engine = await openEngine();
  const sluice = await engine.producer();
  await sluice.points('loyalty').credit('secret-account', 5, { id: 'a' });
  await sluice.counter('views').get('/secret-key');
  const { verifier, lines, drift, verified } = openVerifier(engine);
  // The server also holds keys of other tests, and a round covers only a part of them.
  const rounds = (done: () => Promise<boolean>) =>
    until(async () => {
      await verifier.once();
      return done();
    }, 'a walk over all live values');
  await rounds(async () => (await verified()) >= 2);
  expect(await drift()).toBe(0);
  expect(lines).toEqual([]);

  await addToLive(engine, 'p', 'loyalty:secret-account', 7);
  await addToLive(engine, 'c', 'views:/secret-key', 7);
  await rounds(async () => (await drift()) === 2);
  // Each drift is reported once.
  expect(
    lines.map(line => JSON.parse(line)).map(({ level, kind, name, keys }) => [level, kind, name, keys]),
  ).toEqual(
    expect.arrayContaining([
      ['warn', 'points', 'loyalty', 1],
      ['warn', 'counter', 'views', 1],
    ]),
  );
  expect(lines).toHaveLength(2);
  expect(lines.join()).not.toContain('secret');

  const key = { kind: 'p', name: 'loyalty', key: 'secret-account' } as const;
  await engine.cold.repair(engine.keys.partitionOf(key.key), [key]);
  await verifier.once();
  expect(await drift()).toBe(1);
  await dropLive(engine, 'c', 'views:/secret-key');
  await verifier.once();
  expect(await drift()).toBe(0);
});

it('the verifier walks through all live values, a sample at a time, and begins again', async () => {
  const engine = await openEngine();
  const sluice = await engine.producer();
  const keys = Array.from({ length: 500 }, (_, n) => `/${n}`);
  await sluice.counter('views').getMany(keys);
  const { verifier, drift, verified } = openVerifier(engine, { verifySample: 30 });
  await verifier.once();
  expect(await verified()).toBe(30);
  for (const key of ['/3', '/77', '/499']) await addToLive(engine, 'c', `views:${key}`, 1);
  await until(async () => {
    await verifier.once();
    return (await drift()) === 3;
  }, 'all three found');
  // Known drift is checked in every round, wherever the walk is.
  await sluice.counter('views').increment('/3');
  expect(await drift()).toBe(3);
});

it('the verifier leaves MySQL alone while the circuit breaker is open', async () => {
  const engine = await openEngine();
  const sluice = await engine.producer();
  await sluice.counter('views').get('/');
  const { verifier, verified } = openVerifier(engine, {}, true);
  await verifier.once();
  expect(await verified()).toBe(0);
});

it('the verifier runs in workers under load, unless it is turned off', async () => {
  const engine = await openEngine({ flushIntervalMs: 5 });
  const sluice = await engine.producer();
  const off = await engine.worker({ verifyIntervalMs: 0 });
  const on = await engine.worker({ verifyIntervalMs: 5 });
  await sluice.counter('views').get('/');
  const increments = async () => {
    while ((await total(on.metrics)) < 50) await sluice.counter('views').increment('/');
  };
  await increments();
  expect(await gauge(on.metrics, 'no')).toBe(0);
  await addToLive(engine, 'c', 'views:/', 3);
  await until(async () => (await gauge(on.metrics, 'no')) === 1, 'drift found');
  expect(await total(off.metrics)).toBe(0);
  await on.stop();
  const stopped = await total(on.metrics);
  expect(await on.stop()).toBe(true);
  expect(await total(on.metrics)).toBe(stopped);
});

it('mapped columns are counted separately, since they may have other writers', async () => {
  const deployment = await openDeployment({
    counters: { page_views: { target: { table: 'products', key: 'id', column: 'views' } } },
  });
  await deployment.database.query(
    'CREATE TABLE products (id INT PRIMARY KEY, views BIGINT NOT NULL) ENGINE = InnoDB',
  );
  await deployment.database.query('INSERT INTO products VALUES (4711, 10)');
  const worker = await deployment.worker({ SLUICE_VERIFY_INTERVAL_MS: '10' });
  expect(await deployment.read('page_views', '4711')).toBe(10);
  await deployment.database.query('UPDATE products SET views = 11');
  const metrics = async () => (await fetch(`http://127.0.0.1:${worker.port}/metrics`)).text();
  await until(async () => (await metrics()).includes('sluice_drift_keys{mapped="yes"} 1'), 'drift found');
  expect(await metrics()).toContain('sluice_drift_keys{mapped="no"} 0');
  await until(() => worker.stdout().includes('mapped column'), 'drift logged');
  expect(worker.stdout()).not.toContain('4711');
  expect(worker.stdout()).not.toContain('live values drift');
});
