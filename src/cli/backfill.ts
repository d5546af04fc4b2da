/** `sluice backfill`: its options. backfill-run.ts carries it out. */
import type { Command } from 'commander';
import type { ExitCode } from './exit.ts';

/** Adds the command; `set` takes the exit code that it ends with. */
export function addBackfill(program: Command, set: (code: ExitCode) => void): void {
  program
    .command('backfill')
    .description('copy a column of your own table into a counter, program or value, while traffic goes on')
    .argument('<run>', 'name of this copy; the same name goes on where it stopped')
    .requiredOption('--table <table>', 'your table, as table or schema.table')
    .requiredOption('--key <columns>', 'its primary key or a unique key; several columns as a,b')
    .requiredOption('--value <column>', 'column of whole numbers')
    .requiredOption('--to <name>', 'counter, program or value that gets the numbers')
    .option('--points', 'the program, if a counter has the same name')
    .option('--where <sql>', 'only rows that meet this condition')
    .option('--mark <column>', 'column that says where a row is: 0 in your table, 1 on its way, 2 in Sluice')
    .option('--dry-run', 'read all rows, say what would be copied, and change nothing')
    .option('--rate <n>', 'most rows a second')
    .option('--page <n>', 'most rows on their way at a time', '5000')
    .option('--lag <seconds>', 'go slower while the flush is further behind than this', '3')
    .option('--patience <seconds>', 'how long to wait for Redis and the workers before it stops', '60')
    .option('--skip-unusable', 'pass over rows that cannot be copied, instead of stopping')
    .option(
      '--unproven <choice>',
      'the page under way, if nobody can prove it: discard (may lose) or apply (may double)',
    )
    .option('--again', 'although another backfill copies the same column to the same place')
    .option('--operator <name>', 'who does this, for the record; your user name by default')
    .option('--json', 'print the report as JSON')
    .addHelpText('after', HELP)
    .action(async (run, options) => set(await (await import('./backfill-run.ts')).runBackfill(run, options)));
}

const HELP = `
Each row is counted once, however often this is killed and started again: run it with the same name and options.
Points become one entry for each account, whose id no caller can use; that holds for ever.
Counters: if it is killed while it sends a page, start it again before SLUICE_IDEMPOTENCY_WINDOW_MS has passed. Later, or
after Redis lost updates, nobody can prove which values of this one page were counted: it sends nothing and
exits with BACKFILL_UNPROVEN.

It reads each row once. Without --mark, nobody else may change the values meanwhile: docs/adopting.md says how to
move a service that goes on writing them.

Example:
  sluice backfill users-2026 --table users --key id --value points --to loyalty --dry-run`;
