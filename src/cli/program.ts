/** The `sluice` command; each subcommand has its own file in this folder. main.ts makes a process of it. */
import { Command, CommanderError } from 'commander';
import { packageVersion } from '../shared/config/version.ts';
import { addBackfill } from './backfill.ts';
import { EXIT, type ExitCode, exitCodeOf, reportError } from './exit.ts';
import { addFailed } from './failed.ts';
import { addHolds } from './holds.ts';
import { addKeys } from './keys.ts';
import { addPlan } from './plan.ts';
import { addTransfers } from './transfers.ts';
import { addUsers } from './users.ts';

const program = new Command('sluice')
  .description('Write-behind for counters and points: Redis in front, MySQL exactly once in effect.')
  .version(packageVersion())
  .showHelpAfterError()
  .exitOverride()
  .addHelpText(
    'after',
    '\nREDIS_URL and MYSQL_URL name the servers; docs/configuration.md lists all environment variables.\n' +
      '\nExample:\n  REDIS_URL=redis://localhost MYSQL_URL=mysql://root@localhost/app sluice status',
  );

let code: ExitCode = EXIT.ok;

/** Each command is loaded when it runs, so that `--help` loads no client of a server. */
function command(name: string, description: string, example: string): Command {
  return program
    .command(name)
    .description(description)
    .exitOverride()
    .addHelpText('after', `\nExample:\n  ${example}`);
}

command(
  'worker',
  'flush updates to MySQL until SIGTERM',
  'REDIS_URL=redis://localhost MYSQL_URL=mysql://root@localhost/app sluice worker',
)
  .option('--console', "also show the operator's page, for small set-ups; see: sluice console --help")
  .action(async options => {
    code = await (await import('./worker.ts')).runWorker(options);
  });

command(
  'serve',
  'answer the HTTP API until SIGTERM',
  'REDIS_URL=redis://localhost MYSQL_URL=mysql://root@localhost/app sluice serve',
)
  .addHelpText(
    'after',
    '\nEach request needs a key, which "sluice keys create" makes. SLUICE_API_HOST and SLUICE_API_PORT say where it\n' +
      'answers (127.0.0.1:8080), SLUICE_HTTP_PORT where it shows health and metrics. docs/http.md has all routes.',
  )
  .action(async () => {
    code = await (await import('./serve.ts')).runServe();
  });

command(
  'console',
  "show the operator's page until SIGTERM",
  'REDIS_URL=redis://localhost MYSQL_URL=mysql://root@localhost/app sluice console',
)
  .addHelpText(
    'after',
    '\nSLUICE_CONSOLE_HOST and SLUICE_CONSOLE_PORT say where it answers (127.0.0.1:9466). Without users it only shows,\n' +
      'and only on this machine; "sluice users add" makes some. docs/console.md has all of it.',
  )
  .action(async () => {
    code = await (await import('./console.ts')).runConsole();
  });

command(
  'migrate',
  'create or update the tables in MySQL',
  'MYSQL_URL=mysql://root@localhost/app sluice migrate',
)
  .option('--json', 'print the report as JSON')
  .action(async options => {
    code = await (await import('./migrate.ts')).runMigrate(options);
  });

command(
  'ingest',
  'send NDJSON updates, one a line, from a file or standard input',
  'sluice ingest --run monday views.ndjson',
)
  .argument('<file>', 'NDJSON file, or - for standard input')
  .option('--run <name>', 'make NAME:line the idempotency key, so that a killed ingest can be run again')
  .addHelpText(
    'after',
    '\nLines:\n  {"counter":"page_views","key":"/index.html","by":1}\n' +
      '  {"points":"loyalty","account":"00004","amount":29,"id":"0001-1","reason":"purchase"}\n' +
      '  {"points":"loyalty","from":"00004","to":"00005","amount":10,"id":"gift-9"}\n' +
      '  {"points":"loyalty","account":"00004","hold":50,"id":"order-7","expiresInMs":60000}\n' +
      '  {"points":"loyalty","account":"00004","post":"order-7","amount":30}\n' +
      '  {"points":"loyalty","account":"00004","void":"order-8"}\n\n' +
      'Sluice remembers ids of points entries for ever. It remembers ids of counter updates for\n' +
      'SLUICE_IDEMPOTENCY_WINDOW_MS, and the newest SLUICE_IDEMPOTENCY_LIMIT of each partition.\n' +
      'Run a killed ingest again before it forgets them.',
  )
  .option('--patience <seconds>', 'how long to retry a line while a server is away', '30')
  .option('--strict', 'stop at the first rejected line, with exit code 1')
  .option('--json', 'print the report as JSON')
  .action(async (file, options) => {
    code = await (await import('./ingest.ts')).runIngest(file, options);
  });

