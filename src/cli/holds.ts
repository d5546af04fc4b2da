/** `sluice holds`: its subcommands and their options. holds-run.ts carries them out. */
import type { Command } from 'commander';
import type { ExitCode } from './exit.ts';

/** Adds the command; `set` takes the exit code that an action ends with. */
export function addHolds(program: Command, set: (code: ExitCode) => void): Command {
  const holds = program
    .command('holds')
    .description('list holds of points; void one that nobody else will end')
    .addHelpText(
      'after',
      '\nAn open hold waits for its service to post or void it, or for the end of its time. Void one only if the service\n' +
        'never will: its points are free at once, and a later post is refused.\n' +
        '\nExample:\n  sluice holds list --status open --account 00004',
    );
  holds
    .command('list')
    .description('list holds as MySQL has them, by program, account and id')
    .addHelpText('after', '\nExample:\n  sluice holds list --expired-for 60')
    .option('--program <name>', 'name of a program')
    .option('--account <account>', 'account')
    .option('--status <status>', 'open, posted, voided or expired')
    .option(
      '--expired-for <seconds>',
      'open holds whose time was over so long ago: workers should have ended them',
    )
    .option('--limit <n>', 'most holds to print', '100')
    .option('--after <cursor>', 'the next page: what the page before printed')
    .option('--json', 'print JSON')
    .action(async options => set(await (await run()).runList(options)));
  holds
    .command('void')
    .description('end an open hold and free its points')
    .addHelpText(
      'after',
      "\nExample:\n  sluice holds void --program loyalty --account 00004 --id order-7 --reason 'order was deleted'",
    )
    .requiredOption('--program <name>', 'name of the program')
    .requiredOption('--account <account>', 'account')
    .requiredOption('--id <id>', 'id of the hold')
    .requiredOption('--reason <text>', 'why, for the audit record')
    .option('--operator <name>', 'who does this, for the audit record; your user name by default')
    .option('--json', 'print the report as JSON')
    .action(async options => set(await (await run()).runVoid(options)));
  return holds;
}

const run = () => import('./holds-run.ts');
