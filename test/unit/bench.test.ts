// The benchmarks' arithmetic: pacing, medians, figures, verdicts, command line, and all of bench/README.md.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { warmRate } from '../../bench/backlog.ts';
import { compareTurns, comparisonTable, differing, isWorse, type Turn } from '../../bench/compare.ts';
import { merge } from '../../bench/engine.ts';
import { mainFigures } from '../../bench/figures.ts';
import { benchFile, benchPage, readmeFile, readmePage } from '../../bench/generate.ts';
import { parseOptions, usage } from '../../bench/options.ts';
import { topCommands, topFrames } from '../../bench/profile.ts';
import { rateOf } from '../../bench/redis-benchmark.ts';
import { isMet, summarise, summariseFigure, tableOf, verdictOf } from '../../bench/report.ts';
import type { Figure, Measurement, Round, Scenario, Suite } from '../../bench/scenario.ts';
import { suites } from '../../bench/scenarios/index.ts';
import { quarters } from '../../bench/soak.ts';
import { CpuMeter, residentMb } from '../../bench/usage.ts';
import { UsageError } from '../../bench/usage-error.ts';
import { Latencies } from '../../scripts/load/latencies.ts';
import { Pace } from '../../scripts/load/pace.ts';
import type { PushResult } from '../../scripts/load/producer-plan.ts';
import { Reader } from '../../scripts/load/reader.ts';

const all: [string, Suite][] = Object.entries(suites);
const measurement = (value: number, details: Record<string, number> = {}): Measurement => ({
  value,
  difference: 0,
  details,
});
const round = (values: Record<string, Measurement>): Round => new Map(Object.entries(values));

it('calls are due by the clock, whatever happened to earlier calls', () => {
  const pace = new Pace(1000, 500, 40);
  expect(pace.dueBy(499)).toBe(0);
  expect(pace.dueBy(500)).toBe(1);
  expect(pace.dueBy(509.9)).toBe(10);
  // A process that paused for a second owes all calls of that second at once, and they are late.
  expect(pace.dueBy(1500)).toBe(40);
  expect(pace.dueAt(0)).toBe(500);
  expect(pace.dueAt(39)).toBe(539);
  expect(pace.isOver(39)).toBe(false);
  expect(pace.isOver(40)).toBe(true);
});

it('a call is never due before its time', () => {
  const pace = new Pace(30_000, 12.3, 1_000_000);
  for (let now = 12.3; now < 40; now += 0.37) {
    const due = pace.dueBy(now);
    expect(pace.dueAt(due - 1)).toBeLessThanOrEqual(now + 1e-6);
    expect(pace.dueAt(due)).toBeGreaterThan(now - 1e-6);
  }
});

it('latencies have percentiles', () => {
  const latencies = new Latencies();
  expect(latencies.percentile(0.99)).toBe(0);
  for (let ms = 1; ms <= 100; ms++) latencies.note(ms);
  expect(latencies.percentile(0.5)).toBeCloseTo(50, 0);
  expect(latencies.percentile(0.99)).toBeCloseTo(99, 0);
});

it('a summary takes the median of each number separately and counts a missing detail as 0', () => {
  const scenario = { name: 'a', title: 'A', unit: 'x/s' } as Scenario;
  const rounds = [measurement(3, { n: 1 }), measurement(1, { n: 5, late: 4 }), measurement(2, { n: 3 })];
  expect(summarise(scenario, rounds)).toMatchObject({
    ...{ median: 2, min: 1, max: 3 },
    details: { n: 3, late: 0 },
  });
});

it('a ratio is the median of the quotients of each round, without rounds that lack a part', () => {
  const figure: Figure = {
    name: 'r',
    title: 'ratio',
    unit: 'times',
    target: { atLeast: 2 },
    of: one => (one.has('b') ? one.get('a')!.value / one.get('b')!.value : undefined),
  };
  const rounds = [
    round({ a: measurement(10), b: measurement(10) }),
    round({ a: measurement(4), b: measurement(2) }),
    round({ a: measurement(30), b: measurement(10) }),
    round({ a: measurement(1) }),
  ];
  expect(summariseFigure(figure, rounds)).toMatchObject({ median: 2, min: 1, max: 3, met: true });
  expect(summariseFigure(figure, [rounds[3]!])).toBeUndefined();
});