command(
  'health',
  'check the worker on this machine; exit code 1 if it is not well',
  'SLUICE_HTTP_PORT=9464 sluice health --ready',
)
  .option('--ready', 'check that it can flush now, not only that it runs')
  .action(async options => {
    code = await (await import('./health.ts')).runHealth(options);
  });

command('status', 'show partitions, flush jobs, quarantine, transfers and ranks', 'sluice status --json')
  .option('--json', 'print JSON')
  .action(async options => {
    code = await (await import('./status.ts')).runStatus(options);
  });

command(
  'verify',
  'compare live values, ledgers and transfers with the database; exit code 1 if a difference remains',
  'sluice verify --json\n  sluice verify --repair --reason "redis-cli in production"',
)
  .option('--repair', 'set live values that drifted to the right value, while traffic goes on')
  .option('--operator <name>', 'who repairs, for the audit record; your user name by default')
  .option('--reason <text>', 'why, for the audit record')
  .addHelpText(
    'after',
    '\nA repair changes live values in Redis only, never MySQL: it only reports ledgers and transfers that do not\n' +
      'add up. In a mapped table it takes over values that others have written.',
  )
  .option('--json', 'print JSON')
  .action(async options => {
    code = await (await import('./verify.ts')).runVerify(options);
  });

command(
  'rank',
  'show the ranks of a counter, program or value with "ranked": true',
  'sluice rank best_score --top 10\n  sluice rank best_score --around u1 --json',
)
  .argument('<name>', 'counter, program or value')
  .option('--top <number>', 'how many members, 1 to 1000', '10')
  .option('--around <key>', 'the members before and after this key, in place of the first')
  .option('--points', 'the program, if a counter has the same name')
  .option('--build', 'build the ranks anew first, and show the progress; updates go on meanwhile')
  .option('--drop', 'remove the ranks of a name that is no longer ranked')
  .option('--json', 'print JSON')
  .action(async (name, options) => {
    code = await (await import('./rank.ts')).runRank(name, options);
  });

command(
  'recover',
  'show what a restored backup did to the partitions, and with --yes end their halt; exit code 1 if one is halted',
  'sluice recover\n  sluice recover --yes --reason "MySQL restored to 04:00"',
)
  .option('--yes', 'do what is shown; without it nothing is changed')
  .option('--partition <number>', 'this partition only')
  .option(
    '--counters <choice>',
    'what to do with counters of an old backup of Redis: discard (may lose) or apply (may double); discard by default',
  )
  .option('--operator <name>', 'who recovers, for the audit record; your user name by default')
  .option('--reason <text>', 'why, for the audit record')
  .addHelpText('after', '\nRead docs/recovery.md first.')
  .option('--json', 'print JSON')
  .action(async options => {
    code = await (await import('./recover.ts')).runRecover(options);
  });

command(
  'drain',
  'wait until nothing is pending and no transfer is in transit; exit code 1 also if transfers are aside',
  'sluice drain --timeout 60',
)
  .option('--timeout <seconds>', 'longest wait; exit code 1 after it', '60')
  .option('--json', 'print JSON')
  .action(async options => {
    code = await (await import('./drain.ts')).runDrain(options);
  });

const end = (ended: ExitCode) => {
  code = ended;
};
addBackfill(program, end);
addFailed(program, end);
addTransfers(program, end);
addHolds(program, end);
addKeys(program, end);
addUsers(program, end);
addPlan(program, end);

/** Runs `sluice ARGS` to its end, and reports an error on stderr. */
export async function runProgram(args: readonly string[]): Promise<ExitCode> {
  code = EXIT.ok;
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    reportError(error, process.env.SLUICE_LOG_LEVEL === 'debug');
    return exitCodeOf(error);
  }
  return code;
}
