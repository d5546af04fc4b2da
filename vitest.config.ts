// Which tests run on which servers: the integration tests run once per pair of servers. Tests mostly wait, so
// more files run at once than there are cores: with three, two cores are idle for a tenth of the time, with four never,
// and everything takes longer. No test may depend on a fast machine.

import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { pairings } from './test/support/pairings.ts';

const limits = { testTimeout: 60_000, hookTimeout: 120_000 };

/**
 * The longest files start first, so that no core is idle at the end. A fresh clone has no recorded durations.
 */
const LONGEST = [
  'torture',
  'bench',
  'simulation',
  'cli-backfill',
  'durability',
  'demo',
  'mysql-failover',
  'actions',
  'views',
  'console-access',
  'cli-outage',
  'locked-table',
  'cli-worker',
  'clocks',
  'example-shop',
  'which-redis',
  'cli-transfers',
  'kill',
  'read-only',
  'losses',
  'servers',
  'package',
  'outage',
  'start',
  'cli-ingest',
  'ranks',
  'cli-failed',
  'cli-verify',
  'broken-tables',
  'recover-redis',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const at = LONGEST.findIndex(name => moduleId.endsWith(`/${name}.test.ts`));
      return at < 0 ? LONGEST.length : at;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

function project(name: string, include: string, globalSetup: string[] = [], exclude: string[] = []) {
  const setupFiles = ['test/support/after-file.ts'];
  // Files of one process share the modules that they load: to load them again took a fifth of the time.
  return {
    test: {
      name,
      include: [include],
      exclude,
      globalSetup,
      setupFiles,
      ...limits,
      maxWorkers: 3,
      isolate: false,
    },
  };
}

export default defineConfig({
  test: {
    globalSetup: ['test/support/run-folder.ts', 'test/support/build.ts'],
    sequence: { sequencer: LongestFirst },
    // One line per file, and all output of failed tests.
    silent: 'passed-only',
    restoreMocks: true,
    slowTestThreshold: Number.POSITIVE_INFINITY,
    projects: [
      project('unit', 'test/unit/**/*.test.ts'),
      ...Object.entries(pairings).map(([name, { only = '*', except = [] }]) =>
        project(
          name,
          `test/integration/${only}.test.ts`,
          ['test/support/start-servers.ts'],
          except.map(file => `test/integration/${file}.test.ts`),
        ),
      ),
      project('browser', 'test/browser/**/*.test.ts', ['test/support/start-servers.ts']),
      project('topology', 'test/topology/**/*.test.ts'),
      project('simulation', 'test/simulation/**/*.test.ts'),
      project('package', 'test/package/**/*.test.ts'),
      project('shop', 'test/shop/**/*.test.ts', [
        'test/support/start-servers.ts',
        'test/support/shop-checkout.ts',
      ]),
      project('fault', 'test/fault/**/*.test.ts'),
    ],
  },
});