it('a target has a direction, and a verdict says what was missed', () => {
  expect([isMet(5, { atMost: 5 }), isMet(5.1, { atMost: 5 })]).toEqual([true, false]);
  expect([isMet(5, { atLeast: 5 }), isMet(4.9, { atLeast: 5 })]).toEqual([true, false]);
  const figure = { name: 'f', title: 'Lag', unit: 'ms', of: (one: Round) => one.get('a')?.value };
  const summed = (target: Figure['target']) =>
    summariseFigure({ ...figure, ...(target ? { target } : {}) }, [round({ a: measurement(412) })])!;
  expect(verdictOf(summed({ atMost: 300 }))).toBe('at most 300: missed: 412 of 300');
  expect(verdictOf(summed({ atLeast: 400 }))).toBe('at least 400: met');
  expect(verdictOf(summed(undefined))).toBe('');
  const scenario = { name: 'a', title: 'A', unit: 'x/s' } as Scenario;
  const details = { workerCores: 0.5, mysqlCores: 1.234, connections: 32, redisCpuMicrosPerUpdate: 2.345 };
  expect(tableOf([summarise(scenario, [measurement(1234.5, details)])], [])).toMatch(
    /^A\n +1,235 x\/s, 1,235 to 1,235\n +32 connections; cores: worker 0.50, mysql 1.23\n +CPU of an update, µs: redis 2.35$/,
  );
  expect(tableOf([], [summed({ atMost: 300 })])).toMatch(/Lag +412 ms +at most 300: missed: 412 of 300/);
});

it('a value just under its target is missed, even if rounding hides it', () => {
  const figure: Figure = { name: 'f', title: '', unit: '', target: { atLeast: 0.9 }, of: () => 0.8999 };
  expect(summariseFigure(figure, [round({})])).toMatchObject({ median: 0.9, met: false });
});

it('the peer to beat is the best peer, or none', () => {
  const against = mainFigures.find(({ name }) => name === 'counters-against-peers')!;
  const peers = { 'upsert-per-update': measurement(4000), 'bullmq-jobs': measurement(3000) };
  const some = round({ ...peers, counters: measurement(100_000) });
  expect(against.of(some)).toBeUndefined();
  const every = round({ ...peers, counters: measurement(100_000), 'bullmq-bulk': measurement(10_000) });
  expect(against.of(every)).toBe(10);
});

it('every figure uses scenarios of its suite', () => {
  for (const [name, { scenarios, figures }] of all) {
    const names = new Set(scenarios.map(scenario => scenario.name));
    expect(names.size, name).toBe(scenarios.length);
    for (const figure of figures) {
      const asked = new Set<string>();
      const spy = {
        get: (key: string) => {
          asked.add(key);
          return undefined;
        },
      };
      expect(figure.of(spy as unknown as Round), figure.name).toBeUndefined();
      expect(asked.size, figure.name).toBeGreaterThan(0);
      for (const key of asked) expect(names, figure.name).toContain(key);
    }
  }
});

it('the rate of a flush counts from the first quarter of its rows', () => {
  const commits = [
    { at: 1000, rows: 100 },
    { at: 2000, rows: 100 },
    { at: 2500, rows: 200 },
  ];
  // The worker started slowly: 100 rows in any time, then 300 in 1.5 s.
  expect(warmRate(commits)).toBe(200);
  expect(warmRate(commits.toReversed())).toBe(200);
  expect(warmRate([{ at: 1000, rows: 5 }])).toBe(0);
  expect(warmRate([])).toBe(0);
});

