/** Adds `sluice plan`, which asks no server, and its options. */
import type { Command } from 'commander';
import type { ExitCode } from './exit.ts';
import { loadCatalogue, optionName, partitionsInput } from './plan-load.ts';

/** Adds the command; `set` takes the exit code that an action ends with. */
export function addPlan(program: Command, set: (code: ExitCode) => void): void {
  const plan = program
    .command('plan')
    .description('estimate which Redis, which MySQL and how many workers a load needs; asks no server')
    .exitOverride();
  for (const [name, { unit, what, default: preset }] of Object.entries(loadCatalogue))
    plan.option(`${optionName(name)} <${unit}>`, `${what} (default: ${preset})`);
  plan
    .option(
      `--partitions <${partitionsInput.unit}>`,
      `${partitionsInput.what} (default: as many as are needed)`,
    )
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nThe plan uses measurements from the machine of bench/README.md and default settings: see docs/capacity.md.\n' +
        '\nExample:\n  sluice plan --updates 30000 --keys 1000000 --entries 500',
    )
    .action(async options => set((await import('./plan-report.ts')).runPlan(options)));
}
