// The metrics pages of a worker and a producer: exactly the catalogue's metrics, with the right values.

import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { boardName } from '../../src/shared/ranks/reader.ts';
import { valueAtRisk } from '../../src/shared/redis/value-at-risk.ts';
import { type MetricDefinition, metricCatalogue } from '../../src/shared/telemetry/metric-catalogue.ts';
import { backfill, crashAt } from '../support/backfill.ts';
import { insertUnfinished } from '../support/backfill-process.ts';
import { Crash, openEngine, until } from '../support/engine.ts';
import { expectOpenSums } from '../support/holds.ts';
import { promtool, promtoolBinary, readSamples } from '../support/prometheus.ts';
import { ranked, views } from '../support/ranks.ts';
import { insertWaiting } from '../support/transfer-rows.ts';

const catalogue = Object.entries(metricCatalogue) as [string, MetricDefinition][];

/** A metric of ranks has samples only for ranked names. */
const withRanks = { definitions: parseDefinitions(ranked) };

function declared(text: string): [string, string, string][] {
  return [...text.matchAll(/^# HELP (sluice_\S+) (.*)\n# TYPE \S+ (\S+)$/gm)].map(([, name, help, type]) => [
    name!,
    type!,
    help!,
  ]);
}

/** Metrics of the catalogue for a process of this kind. */
function expected(from: 'worker' | 'producer'): [string, string, string][] {
  return catalogue
    .filter(([, metric]) => metric.from === from || metric.from === 'both')
    .map(([name, { type, help }]) => [name, type, help]);
}

