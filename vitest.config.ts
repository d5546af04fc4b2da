// Which tests run against which servers. One suite of integration tests, once per pair of servers.
// Pairs run one after another: on two cores, servers that compete would make every timing worthless.

import { defineConfig } from 'vitest/config';
import { pairings } from './test/support/pairings.ts';

const limits = { testTimeout: 60_000, hookTimeout: 120_000 };

function project(
  name: string,
  include: string,
  order: number,
  { globalSetup = [] as string[], maxWorkers = 2 } = {},
) {
  const sequence = { groupOrder: order };
  return { test: { name, include: [include], globalSetup, ...limits, maxWorkers, sequence } };
}

export default defineConfig({
  test: {
    globalSetup: ['test/support/build.ts'],
    projects: [
      project('unit', 'test/unit/**/*.test.ts', 0),
      ...Object.entries(pairings).map(([name, { only = '*' }], index) =>
        project(name, `test/integration/${only}.test.ts`, index + 1, {
          globalSetup: ['test/support/start-servers.ts'],
        }),
      ),
      project('topology', 'test/topology/**/*.test.ts', 10),
      // Beside the package's tests, which mostly wait for npm: one thread of a hundred thousand schedules.
      project('simulation', 'test/simulation/**/*.test.ts', 11),
      project('package', 'test/package/**/*.test.ts', 11),
      // Measures how fast the engine recovers, so nothing may run beside it, not even another of these.
      project('fault', 'test/fault/**/*.test.ts', 12, { maxWorkers: 1 }),
    ],
  },
});
