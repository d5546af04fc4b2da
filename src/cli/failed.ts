/** `sluice failed`: its subcommands and their options. failed-look.ts and failed-run.ts carry them out. */
import type { Command } from 'commander';
import type { ExitCode } from './exit.ts';

const WHICH = 'numbers of quarantined updates, job:ID for failed flush jobs';

/** Adds the command; `set` takes the exit code that an action ends with. */
export function addFailed(program: Command, set: (code: ExitCode) => void): Command {
  const failed = program
    .command('failed')
    .description('list, replay, edit and drop failed updates and flush jobs')
    .addHelpText('after', '\nExample:\n  sluice failed list --code TARGET_ROW_MISSING');
  const add = (name: string, description: string, example: string) =>
    failed.command(name).description(description).addHelpText('after', `\nExample:\n  ${example}`);

  selecting(add('list', 'list what has failed, the oldest first', 'sluice failed list --name page_views'))
    .option('--limit <n>', 'most updates to print', '100')
    .option('--after <number>', 'only updates with greater numbers, for the next page', '0')
    .option('--json', 'print JSON')
    .action(async (which, options) => set(await (await look()).runList(which, options)));

  add('show', 'show single updates in full, and what was done to them', 'sluice failed show 17')
    .argument('<which...>', WHICH)
    .option('--json', 'print JSON')
    .action(async (which, options) => set(await (await look()).runShow(which, options)));

  selecting(
    add('export', 'print every match as a line of JSON', 'sluice failed export > failed.ndjson'),
  ).action(async (which, options) => set(await (await look()).runExport(which, options)));

  running(
    add(
      'replay',
      'write updates to MySQL again, and wake the partitions of failed jobs',
      'sluice failed replay --code TARGET_ROW_MISSING --dry-run',
    ),
  )
    .option(
      '--edit <json>',
      'replay with changes: one or more of {"amount":5,"reason":"...","metadata":{...}}',
    )
    .action(async (which, options) => set(await (await run()).runReplay(which, options)));

  running(
    add(
      'drop',
      'discard updates, take them out of the live values, and remove failed jobs',
      "sluice failed drop 17 --reason 'test data'",
    ),
  )
    .option('--reason <text>', 'why, for the audit record; required, except with --dry-run or --resume')
    .action(async (which, options) => set(await (await run()).runDrop(which, options)));

  add(
    'audit',
    'show who replayed, edited, dropped, repaired or recovered what, the newest first',
    'sluice failed audit 3',
  )
    .argument('[operation]', 'one operation, with the outcome of each update')
    .option('--limit <n>', 'most operations to print, or most updates of one operation', '20')
    .option('--json', 'print JSON')
    .action(async (operation, options) => set(await (await look()).runAudit(operation, options)));
  return failed;
}

const look = () => import('./failed-look.ts');
const run = () => import('./failed-run.ts');

function selecting(command: Command): Command {
  return command
    .argument('[which...]', WHICH)
    .option('--kind <kind>', 'counter or entry')
    .option('--name <name>', 'name of a counter or program')
    .option('--key <key>', 'counter key or account')
    .option('--code <code>', 'error code')
    .option('--from <time>', 'failed at this time or later, such as 2026-03-01T12:00:00Z')
    .option('--until <time>', 'failed before this time')
    .option('--partition <n>', 'number of a partition')
    .option('--batch <sequence>', 'sequence number of a batch of that partition');
}

function running(command: Command): Command {
  return selecting(command)
    .option('--all', 'everything; cannot be combined with a filter')
    .option('--dry-run', 'show what would happen, and change nothing')
    .option('--rate <n>', 'most updates a second')
    .option('--resume <operation>', 'continue an operation that was interrupted')
    .option('--operator <name>', 'who does this, for the audit record; your user name by default')
    .option('--json', 'print the report as JSON');
}
