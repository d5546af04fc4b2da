// The capacity model against calculations by hand, against counts of the benchmark, and by its properties.

import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bufferPoolBytes, instanceClasses, nodeClasses, usableBytes } from '../../src/cli/plan-classes.ts';
import { type Load, loadCatalogue, parseLoad } from '../../src/cli/plan-load.ts';
import { measured } from '../../src/cli/plan-measured.ts';
import { planFor } from '../../src/cli/plan-model.ts';
import { bytes, count } from '../../src/cli/plan-numbers.ts';
import { type WarningCode, warningsOf } from '../../src/cli/plan-warnings.ts';
import { Zipf } from '../../src/cli/plan-zipf.ts';
import { sluice } from '../support/command.ts';

const load = (some: Partial<Load>): Load => ({ ...parseLoad({ updates: '1' }), updates: 0, ...some });
const plan = (some: Partial<Load>) => planFor(load(some));
const of = (name: keyof typeof measured) => measured[name].value;

describe('distinct keys', () => {
  it('follow the formula, computed by hand', () => {
    // Two keys that get two thirds and one third of the updates.
    expect(new Zipf(2, 1).hottest).toBeCloseTo(2 / 3, 12);
    expect(new Zipf(2, 1).distinct(3)).toBeCloseTo(1 - Math.exp(-2) + 1 - Math.exp(-1), 12);
    expect(new Zipf(4, 0).distinct(8)).toBeCloseTo(4 * (1 - Math.exp(-2)), 12);
    expect(new Zipf(1, 1).distinct(1000)).toBe(1);
    expect(new Zipf(10, 1).distinct(0)).toBe(0);
  });

  it('are as exact for many keys as a sum over all keys', () => {
    for (const skew of [0, 0.5, 1, 1.5]) {
      const keys = 200_000;
      const weights = Array.from({ length: keys }, (_, rank) => (rank + 1) ** -skew);
      const all = weights.reduce((sum, weight) => sum + weight, 0);
      for (const updates of [10, 10_000, 10_000_000]) {
        const sum = weights.reduce((total, weight) => total - Math.expm1((-updates * weight) / all), 0);
        expect(new Zipf(keys, skew).distinct(updates) / sum, `${skew} ${updates}`).toBeCloseTo(1, 4);
      }
    }
  });

  it('match the rows that the benchmark wrote', () => {
    const folder = new URL('../../bench/results/', import.meta.url);
    const newest = readdirSync(folder)
      .filter(file => /^[\d-]+\.json$/.test(file))
      .toSorted()
      .at(-1)!;
    const { scenarios, settings } = JSON.parse(readFileSync(new URL(newest, folder), 'utf8'));
    const detailsOf = (name: string) =>
      scenarios.find((scenario: { name: string }) => scenario.name === name)?.details;
    // A partition's batch holds the updates since its previous one; the keys are those of bench/README.md.
    for (const [name, spread, ledger] of [
      ['counters', new Zipf(100_000, 1), 0],
      ['points', new Zipf(10_000, 0), 1],
    ] as const) {
      const { updates, batches, rows } = detailsOf(name);
      const rounds = batches / settings.partitions;
      const expected = rounds * spread.distinct(updates / rounds) + ledger * updates;
      expect(rows / expected, `${name} of ${newest}`).toBeGreaterThan(0.85);
      expect(rows / expected, `${name} of ${newest}`).toBeLessThan(1.15);
    }
  });
});