it('several producers count as one: sums add up, latencies are the worst', () => {
  const one = (n: number, p99: number) => ({
    ...{ acknowledged: n, warmUp: 1, refused: { FULL: n }, elapsedMs: n, loopDelayP99Ms: p99 },
    ...{ reads: n, staleReads: 1 },
    tally: {
      counters: Float64Array.of(n, 0),
      balances: Float64Array.of(0),
      entries: Float64Array.of(n),
    },
    callMs: { p50: 1, p99 },
  });
  const both = merge([one(3, 9), one(4, 2)]);
  expect(both).toMatchObject({ acknowledged: 7, warmUp: 2, refused: { FULL: 7 }, elapsedMs: 4 });
  expect(both).toMatchObject({ reads: 7, staleReads: 2 });
  expect([...both.tally.counters, ...both.tally.entries]).toEqual([7, 0, 7]);
  expect([both.callMs.p99, both.loopDelayP99Ms]).toEqual([9, 9]);
});

it('a value that lacks an acknowledged update is counted, and a later one is not', async () => {
  const traffic = { counterKeys: 3, exponent: 0, accounts: 1, pointsShare: 0, seed: 1 };
  const result = { reads: 0, staleReads: 0, tally: { counters: Float64Array.of(5, 5, 5) } };
  const read = Promise.withResolvers<string[]>();
  const counter = {
    // An update that is acknowledged while the value is read need not be in it.
    getMany: async (keys: string[]) => {
      result.tally.counters.fill(6);
      read.resolve(keys);
      return keys.map(key => (key.endsWith('/0') ? 4 : 5));
    },
  };
  const sluice = { counter: () => counter } as unknown as ConstructorParameters<typeof Reader>[0];
  const plan = { everyMs: 0, keys: 30 };
  const reader = new Reader(sluice, traffic, plan, result as unknown as PushResult);
  reader.start();
  const stopped = reader.stop();
  const keys = await read.promise;
  await stopped;
  expect(keys).toHaveLength(30);
  const missing = keys.filter(key => key.endsWith('/0')).length;
  expect(missing).toBeGreaterThan(0);
  expect(result).toMatchObject({ reads: 30, staleReads: missing });
});

it('a soak compares its first quarter with its last', () => {
  expect(quarters({ worker: [1, 3, 9, 9, 9, 9, 5, 7], one: [4] })).toEqual({
    worker: { first: 2, last: 6 },
    one: { first: 4, last: 4 },
  });
});

it('a line of redis-benchmark is parsed, and no other line', () => {
  const head = '"test","rps","avg_latency_ms","min_latency_ms"';
  expect(rateOf(`${head}\n"HINCRBY limit key:__rand_int__ 1","769230.81","4.116","0.144"\n`)).toBe(769230.81);
  expect(() => rateOf('Could not connect to Redis')).toThrow(/did not print a rate/);
});

it.runIf(process.platform === 'linux')('a process has a current and a peak memory use', () => {
  const { now, peak } = residentMb(process.pid);
  expect(now).toBeGreaterThan(10);
  expect(peak).toBeGreaterThanOrEqual(now);
});

it.runIf(process.platform === 'linux')('CPU is shared out among the updates, if there are any', () => {
  const meter = new CpuMeter({ own: [process.pid], both: [process.pid, process.pid] });
  const until = process.cpuUsage().user + process.cpuUsage().system + 200_000;
  while (process.cpuUsage().user + process.cpuUsage().system < until);
  const { ownCpuMicrosPerUpdate, bothCpuMicrosPerUpdate, ownCores } = meter.taken(1000);
  // 200 µs each, in steps of 10: the kernel counts hundredths of a second.
  expect(ownCpuMicrosPerUpdate).toBeGreaterThanOrEqual(180);
  expect(bothCpuMicrosPerUpdate).toBeGreaterThanOrEqual(2 * 180);
  expect(ownCores).toBeGreaterThan(0);
  expect(Object.keys(meter.taken(0))).toEqual(['ownCores', 'bothCores']);
});

