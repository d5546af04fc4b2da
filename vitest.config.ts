// Which tests run against which servers. One suite of integration tests, once per pair of servers.
// Pairs run one after another: on two cores, servers that compete would make every timing worthless.

import { defineConfig } from 'vitest/config';
import { pairings } from './test/support/pairings.ts';

const limits = { testTimeout: 60_000, hookTimeout: 120_000, maxWorkers: 2 };

function project(name: string, include: string, order: number, globalSetup: string[] = []) {
  return { test: { name, include: [include], globalSetup, ...limits, sequence: { groupOrder: order } } };
}

export default defineConfig({
  test: {
    projects: [
      project('unit', 'test/unit/**/*.test.ts', 0),
      project('simulation', 'test/simulation/**/*.test.ts', 12),
      ...Object.keys(pairings).map((name, index) =>
        project(name, 'test/integration/**/*.test.ts', index + 1, ['test/support/start-servers.ts']),
      ),
      project('topology', 'test/topology/**/*.test.ts', 10),
      // Measures how fast the engine recovers, so nothing else may run beside it.
      project('fault', 'test/fault/**/*.test.ts', 12),
      project('package', 'test/package/**/*.test.ts', 11),
    ],
  },
});