describe('a plan', () => {
  it('for counters follows the calculation by hand', () => {
    // 100 updates per interval on 100 equally likely keys; one call per millisecond.
    const found = plan({ updates: 1000, keys: 100, skew: 0, producers: 1, latency: 1, partitions: 1 });
    const rows = 10 * 100 * (1 - Math.exp(-1));
    const commits = 1 / 0.101;
    expect(found.mysql.counterRowsPerSecond).toBeCloseTo(rows, 6);
    expect(found.mysql.balanceRowsPerSecond).toBe(0);
    expect(found.mysql.commitsPerSecond).toBeCloseTo(commits, 6);
    expect(found.redis.callsPerSecond).toBeCloseTo(500, 6);
    expect(found.redis.cores * 1e6).toBeCloseTo(
      1000 * of('redisMicrosPerUpdate') +
        500 * (of('redisMicrosPerCall') + of('redisMicrosPerMicroBatch')) +
        commits * (of('redisMicrosPerJob') + of('redisMicrosPerFlush')),
      3,
    );
    expect(found.mysql.vcpu * 1e6).toBeCloseTo(
      rows * of('mysqlMicrosPerRow') + commits * of('mysqlMicrosPerCommit'),
      3,
    );
    expect(found.mysql.hotRows).toBe(100 * (of('mysqlRowBytes') + 20));
    // 200 updates in two intervals; after 15 minutes all hundred keys are pending.
    const lasting = of('redisBaseBytes') + 100 * of('liveValueBytes');
    expect(found.redis.memory).toBeCloseTo(lasting + 100 * (1 - Math.exp(-2)) * of('pendingKeyBytes'), 3);
    expect(found.redis.memoryAfterOutage).toBeCloseTo(lasting + 100 * of('pendingKeyBytes'), 3);
    expect(found.outage).toMatchObject({ pendingKeys: 100, pendingEntries: 0 });
    expect(found).toMatchObject({ workers: 2, partitions: 1, partitionsNeeded: 4, flushIntervalMs: 100 });
  });

  it('for several producers has one call in flight of each, and on a Cluster of each partition', () => {
    const calls = (some: Partial<Load>) => plan({ updates: 1000, ...some }).redis.callsPerSecond;
    expect(calls({ producers: 2, partitions: 4, latency: 8 })).toBeCloseTo(200, 6);
    expect(calls({ producers: 2, partitions: 12, latency: 8 })).toBeCloseTo(200, 6);
    // However long a call takes, it carries at most 300 updates; an entry counts as four.
    expect(calls({ producers: 1, partitions: 1, latency: 1000, updates: 12_000 })).toBe(40);
    expect(calls({ producers: 1, partitions: 1, latency: 1000, updates: 0, entries: 3000 })).toBe(40);
    const cluster = plan({ updates: 400_000, producers: 2, partitions: 1000, latency: 8 });
    expect(cluster.redis.primaries).toBeGreaterThan(1);
    expect(cluster.redis.callsPerSecond).toBeCloseTo(1 / (0.008 / 2000 + 1 / 400_000), 6);
  });

  it('shares calls and flush jobs between partitions', () => {
    const of16 = plan({ updates: 1000, partitions: 16 }).redis;
    const batches = 1 / (0.005 / (4 * 16) + 1 / 1000);
    const flushes = 1 / (0.1 / 16 + 1 / 1000);
    const jobs = 1 / (0.1 / 4 + 1 / 1000);
    const micros = of16.callsPerSecond * of('redisMicrosPerCall') + batches * of('redisMicrosPerMicroBatch');
    expect(of16.callCores * 1e6).toBeCloseTo(micros, 3);
    expect(of16.cores * 1e6).toBeCloseTo(
      micros +
        1000 * of('redisMicrosPerUpdate') +
        jobs * of('redisMicrosPerJob') +
        flushes * of('redisMicrosPerFlush'),
      3,
    );
  });

  it('for entries adds the bytes of names longer than measured', () => {
    const found = plan({ entries: 100, accounts: 1, keyBytes: 26, idBytes: 36, entryBytes: 50, outage: 1 });
    expect(found.mysql.counterRowsPerSecond).toBe(0);
    expect(found.mysql.balanceRowsPerSecond).toBeCloseTo(10 * (1 - Math.exp(-10)), 6);
    // Measured with accounts of 16 bytes, ids of 12, live names of 20; here 10, 24, 6 more. Ids stay an hour.
    const entry = of('pendingEntryBytes') + 3 * 34 + 50;
    const lasting = of('redisBaseBytes') + of('liveValueBytes') + 6 + 360_000 * (of('entryIdBytes') + 2 * 34);
    expect(found.redis.memory).toBeCloseTo(lasting + 20 * entry, 3);
    expect(found.redis.memoryAfterOutage).toBeCloseTo(lasting + 6020 * entry, 3);
    expect(found.mysql.vcpu * 1e6).toBeCloseTo(
      100 * of('mysqlMicrosPerEntry') + found.mysql.commitsPerSecond * of('mysqlMicrosPerCommit'),
      3,
    );
  });

  it('remembers ids of counters for an hour, up to the limit of each partition', () => {
    expect(plan({ updates: 1000, ids: 0.5 }).counterIds).toEqual({ wanted: 1_800_000, kept: 1_800_000 });
    expect(plan({ updates: 1000, ids: 0.5, partitions: 1 }).counterIds.kept).toBe(800_000);
    const [none, half] = [0, 0.5].map(ids => plan({ updates: 1000, ids }));
    const micros = 500 * (of('redisMicrosPerEntry') - of('redisMicrosPerUpdate'));
    expect((half!.redis.cores - none!.redis.cores) * 1e6).toBeCloseTo(micros, 3);
  });

  it('has enough workers and partitions for the rows', () => {
    const workers = (updates: number) => plan({ updates, keys: 1e12, skew: 0 }).workers;
    // Hardly any key comes twice, so an update is a row; half of each worker stays free.
    expect(workers(of('workerRowsPerSecond') * 0.99)).toBe(2);
    expect(workers(of('workerRowsPerSecond') * 1.01)).toBe(3);
    const many = plan({ entries: 20 * of('workerEntriesPerSecond') * 0.5 });
    expect(many.workers).toBe(20);
    expect(many.partitions).toBeGreaterThanOrEqual(80);
  });

  it('catches up with the spare capacity of workers and MySQL', () => {
    const { outage } = plan({ entries: 1000, outage: 10 });
    const spare = 2 - 1000 / of('workerEntriesPerSecond');
    expect(outage.catchUpSeconds).toBeGreaterThanOrEqual(600_000 / of('workerEntriesPerSecond') / spare);
    expect(plan({ updates: 1e8, keys: 1e9, skew: 0 }).outage.catchUpSeconds).toBeNull();
  });
});

