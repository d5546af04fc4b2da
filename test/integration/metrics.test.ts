// The metrics pages of a worker and a producer: what the catalogue has, and what the numbers say.

import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { type MetricDefinition, metricCatalogue } from '../../src/shared/telemetry/metric-catalogue.ts';
import { valueAtRisk } from '../../src/worker/value-at-risk.ts';
import { openEngine, until } from '../support/engine.ts';
import { promtool, promtoolBinary, readSamples } from '../support/prometheus.ts';

const catalogue = Object.entries(metricCatalogue) as [string, MetricDefinition][];

function declared(text: string): [string, string, string][] {
  return [...text.matchAll(/^# HELP (sluice_\S+) (.*)\n# TYPE \S+ (\S+)$/gm)].map(([, name, help, type]) => [
    name!,
    type!,
    help!,
  ]);
}

/** What the catalogue says that a process of this kind has. */
function expected(from: 'worker' | 'producer'): [string, string, string][] {
  return catalogue
    .filter(([, metric]) => metric.from === from || metric.from === 'both')
    .map(([name, { type, help }]) => [name, type, help]);
}

it('shows exactly the metrics of the catalogue, on pages that promtool accepts', async () => {
  const engine = await openEngine();
  const registry = new Registry();
  const producer = await engine.producer({}, { registry });
  const worker = await engine.worker();
  await producer.counter('views').increment('a');
  await producer.counter('views').get('a');
  await expect(producer.points('loyalty').debit('a', 1, { id: '1' })).rejects.toThrow();
  const pages = { worker: await worker.metrics.registry.metrics(), producer: await registry.metrics() };
  for (const [from, page] of Object.entries(pages)) {
    expect(declared(page).toSorted()).toEqual(expected(from as 'worker').toSorted());
    const samples = [...readSamples(page).keys()];
    for (const [name, metric] of catalogue.filter(([, one]) => one.from === from)) {
      const sample = samples.find(one => one.startsWith(name));
      expect(sample, `${name} has no sample`).toBeDefined();
      for (const label of Object.keys(metric.labels ?? {})) expect(sample).toContain(`${label}="`);
    }
    if (promtoolBinary) expect(await promtool(['check', 'metrics'], page)).toEqual({ ok: true, said: '' });
  }
});

