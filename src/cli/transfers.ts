/** `sluice transfers`: its subcommands and their options. transfers-run.ts carries them out. */
import type { Command } from 'commander';
import type { ExitCode } from './exit.ts';

/** Adds the command; `set` takes the exit code that an action ends with. */
export function addTransfers(program: Command, set: (code: ExitCode) => void): Command {
  const transfers = program
    .command('transfers')
    .description('list transfers that wait for their credit; retry or return those that MySQL refuses')
    .addHelpText(
      'after',
      '\nA transfer in state open is in transit: workers drive it, and you only wait. One in state aside waits for you:\n' +
        'MySQL refused its credit. No transfer can be dropped or edited, since its points belong to somebody.\n' +
        '\nExample:\n  sluice transfers list --state aside',
    );
  const add = (name: string, description: string, example: string) =>
    selecting(transfers.command(name).description(description)).addHelpText(
      'after',
      `\nExample:\n  ${example}`,
    );

  add('list', 'list transfers that wait, the oldest first', 'sluice transfers list --account 00004')
    .option('--state <state>', 'open (in transit) or aside (waits for you)')
    .option('--limit <n>', 'most transfers to print', '100')
    .option('--json', 'print JSON')
    .action(async (which, options) => set(await (await run()).runList(which, options)));

  changing(
    add(
      'retry',
      'let workers send the credits once more, after you have repaired the cause',
      'sluice transfers retry --code TARGET_ROW_MISSING',
    ),
  )
    .option('--reason <text>', 'why, for the audit record')
    .action(async (which, options) => set(await (await run()).runRetry(which, options)));

  changing(
    add(
      'return',
      'give the points back to the accounts that they came from',
      "sluice transfers return --account 00004 --reason 'account closed'",
    ),
  )
    .option('--to <account>', 'another account of the program that gets the points instead')
    .option('--reason <text>', 'why, for the audit record; required, except with --dry-run')
    .action(async (which, options) => set(await (await run()).runReturn(which, options)));
  return transfers;
}

const run = () => import('./transfers-run.ts');

function selecting(command: Command): Command {
  return command
    .argument('[which...]', 'names of transfers')
    .option('--name <name>', 'name of a program')
    .option('--account <account>', 'source or destination')
    .option('--code <code>', 'error code with which MySQL refused the credit')
    .option('--from <time>', 'debited at this time or later, such as 2026-03-01T12:00:00Z')
    .option('--until <time>', 'debited before this time');
}

function changing(command: Command): Command {
  return command
    .option('--all', 'every transfer that is aside; cannot be combined with a filter')
    .option('--dry-run', 'show what would happen, and change nothing')
    .option('--operator <name>', 'who does this, for the audit record; your user name by default')
    .option('--json', 'print the report as JSON');
}