describe('classes', () => {
  it('have room for the data below the alarm', () => {
    const large = nodeClasses.find(({ name }) => name === 'cache.m7g.large')!;
    expect(usableBytes(large)).toBeCloseTo(6_854_542_746 * 0.6, 3);
    // An outage that nearly fills the class, and one that is too long for it.
    const room = usableBytes(large) - plan({ entries: 1000, outage: 0 }).redis.memory;
    const minutes = room / (60_000 * (of('pendingEntryBytes') + 3 * (4 + 24)));
    const at = (outage: number) => plan({ entries: 1000, outage }).redis.nodeClass;
    expect([at(minutes * 0.999), at(minutes * 1.001)]).toEqual(['cache.m7g.large', 'cache.r7g.large']);
  });

  it('are sorted by capacity', () => {
    for (const [at, node] of nodeClasses.slice(1).entries())
      expect(node.maxmemory).toBeGreaterThan(nodeClasses[at]!.maxmemory);
    for (const [at, instance] of instanceClasses.slice(1).entries())
      expect(instance.vcpu).toBeGreaterThanOrEqual(instanceClasses[at]!.vcpu);
  });
});

const any = fc.record({
  updates: fc.integer({ min: 0, max: 2e6 }),
  entries: fc.integer({ min: 0, max: 1e5 }),
  keys: fc.integer({ min: 1, max: 1e8 }),
  accounts: fc.integer({ min: 1, max: 1e8 }),
  skew: fc.double({ min: 0, max: 2, noNaN: true }),
  ids: fc.double({ min: 0, max: 1, noNaN: true }),
  producers: fc.integer({ min: 1, max: 500 }),
  latency: fc.integer({ min: 1, max: 100 }),
  headroom: fc.double({ min: 0, max: 0.9, noNaN: true }),
  flushInterval: fc.integer({ min: 1, max: 10_000 }),
  outage: fc.integer({ min: 0, max: 600 }),
  partitions: fc.option(fc.integer({ min: 1, max: 1024 }), { nil: undefined }),
});

describe('a plan for any load', () => {
  it('never needs less when the load grows', () => {
    const more = fc.record({
      updates: fc.integer({ min: 0, max: 1e6 }),
      entries: fc.integer({ min: 0, max: 1e5 }),
    });
    fc.assert(
      fc.property(any, more, (some, by) => {
        const less = plan({ ...some, updates: some.updates + 1 });
        const grown = plan({
          ...some,
          updates: some.updates + 1 + by.updates,
          entries: some.entries + by.entries,
        });
        const needs = ({ redis, mysql, ...rest }: typeof less) => ({
          cores: redis.cores,
          calls: redis.callsPerSecond,
          primaries: redis.primaries,
          memory: redis.memory,
          memoryAfterOutage: redis.memoryAfterOutage,
          rows: mysql.counterRowsPerSecond + mysql.balanceRowsPerSecond,
          commits: mysql.commitsPerSecond,
          vcpu: mysql.vcpu,
          instance: classAt(mysql.instanceClass),
          workers: rest.workers,
          partitions: rest.partitions,
          partitionsNeeded: rest.partitionsNeeded,
          pending: rest.outage.pendingKeys + rest.outage.pendingEntries,
        });
        const before = needs(less);
        // Rounding may change the last digits of a sum.
        for (const [name, need] of Object.entries(needs(grown)))
          expect(need, name).toBeGreaterThanOrEqual(before[name as keyof typeof before] * (1 - 1e-12));
      }),
    );
  });

  it('suggests classes that suffice, and writes no more rows than updates came', () => {
    fc.assert(
      fc.property(any, some => {
        const found = plan({ ...some, updates: some.updates + 1 });
        const { redis, mysql } = found;
        const free = 1 - some.headroom;
        const node = nodeClasses.find(({ name }) => name === redis.nodeClass)!;
        expect(usableBytes(node)).toBeGreaterThanOrEqual(redis.memoryAfterOutage / redis.primaries);
        expect(node.core * free * redis.primaries).toBeGreaterThanOrEqual(redis.cores * (1 - 1e-9));
        const instance = instanceClasses.find(({ name }) => name === mysql.instanceClass);
        if (instance) {
          expect(bufferPoolBytes(instance)).toBeGreaterThanOrEqual(mysql.hotRows);
          expect(instance.sustained * free).toBeGreaterThanOrEqual(mysql.vcpu * (1 - 1e-9));
        }
        expect(mysql.counterRowsPerSecond).toBeLessThanOrEqual((some.updates + 1) * (1 + 1e-9));
        expect(mysql.balanceRowsPerSecond).toBeLessThanOrEqual(some.entries * (1 + 1e-9));
        expect(redis.callsPerSecond).toBeLessThanOrEqual((some.updates + 1 + some.entries) * (1 + 1e-9));
        expect(redis.memoryAfterOutage).toBeGreaterThanOrEqual(redis.memory);
      }),
    );
  });
});