it('a build is worse if the median is, and nearly every turn agrees', () => {
  expect(isWorse([1.2, 1.2, 1.2, 1.2, 1.2])).toBe(true);
  expect(isWorse([1.01, 1.02, 1.12, 1.2, 1.9])).toBe(true);
  // Just the limit; one of five turns that says otherwise; too few turns.
  expect(isWorse([1.1, 1.1, 1.1, 1.1, 1.1])).toBe(false);
  expect(isWorse([0.99, 1.2, 1.2, 1.2, 1.2])).toBe(false);
  expect(isWorse([1.2, 1.2, 1.2, 1.2])).toBe(false);
  expect(isWorse([])).toBe(false);
  // One of eight turns may differ, and two of eleven: a sign test at 5 %.
  expect(isWorse([0.9, ...Array(7).fill(1.2)])).toBe(true);
  expect(isWorse([0.9, 0.9, ...Array(8).fill(1.2)])).toBe(false);
  expect(isWorse([0.9, 0.9, ...Array(9).fill(1.2)])).toBe(true);
});

it('builds are compared turn by turn, so that a turn in which the machine is slow cancels out', () => {
  const scenario = { name: 'counters', title: '', unit: 'updates/s' } as Scenario;
  const turn = (slowness: number, after: number): Turn => ({
    old: measurement(1000 / slowness, { redisCpuMicrosPerUpdate: 2 * slowness, callP99Ms: 0 }),
    new: measurement(1000 / slowness, { redisCpuMicrosPerUpdate: 2 * after * slowness, callP99Ms: 1 }),
  });
  const turns = [turn(1, 1.2), turn(3, 1.2), turn(1, 1.3), turn(5, 1.2), turn(2, 1.1)];
  const comparisons = compareTurns(scenario, turns);
  // The old build's call latency is too short to divide by.
  expect(comparisons.map(({ what }) => what)).toEqual(['result', 'CPU of an update, redis']);
  expect(comparisons[0]).toMatchObject({ old: 500, new: 500, ratio: 1, min: 1, max: 1 });
  expect(comparisons[0]).not.toHaveProperty('worse');
  expect(comparisons[1]).toMatchObject({ scenario: 'counters', unit: 'µs', old: 4, worse: true });
  for (const [key, ratio] of [
    ['ratio', 1.2],
    ['min', 1.1],
    ['max', 1.3],
  ] as const)
    expect(comparisons[1]![key], key).toBeCloseTo(ratio, 9);
  const table = comparisonTable({ comparisons, differentSettings: { partitions: [16, 4] } }, 5);
  expect(table).toMatch(/partitions: 16 in the old build, 4 in the new/);
  expect(table).toMatch(/CPU of an update, redis, µs +4 +\S+ +1\.20 {2}\(1\.10 to 1\.30\) WORSE$/m);
  expect(table).toMatch(/beyond the noise: counters: CPU of an update, redis\.$/);
  const fine = compareTurns(scenario, [turn(1, 1), turn(1, 1), turn(1, 1), turn(1, 1), turn(1, 1)]);
  expect(comparisonTable({ comparisons: fine, differentSettings: {} }, 5)).toMatch(/No process takes more/);
  expect(comparisonTable({ comparisons: fine, differentSettings: {} }, 4)).toMatch(/at least 5 rounds/);
  expect(differing({ same: 1, gone: 2 }, { same: 1, added: 3 })).toEqual({
    gone: [2, undefined],
    added: [undefined, 3],
  });
});

it('the command line chooses a suite, which sets rounds and seconds', () => {
  expect(parseOptions([])).toMatchObject({ suite: 'main', rounds: 5, seconds: 3, only: [], save: true });
  expect(parseOptions(['--suite', 'soak', '--minutes', '2'])).toMatchObject({ rounds: 1, seconds: 120 });
  expect(parseOptions(['--suite', 'soak'])).toMatchObject({ seconds: 1200 });
  expect(parseOptions(['--set', 'partitions=4', '--set', 'flushIntervalMs=50'])).toMatchObject({
    settings: { partitions: 4, flushIntervalMs: 50 },
    save: false,
  });
  expect(parseOptions(['--compare', 'HEAD~1'])).toMatchObject({ compare: 'HEAD~1', save: false });
  expect(parseOptions(['--only', 'flush,steady', '--rounds', '2'])).toMatchObject({
    only: ['flush', 'steady'],
    rounds: 2,
  });
});