it('says the same in every replica where a number is global, and adds up what is a process its own', async () => {
  const engine = await openEngine();
  const producer = await engine.producer();
  await producer.counter('views').increment('a');
  const workers = [await engine.worker(), await engine.worker()];
  await until(async () => (await engine.counterInMysql('views', 'a')) === 1, 'the flush');
  // In MySQL does not mean acknowledged, and a page asks for the partitions before it asks for the jobs.
  const idle = async () => {
    const page = readSamples(await workers[0]!.metrics.registry.metrics());
    return [...page].every(
      ([sample, value]) =>
        value === 0 ||
        !/^sluice_(in_flight_updates|queue_depth\{state="(waiting|active|delayed)")/.test(sample),
    );
  };
  await until(idle, 'the end of all batches and jobs');
  const pages = await Promise.all(
    workers.map(async one => readSamples(await one.metrics.registry.metrics())),
  );
  for (const [name] of catalogue.filter(
    ([, { scope, unit }]) => scope === 'global' && unit !== 'connections',
  )) {
    if (name === 'sluice_redis_memory_used_bytes') continue;
    const ofName = pages.map(page => [...page].filter(([sample]) => sample.replace(/\{.*/, '') === name));
    expect(ofName[0]!.length, name).toBeGreaterThan(0);
    expect(ofName[0]).toEqual(ofName[1]);
  }
  const flushed = pages.map(page => page.get('sluice_flushed_updates_total')!);
  expect(flushed[0]! + flushed[1]!).toBe(1);
});

it('counts what a batch holds: its busiest key, its rows, its age', async () => {
  const engine = await openEngine({ partitions: 1 });
  const producer = await engine.producer();
  await producer.apply([
    ...Array.from({ length: 6 }, () => ({ counter: 'views', key: 'hot' }) as const),
    { counter: 'views', key: 'cold' },
    { points: 'loyalty', account: 'a', amount: 5, id: '1' },
  ]);
  await engine.drain();
  const samples = readSamples(await engine.metrics.registry.metrics());
  expect(samples.get('sluice_flushed_updates_total')).toBe(8);
  expect(samples.get('sluice_hottest_key_updates_total')).toBe(6);
  expect(samples.get('sluice_batch_updates_sum')).toBe(8);
  expect(samples.get('sluice_batch_age_seconds_count')).toBe(
    samples.get('sluice_flush_duration_seconds_count'),
  );
  expect(samples.get('sluice_batch_age_seconds_sum')).toBeGreaterThan(0);
});

it('counts what a producer sends and finds live', async () => {
  const engine = await openEngine({ partitions: 1 });
  const registry = new Registry();
  const producer = await engine.producer({}, { registry });
  // Of one registry: their counts are one.
  const other = await engine.producer({}, { registry });
  const views = producer.counter('views');
  await Promise.all([views.increment('a'), views.increment('a'), views.increment('b')]);
  await views.getMany(['a', 'c']);
  await other.counter('views').increment('a', 1, { id: 'x' });
  await other.counter('views').increment('a', 1, { id: 'x' });
  const samples = readSamples(await registry.metrics());
  expect(samples.get('sluice_accepted_updates_total{duplicate="false"}')).toBe(4);
  expect(samples.get('sluice_accepted_updates_total{duplicate="true"}')).toBe(1);
  expect(samples.get('sluice_micro_batch_updates_bucket{le="1"}')).toBe(2);
  expect(samples.get('sluice_micro_batch_updates_sum')).toBe(5);
  expect(samples.get('sluice_apply_duration_seconds_count')).toBe(3);
  expect(samples.get('sluice_live_lookups_total{operation="update",live="no"}')).toBe(3);
  expect(samples.get('sluice_live_lookups_total{operation="update",live="yes"}')).toBe(2);
  expect(samples.get('sluice_live_lookups_total{operation="read",live="no"}')).toBe(2);
});

it('shows what all producers of a registry have taken and not answered', async () => {
  const engine = await openEngine({ partitions: 1 });
  const registry = new Registry();
  const producers = [await engine.producer({}, { registry }), await engine.producer({}, { registry })];
  const buffered = async () => readSamples(await registry.metrics()).get('sluice_producer_buffered_updates');
  expect(await buffered()).toBe(0);
  const calls = producers.flatMap(one => ['a', 'b', 'c'].map(key => one.counter('views').increment(key)));
  // Nothing goes out before the end of this turn of the event loop.
  expect(await buffered()).toBe(6);
  await Promise.all(calls);
  expect(await buffered()).toBe(0);
});

it('adds up the points that are nowhere but in Redis, and estimates them where there are many', async () => {
  const engine = await openEngine({ partitions: 1 });
  const producer = await engine.producer();
  const read = valueAtRisk(engine.own.redis, engine.keys);
  expect(await read()).toEqual(new Map());
  await producer.points('loyalty').credit('a', 100, { id: '1' });
  await producer.points('loyalty').debit('a', 30, { id: '2' });
  await producer.points('credits').debit('a', 20, { id: '1' });
  await producer.counter('views').increment('a', 1000);
  expect(await read()).toEqual(
    new Map([
      ['loyalty', 70],
      ['credits', 20],
    ]),
  );
  await engine.flight.claim(0);
  await producer.points('loyalty').credit('b', 5, { id: '1' });
  expect((await read()).get('loyalty')).toBe(75);
  await engine.drain();
  expect(await read()).toEqual(new Map());
  const many = Array.from(
    { length: 1500 },
    (_, at) => ({ points: 'loyalty', account: String(at), amount: 2, id: '1' }) as const,
  );
  expect((await producer.apply(many)).every(result => result.ok)).toBe(true);
  expect((await read()).get('loyalty')).toBe(3000);
});

it('tells how much waits in quarantine, and for how long', async () => {
  const engine = await openEngine();
  const worker = await engine.worker();
  const samples = async () => readSamples(await worker.metrics.registry.metrics());
  expect((await samples()).get('sluice_quarantine_oldest_age_seconds')).toBe(0);
  for (const [age, name] of [
    [90, 'a'],
    [30, 'b'],
  ])
    await engine.database.query(
      "INSERT INTO sluice_quarantine (partition_id, sequence, kind, name, item_key, amount, error_code, payload, created_at) VALUES (0, 1, 'counter', 'views', ?, 1, 'X', '{}', UTC_TIMESTAMP(3) - INTERVAL ? SECOND)",
      [name, age],
    );
  // One look serves the scrapes of a moment.
  await until(async () => (await samples()).get('sluice_quarantined_entries') === 2, 'the next look');
  const after = await samples();
  expect(after.get('sluice_quarantine_oldest_age_seconds')).toBeGreaterThanOrEqual(90);
  expect(after.get('sluice_quarantine_oldest_age_seconds')).toBeLessThan(150);
});