function classAt(name: string | null): number {
  return name === null ? instanceClasses.length : instanceClasses.findIndex(one => one.name === name);
}

describe('warnings', () => {
  const quiet = { updates: 1000, keys: 10_000 };
  const codes = (some: Partial<Load>) => warningsOf(plan(some)).map(({ code }) => code);

  it('are absent for a small load', () => {
    expect(codes(quiet)).toEqual([]);
  });

  it.each<[WarningCode, Partial<Load>, RegExp]>([
    ['CLUSTER', { updates: 1e6, keys: 1e6 }, /use Redis Cluster with \d+ shards/],
    ['HOT_PARTITION', { updates: 1e6, keys: 10, skew: 3 }, /no Cluster splits a partition/],
    ['FEW_PARTITIONS', { ...quiet, partitions: 3 }, /use 4 at least/],
    ['NO_INSTANCE_CLASS', { updates: 1e8, keys: 1e9, skew: 0 }, /No RDS class/],
    ['STORAGE', { ...quiet, flushInterval: 1, updates: 1e5 }, /more than the 3,000 operations/],
    ['PENDING_KEYS_LIMIT', { updates: 1e4, keys: 5e6, skew: 0 }, /set SLUICE_PENDING_KEYS_LIMIT above/],
    ['PENDING_ENTRIES_LIMIT', { entries: 5000 }, /1,125,000 .* set SLUICE_PENDING_ENTRIES_LIMIT above/],
    ['PENDING_AGE_LIMIT', { ...quiet, outage: 1441 }, /SLUICE_PENDING_AGE_LIMIT_MS, a day/],
    ['NO_CATCH_UP', { updates: 1e8, keys: 1e9, skew: 0 }, /more headroom/],
    ['COUNTER_IDS', { ...quiet, ids: 1, partitions: 2 }, /for 26.7 minutes only/],
    ['INTERVAL', { ...quiet, flushInterval: 750 }, /Set SLUICE_STUCK_AFTER_MS above 1500/],
  ])('have %s', (code, some, message) => {
    const found = warningsOf(plan(some)).find(warning => warning.code === code);
    expect(found?.message).toMatch(message);
  });
});

describe('sluice plan', () => {
  it("prints the model's plan and its warnings as JSON", async () => {
    const args = ['--updates', '30000', '--keys', '1000000', '--key-bytes', '40', '--partitions', '4'];
    const { code, stdout, stderr } = await sluice(['plan', ...args, '--json'], {});
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const expected = plan({ updates: 30_000, keys: 1e6, keyBytes: 40, partitions: 4 });
    expect(JSON.parse(stdout)).toEqual(
      JSON.parse(JSON.stringify({ ...expected, warnings: warningsOf(expected) })),
    );
  });

  it('shows every default in its help', async () => {
    const { stdout } = await sluice(['plan', '--help'], {});
    const help = stdout.replace(/\s+/g, ' ');
    for (const { what, default: preset } of Object.values(loadCatalogue))
      expect(help).toContain(`${what} (default: ${preset})`);
  });

  it('rounds numbers to their precision', () => {
    expect([0, 0.514, 9.996, 15.55, 99.94, 30_000.4].map(count)).toEqual([
      '0',
      '0.51',
      '10',
      '15.6',
      '99.9',
      '30,000',
    ]);
    expect([bytes(64 * 1024 ** 2), bytes(1.5 * 1024 ** 3)]).toEqual(['64 MiB', '1.5 GiB']);
  });
});