it('the pages have exactly the metrics of the catalogue, and promtool accepts them', async () => {
  const engine = await openEngine();
  await insertUnfinished(engine.database);
  const registry = new Registry();
  const producer = await engine.producer({}, { registry });
  const worker = await engine.worker({}, {}, withRanks);
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

it('global metrics are equal on every worker, those of a process add up', async () => {
  const engine = await openEngine();
  await insertUnfinished(engine.database);
  const producer = await engine.producer();
  await producer.counter('views').increment('a');
  const workers = [await engine.worker({}, {}, withRanks), await engine.worker({}, {}, withRanks)];
  await until(async () => (await engine.counterInMysql('views', 'a')) === 1, 'the flush');
  // A batch in MySQL may still be unacknowledged, a scrape reads partitions before jobs, and ranks are built.
  const idle = async () => {
    const page = readSamples(await workers[0]!.metrics.registry.metrics());
    return [...page].every(
      ([sample, value]) =>
        value === 0 ||
        !/^sluice_(in_flight_updates|ranks_inexact_partitions|queue_depth\{state="(waiting|active|delayed)")/.test(
          sample,
        ),
    );
  };
  await until(idle, 'the end of all batches, jobs and builds');
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

it('a batch is measured by its busiest key, its rows and its age', async () => {
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

it('a producer counts what it sends and what it finds live', async () => {
  const engine = await openEngine({ partitions: 1 });
  const registry = new Registry();
  const producer = await engine.producer({}, { registry });
  // Producers on one registry share their counts.
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

it('the buffered updates of all producers on a registry are shown', async () => {
  const engine = await openEngine({ partitions: 1 });
  const registry = new Registry();
  const producers = [await engine.producer({}, { registry }), await engine.producer({}, { registry })];
  const buffered = async () => readSamples(await registry.metrics()).get('sluice_producer_buffered_updates');
  expect(await buffered()).toBe(0);
  const calls = producers.flatMap(one => ['a', 'b', 'c'].map(key => one.counter('views').increment(key)));
  // Nothing is sent before this turn of the event loop ends.
  expect(await buffered()).toBe(6);
  await Promise.all(calls);
  expect(await buffered()).toBe(0);
});

it('the points that only Redis has are summed, and estimated if there are many entries', async () => {
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

it('the metrics show how much is in quarantine, and for how long', async () => {
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
  // One query serves the scrapes of a moment.
  await until(async () => (await samples()).get('sluice_quarantined_entries') === 2, 'the next look');
  const after = await samples();
  expect(after.get('sluice_quarantine_oldest_age_seconds')).toBeGreaterThanOrEqual(90);
  expect(after.get('sluice_quarantine_oldest_age_seconds')).toBeLessThan(150);
});

it('the metrics show for how long the time of an open hold has been over', async () => {
  const engine = await openEngine();
  const worker = await engine.worker();
  const overdue = async () =>
    readSamples(await worker.metrics.registry.metrics()).get('sluice_hold_overdue_seconds');
  expect(await overdue()).toBe(0);
  // No worker serves their partition, so none ends them.
  const rows = ['NULL', 'UTC_TIMESTAMP(3) + INTERVAL 90 SECOND', 'UTC_TIMESTAMP(3) - INTERVAL 90 SECOND'].map(
    (time, at) => `('loyalty', 'a', 'h${at}', 999, 1, 'open', 0, UTC_TIMESTAMP(3), ${time})`,
  );
  await engine.database.query(
    `INSERT INTO sluice_holds (program, account, hold_id, partition_id, amount, status, posted, created_at, expires_at) VALUES ${rows}`,
  );
  await until(async () => (await overdue())! > 0, 'the next look');
  expect(await overdue()).toBeGreaterThanOrEqual(90);
  expect(await overdue()).toBeLessThan(150);
});

it('the metrics show open holds and what they keep, by program, whatever ends them', async () => {
  const engine = await openEngine();
  const worker = await engine.worker();
  const shown = async () => {
    const samples = readSamples(await worker.metrics.registry.metrics());
    const of = (program: string) =>
      ['sluice_holds_open', 'sluice_hold_points'].map(name => samples.get(`${name}{program="${program}"}`));
    return [...of('loyalty'), ...of('credits')];
  };
  const settles = (expected: number[]) =>
    until(async () => JSON.stringify(await shown()) === JSON.stringify(expected), `${expected} to be shown`);
  await settles([0, 0, 0, 0]);
  const sluice = await engine.producer();
  const [loyalty, credits] = [sluice.points('loyalty'), sluice.points('credits')];
  // In several partitions, with more than one number keeps exactly.
  const most = Number.MAX_SAFE_INTEGER;
  for (const account of ['a', 'b', 'c', 'd']) {
    await loyalty.credit(account, most, { id: 'start' });
    await (await loyalty.hold(account, most - 10, { id: 'large' })).persisted();
    await loyalty.hold(account, 3, { id: 'small' });
    await credits.hold(account, 5, { id: 'brief', expiresInMs: 3_600_000 });
  }
  await settles([8, 4 * (most - 7), 4, 20]);
  for (const account of ['a', 'b', 'c', 'd']) await loyalty.void(account, 'large');
  await loyalty.post('a', 'small', 1);
  await engine.database.query(
    "UPDATE sluice_holds SET expires_at = UTC_TIMESTAMP(3) - INTERVAL 1 SECOND WHERE hold_id = 'brief'",
  );
  await settles([3, 9, 0, 0]);
  await expectOpenSums(engine);
});

it('the metrics show transfers that wait, by program, and for how long', async () => {
  const engine = await openEngine();
  const worker = await engine.worker();
  const samples = async () => readSamples(await worker.metrics.registry.metrics());
  const names = ['transfers_in_transit', 'transfer_oldest_age_seconds', 'transfers_aside'];
  const none = await samples();
  for (const name of names)
    for (const program of ['loyalty', 'credits'])
      expect(none.get(`sluice_${name}{program="${program}"}`), `${name} ${program}`).toBe(0);
  // No worker drives what is aside, so it stays.
  const wait = (transfer: string, age: number) =>
    insertWaiting(engine.database, engine.keys, { transfer, from: 'a', to: 'b', amount: 1, age, aside: 'X' });
  await wait('1', 90);
  await wait('2', 30);
  await until(
    async () => (await samples()).get('sluice_transfers_aside{program="loyalty"}') === 2,
    'the next look',
  );
  const aside = await samples();
  expect(aside.get('sluice_transfers_aside{program="credits"}')).toBe(0);
  expect(aside.get('sluice_transfer_oldest_age_seconds{program="loyalty"}')).toBe(0);
  await worker.stop();
  await engine.database.query(
    "UPDATE sluice_transfers SET state = 'open', driven_at = UTC_TIMESTAMP(3) + INTERVAL 1 HOUR",
  );
  const other = await engine.worker();
  const open = readSamples(await other.metrics.registry.metrics());
  expect(open.get('sluice_transfers_in_transit{program="loyalty"}')).toBe(2);
  expect(open.get('sluice_transfers_aside{program="loyalty"}')).toBe(0);
  expect(open.get('sluice_transfer_oldest_age_seconds{program="loyalty"}')).toBeGreaterThanOrEqual(90);
});

it('the metrics show how far backfills are, until they are finished', async () => {
  const engine = await openEngine();
  const worker = await engine.worker();
  const samples = async () => readSamples(await worker.metrics.registry.metrics());
  const of = async (name: string) => (await samples()).get(`sluice_backfill_${name}{run="r"}`);
  expect([...(await samples()).keys()].filter(name => name.startsWith('sluice_backfill'))).toEqual([]);
  await engine.database.query('CREATE TABLE t (id INT NOT NULL PRIMARY KEY, n INT) ENGINE = InnoDB');
  await engine.database.query('INSERT INTO t VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, 5)');
  const options = { table: 't', key: 'id', value: 'n', to: 'views' };
  const found = 5;
  await expect(
    backfill(engine, 'r', options, { page: 2, seam: crashAt('recorded', 2), found }),
  ).rejects.toThrow(Crash);
  await until(async () => (await of('carried_out')) === 0, 'nobody carries it out');
  expect(await of('rows')).toBe(5);
  expect(await of('rows_passed')).toBe(2);
  await engine.database.query('UPDATE sluice_backfills SET moved_at = moved_at - INTERVAL 90 SECOND');
  await until(async () => (await of('progress_age_seconds'))! >= 90, 'the age');
  await backfill(engine, 'r', options);
  await until(async () => (await of('rows')) === undefined, 'it is finished');
});

it('the metrics show in how many partitions ranks are not exact', async () => {
  const engine = await openEngine();
  const worker = await engine.worker({}, {}, withRanks);
  const inexact = async (kind: string, name: string) =>
    readSamples(await worker.metrics.registry.metrics()).get(
      `sluice_ranks_inexact_partitions{kind="${kind}",name="${name}"}`,
    );
  await until(async () => (await inexact('counter', 'views')) === 0, 'the board of the counter');
  await until(async () => (await inexact('points', 'loyalty')) === 0, 'the board of the program');
  expect(await inexact('counter', 'clicks')).toBeUndefined();
  // A key whose value is beyond the range of scores stays noted.
  await engine.database.query(
    "INSERT INTO sluice_counters VALUES ('views', 'beyond', 9007199254740991, UTC_TIMESTAMP(3))",
  );
  await engine.database.query(
    "INSERT INTO sluice_quarantine (partition_id, sequence, kind, name, item_key, amount, error_code, payload, created_at) VALUES (0, 1, 'counter', 'views', 'beyond', 1, 'X', '{}', UTC_TIMESTAMP(3))",
  );
  const partition = engine.keys.partitionOf('beyond');
  await engine.redis.sadd(engine.keys.ofBoard(partition, 'ranksNoted:<board>', boardName(views)), 'beyond');
  await until(async () => (await inexact('counter', 'views')) === 1, 'the noted key');
  expect(await inexact('points', 'loyalty')).toBe(0);
});