it('an unknown option or scenario is refused with the known ones', () => {
  const refused =
    (...args: string[]) =>
    (reason: RegExp | typeof UsageError) =>
      expect(() => parseOptions(args)).toThrow(reason);
  refused('--suite', 'mian')(/no suite "mian": main, scale/);
  refused('--only', 'soak')(/no scenario "soak" in main: upsert-per-update/);
  refused('--rounds', '1.5')(UsageError);
  refused('--seconds', '0')(UsageError);
  refused('--seconds', '5', '--minutes', '1')(/say the same/);
  refused('--sutie', 'main')(UsageError);
  refused('--database-delay', 'far')(/takes a positive number/);
  refused('--set', 'partitions')(/NAME=N/);
  refused('--set', 'partition=4')(/did you mean "partitions"/);
  refused('--set', 'partitions=4', '--suite', 'scale')(/sets the partitions itself/);
  refused('--compare', 'HEAD', '--profile', '/tmp/p')(/does not go with --compare/);
  for (const [name] of all) expect(usage).toContain(name);
});

it('README.md lists exactly the scenarios and the figures with their targets', () => {
  const page = readFileSync(new URL('../../bench/README.md', import.meta.url), 'utf8');
  const section = (title: string) => new RegExp(`\\n## ${title}\\n([\\s\\S]*?)(\\n## |$)`).exec(page)![1]!;
  const named = (text: string) => [...text.matchAll(/^\| `([\w-]+)`/gm)].map(([, name]) => name);
  const documented = all.flatMap(([name, { scenarios }]) =>
    // One line stands for all of a grid.
    name === 'scale' ? 'workers-N-producers-M-partitions-P' : scenarios.map(scenario => scenario.name),
  );
  expect(named(section('What is measured')).toSorted()).toEqual([...new Set(documented)].toSorted());
  const targets = all.flatMap(([, { figures }]) => figures.filter(({ target }) => target));
  const rows = named(section('Targets'));
  expect(rows.toSorted()).toEqual(targets.map(({ name }) => name).toSorted());
  for (const { name, unit, target } of targets) {
    const [bound, limit] = 'atLeast' in target! ? ['at least', target.atLeast] : ['at most', target!.atMost];
    expect(page).toMatch(
      new RegExp(`^\\| \`${name}\` +\\| ${bound} ${limit.toLocaleString('en-US')} ${unit} +\\|`, 'm'),
    );
  }
});

it('a profile gives shares of the busy time, whatever machine it comes from', () => {
  const frame = (id: number, functionName: string, url: string) => ({
    id,
    callFrame: { functionName, url, lineNumber: 1 },
  });
  const nodes = [
    frame(1, '(idle)', ''),
    frame(2, 'parse', 'file:///some/where/src/worker/batch.ts'),
    frame(3, '', 'file:///else/where/node_modules/a/index.js'),
    frame(4, 'parse', 'file:///some/where/src/worker/batch.ts'),
  ];
  expect(topFrames({ nodes, samples: [1, 2, 3, 4], timeDeltas: [100, 2, 1, 1] })).toEqual([
    { name: 'parse src/worker/batch.ts', share: 0.75 },
    { name: '(anonymous) node_modules/a/index.js', share: 0.25 },
  ]);
});

it('command statistics leave out the scripts that called the commands', () => {
  const info =
    'cmdstat_get:calls=4,usec=30,usec_per_call=7.5\r\ncmdstat_evalsha:calls=1,usec=99\r\ncmdstat_client|id:calls=1,usec=10,a=b\r\n';
  expect(topCommands(info)).toEqual([
    { name: 'get', share: 0.75 },
    { name: 'client|id', share: 0.25 },
  ]);
});

it.each([
  [benchFile, benchPage],
  [readmeFile, readmePage],
])('%s shows the newest results', (file, pageOf) => {
  const page = readFileSync(file, 'utf8');
  expect(pageOf(page), 'npm run generate').toBe(page);
});
