// The benchmarks still work: run tiny, every scenario, with the figures that a result file has. Never a test of speed.
// Each of them compares its sums with MySQL, so this also fails where the engine loses an update.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const project = fileURLToPath(new URL('../../', import.meta.url));

function bench(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn('npm', ['run', '--silent', 'bench', '--', ...args], { cwd: project });
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

test('every scenario runs and every sum is right', { timeout: 180_000 }, async () => {
  const { code, stdout, stderr } = await bench('--rounds', '1', '--updates', '5000', '--no-save', '--json');
  expect(code, stderr).toBe(0);
  const result = JSON.parse(stdout);
  const names = result.scenarios.map(({ name }: { name: string }) => name);
  expect(names).toEqual(expect.arrayContaining(['counters', 'single-calls', 'points', 'upsert-per-update']));
  for (const { median, rounds } of result.scenarios) {
    expect(median).toBeGreaterThan(0);
    expect(rounds).toHaveLength(1);
    expect(rounds[0].difference).toBe(0);
  }
  expect(result.versions.mysql).toMatch(/^9\.7/);
  expect(result.machine.cores).toBeGreaterThan(0);
});

test('an unknown scenario is refused', async () => {
  const { code, stderr } = await bench('--only', 'cuonters');
  expect(code).toBe(2);
  expect(stderr).toMatch(/no scenario "cuonters"/);
});
