// Which tests run against which servers. One suite of integration tests, once per pair of servers.
// Pairs run one after another: on two cores, servers that compete would make every timing worthless.

import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { pairings } from './test/support/pairings.ts';

const limits = { testTimeout: 60_000, hookTimeout: 120_000 };

/** A fresh clone knows no durations, so the largest files would go first; these are small and take long. */
const longest = ['bench', 'demo', 'start', 'mysql-failover', 'cli-failed', 'cli-verify', 'cli-outage'];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification) =>
      longest.some(name => moduleId.endsWith(`/${name}.test.ts`));
    const sorted = Map.groupBy(await super.sort(files), file => file.project.name);
    return [...sorted.values()].flatMap(ofProject => [
      ...ofProject.filter(isLong),
      ...ofProject.filter(file => !isLong(file)),
    ]);
  }
}

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
    globalSetup: ['test/support/run-folder.ts', 'test/support/build.ts'],
    sequence: { sequencer: LongestFirst },
    // A line for each file, and everything of what failed.
    silent: 'passed-only',
    slowTestThreshold: Number.POSITIVE_INFINITY,
    projects: [
      project('unit', 'test/unit/**/*.test.ts', 0),
      ...Object.entries(pairings).map(([name, { only = '*' }], index) =>
        project(name, `test/integration/${only}.test.ts`, index + 1, {
          globalSetup: ['test/support/start-servers.ts'],
        }),
      ),
      project('topology', 'test/topology/**/*.test.ts', 10),
      // Two threads of schedules, and the package's tests, which mostly wait for npm.
      project('simulation', 'test/simulation/**/*.test.ts', 11),
      project('package', 'test/package/**/*.test.ts', 11),
      // Measures how fast the engine recovers, so nothing may run beside it, not even another of these.
      project('fault', 'test/fault/**/*.test.ts', 12, { maxWorkers: 1 }),
    ],
  },
});
