// Every benchmark scenario still runs, in tiny sizes, with all figures of a result file. Each compares its
// sums with MySQL, so this also fails if the engine loses an update. It never measures speed.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { suites } from '../../bench/scenarios/index.ts';
import { TYPESCRIPT } from '../../scripts/load/typescript.ts';

const project = fileURLToPath(new URL('../../', import.meta.url));

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

function run(file: string, args: string[]): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, BENCH_TRIAL: '1' };
    const child = spawn(file, args, { cwd: project, env });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', chunk => {
      stdout += chunk;
    });
    child.stderr.on('data', chunk => {
      stderr += chunk;
    });
    child.once('error', reject);
    child.once('close', code => resolve({ code, stdout, stderr }));
  });
}

/** The program by itself, since npm and tsx would take a second of every run. */
const bench = (...args: string[]) => run(process.execPath, [...TYPESCRIPT, 'bench/main.ts', ...args]);

interface Result {
  scenarios: { name: string; median: number; rounds: { difference: number }[] }[];
  figures: { name: string; median: number; met?: boolean }[];
  versions: { mysql: string };
  machine: { cores: number };
}

interface Compared {
  settings: { partitions: number };
  comparisons: { scenario: string }[];
  turns: Record<string, Record<'old' | 'new', { details: Record<string, number> }>[]>;
}

async function tiny(suite: keyof typeof suites, ...args: string[]): Promise<Result> {
  const least = ['--rounds', '1', '--seconds', '0.1', '--updates', '2000', '--no-save', '--json'];
  const { code, stdout, stderr } = await bench('--suite', suite, ...least, ...args);
  expect(code, stderr).toBe(0);
  const result: Result = JSON.parse(stdout);
  for (const { name, median, rounds } of result.scenarios) {
    expect(median, name).toBeGreaterThanOrEqual(0);
    expect(rounds, name).toHaveLength(1);
    expect(rounds[0]!.difference, name).toBe(0);
  }
  for (const { name, median } of result.figures) expect(median, name).toBeGreaterThanOrEqual(0);
  return result;
}

const namesOf = (all: readonly { name: string }[]) => all.map(({ name }) => name);

/** The suite in parts, so that a slow machine does not need the time of all of it for one test. */
const parts = {
  'the engine and its peers': [
    ...['upsert-per-update', 'bullmq-jobs', 'counters', 'live', 'bulk-upsert', 'bullmq-bulk', 'redis-list'],
    ...['process-buffer', 'readable-buffer', 'hincrby', 'evalsha'],
  ],
  'single calls, points and limits': [
    ...['uniform', 'uniform-upsert', 'flush', 'flush-upsert', 'single-calls', 'steady', 'steady-hincrby'],
    ...['api-loop', 'points', 'ledger-insert', 'scripts', 'ranks', 'pending-memory'],
  ],
};

/** Figures of the main suite that a run of these scenarios must have. */
function figuresWith(scenarios: readonly string[]): string[] {
  const details = new Proxy<Record<string, number>>({}, { get: () => 1 });
  const round = new Map(scenarios.map(name => [name, { value: 1, difference: 0, details }]));
  return namesOf(suites.main.figures.filter(figure => figure.of(round) !== undefined));
}

test('the parts have every scenario and every figure', () => {
  const all = Object.values(parts);
  expect(all.flat().toSorted()).toEqual(namesOf(suites.main.scenarios).toSorted());
  expect(new Set(all.flatMap(figuresWith))).toEqual(new Set(namesOf(suites.main.figures)));
});

for (const [title, scenarios] of Object.entries(parts)) {
  test(`right sums and all figures: ${title}`, { timeout: 300_000 }, async () => {
    const result = await tiny('main', '--only', scenarios.join());
    expect(namesOf(result.scenarios).toSorted()).toEqual(scenarios.toSorted());
    expect(namesOf(result.figures)).toEqual(figuresWith(scenarios));
    expect(result.versions.mysql).toMatch(/^9\.7/);
    expect(result.machine.cores).toBeGreaterThan(0);
  });
}

test('a scale with two workers runs', { timeout: 180_000 }, async () => {
  await tiny('scale', '--only', 'workers-2-producers-2-partitions-8');
});

for (const suite of ['backlog', 'soak', 'http'] as const) {
  test(`the suite ${suite} runs in a short version`, { timeout: 180_000 }, async () => {
    const { figures } = await tiny(suite);
    expect(namesOf(figures)).toEqual(namesOf(suites[suite].figures));
  });
}

test('two versions are compared in turns, with the settings that are given', {
  timeout: 180_000,
}, async () => {
  const { code, stdout, stderr } = await bench(
    ...['--compare', '.', '--only', 'live,flush,hincrby', '--set', 'partitions=3', '--rounds', '2'],
    // The number of updates ends a measurement, so that a slow machine sends as many.
    ...['--seconds', '60', '--updates', '5000', '--json'],
  );
  expect(code, stderr).toBe(0);
  expect(stderr).toMatch(/left out.*: hincrby/);
  // The order changes with each round.
  const order = [...stderr.matchAll(/^round \d of 2, (\w+) .*values: all keys.*$/gm)].map(([, name]) => name);
  expect(order).toEqual(['old', 'new', 'new', 'old']);
  const result: Compared = JSON.parse(stdout);
  expect(result.settings.partitions).toBe(3);
  expect(Object.keys(result.turns)).toEqual(['live', 'flush']);
  for (const turn of result.turns.live!)
    for (const one of [turn.old, turn.new]) {
      expect(one.details.updates).toBe(5000);
      expect(one.details.reads).toBeGreaterThan(0);
    }
  expect(result.comparisons.map(({ scenario }) => scenario)).toContain('live');
});

test('npm run bench refuses an unknown scenario', async () => {
  const { code, stderr } = await run('npm', ['run', '--silent', 'bench', '--', '--only', 'cuonters']);
  expect(code).toBe(2);
  expect(stderr).toMatch(/no scenario "cuonters"/);
});
