// Every benchmark scenario still runs, in tiny sizes, with all figures of a result file. Each compares its
// sums with MySQL, so this also fails if the engine loses an update. It never measures speed.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { suites } from '../../bench/scenarios/index.ts';

const project = fileURLToPath(new URL('../../', import.meta.url));

function bench(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, BENCH_TRIAL: '1' };
    const child = spawn('npm', ['run', '--silent', 'bench', '--', ...args], { cwd: project, env });
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
  const least = ['--rounds', '1', '--seconds', '0.3', '--updates', '5000', '--no-save', '--json'];
  const { code, stdout, stderr } = await bench('--suite', suite, ...least, ...args);
  expect(code, stderr).toBe(0);
  const result: Result = JSON.parse(stdout);
  for (const { name, median, rounds } of result.scenarios) {
    expect(median, name).toBeGreaterThanOrEqual(0);
    expect(rounds, name).toHaveLength(1);
    expect(rounds[0]!.difference, name).toBe(0);
  }
  return result;
}

test('every scenario runs with right sums and all figures', { timeout: 400_000 }, async () => {
  const result = await tiny('main');
  expect(result.scenarios.map(({ name }) => name)).toEqual(suites.main.scenarios.map(({ name }) => name));
  expect(result.figures.map(({ name }) => name)).toEqual(suites.main.figures.map(({ name }) => name));
  for (const { name, median } of result.figures) expect(median, name).toBeGreaterThanOrEqual(0);
  expect(result.versions.mysql).toMatch(/^9\.7/);
  expect(result.machine.cores).toBeGreaterThan(0);
});

test('the long suites run in short versions', { timeout: 180_000 }, async () => {
  await tiny('scale', '--only', 'workers-2-producers-2-partitions-8');
  const { figures: ofBacklog } = await tiny('backlog');
  expect(ofBacklog.map(({ name }) => name)).toEqual(suites.backlog.figures.map(({ name }) => name));
  const { figures: ofSoak } = await tiny('soak');
  expect(ofSoak.map(({ name }) => name)).toEqual(suites.soak.figures.map(({ name }) => name));
});

test('the HTTP API runs beside its peers', { timeout: 180_000 }, async () => {
  const { figures } = await tiny('http');
  expect(figures.map(({ name }) => name)).toEqual(suites.http.figures.map(({ name }) => name));
});

test('two versions are compared in turns, with the settings that are given', {
  timeout: 180_000,
}, async () => {
  const { code, stdout, stderr } = await bench(
    ...['--compare', '.', '--only', 'live,flush,hincrby', '--set', 'partitions=3', '--rounds', '2'],
    ...['--seconds', '0.3', '--updates', '5000', '--json'],
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

test('an unknown scenario is refused', async () => {
  const { code, stderr } = await bench('--only', 'cuonters');
  expect(code).toBe(2);
  expect(stderr).toMatch(/no scenario "cuonters"/);
});
