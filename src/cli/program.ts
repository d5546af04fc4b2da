/** The `sluice` command: one file beside this for each subcommand. */
import { Command, CommanderError } from 'commander';
import { packageVersion } from '../shared/version.ts';
import { EXIT, type ExitCode, exitCodeOf, reportError } from './exit.ts';
import { addFailed } from './failed.ts';
import { addPlan } from './plan.ts';

const program = new Command('sluice')
  .description('Write-behind for counters and points: Redis in front, MySQL exactly once in effect.')
  .version(packageVersion())
  .showHelpAfterError()
  .exitOverride()
  .addHelpText(
    'after',
    '\nThe environment says where the servers are: REDIS_URL, MYSQL_URL and more, see docs/configuration.md.\n' +
      '\nExample:\n  REDIS_URL=redis://localhost MYSQL_URL=mysql://root@localhost/app sluice status',
  );

let code: ExitCode = EXIT.ok;

/** Commands are loaded when they run, so that `--help` needs no servers' clients. */
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
).action(async () => {
  code = await (await import('./worker.ts')).runWorker();
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
      '  {"points":"loyalty","account":"00004","amount":29,"id":"0001-1","reason":"purchase"}\n\n' +
      'Points remember an id for ever. Counters remember it for SLUICE_IDEMPOTENCY_WINDOW_MS, and the newest\n' +
      'SLUICE_IDEMPOTENCY_LIMIT of each partition: run a killed ingest again while that holds.',
  )
  .option('--patience <seconds>', 'how long a line is tried while a server is away', '30')
  .option('--strict', 'stop at the first line that is rejected, with exit code 1')
  .option('--json', 'print the report as JSON')
  .action(async (file, options) => {
    code = await (await import('./ingest.ts')).runIngest(file, options);
  });

command(
  'health',
  'ask the worker on this machine how it is; exit code 1 where it is not well',
  'SLUICE_HTTP_PORT=9464 sluice health --ready',
)
  .option('--ready', 'whether it can flush now, rather than whether it runs')
  .action(async options => {
    code = await (await import('./health.ts')).runHealth(options);
  });

command('status', 'show partitions, flush jobs and quarantine', 'sluice status --json')
  .option('--json', 'print JSON')
  .action(async options => {
    code = await (await import('./status.ts')).runStatus(options);
  });

command(
  'verify',
  'compare live values and ledgers with the database; exit code 1 where something differs, and still does',
  'sluice verify --json\n  sluice verify --repair --reason "redis-cli in production"',
)
  .option('--repair', 'make live values that differ what they should be, while traffic goes on')
  .option('--operator <name>', 'who repairs, for the audit record; this user by default')
  .option('--reason <text>', 'why, for the audit record')
  .addHelpText(
    'after',
    '\nA repair changes live values in Redis only, never MySQL: ledgers that do not add up are only reported.\n' +
      'Of a mapped table it takes over what others have written there.',
  )
  .option('--json', 'print JSON')
  .action(async options => {
    code = await (await import('./verify.ts')).runVerify(options);
  });

command(
  'recover',
  'show what a restored backup did to the partitions, and with --yes end their halt; exit code 1 where one is halted',
  'sluice recover\n  sluice recover --yes --reason "MySQL restored to 04:00"',
)
  .option('--yes', 'do what is shown; without it nothing is changed')
  .option('--partition <number>', 'this partition only')
  .option(
    '--counters <choice>',
    'counters of an old backup of Redis: discard (may lose) or apply (may double); discard by default',
  )
  .option('--operator <name>', 'who recovers, for the audit record; this user by default')
  .option('--reason <text>', 'why, for the audit record')
  .addHelpText('after', '\nRead docs/recovery.md first.')
  .option('--json', 'print JSON')
  .action(async options => {
    code = await (await import('./recover.ts')).runRecover(options);
  });

command('drain', 'wait until nothing is pending or in flight', 'sluice drain --timeout 60')
  .option('--timeout <seconds>', 'longest wait; exit code 1 after it', '60')
  .option('--json', 'print JSON')
  .action(async options => {
    code = await (await import('./drain.ts')).runDrain(options);
  });

const end = (ended: ExitCode) => {
  code = ended;
};
addFailed(program, end);
addPlan(program, end);

const isWorker = process.argv[2] === 'worker';

process.stdout.on('error', error => {
  // What a worker writes is its log, which it does without.
  if (isWorker) return;
  const { code } = error as NodeJS.ErrnoException;
  // Whoever read our output has gone.
  if (code === 'EPIPE') process.exit(EXIT.ok);
  console.error(
    `sluice: OUTPUT_FAILED: stdout cannot be written (${code}); what was printed is not complete.`,
  );
  process.exit(EXIT.found);
});

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) code = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  else {
    reportError(error, process.env.SLUICE_LOG_LEVEL === 'debug');
    code = exitCodeOf(error);
  }
}
// What was printed is written first, and a failure of that is heard of.
if (!isWorker) await new Promise(resolve => process.stdout.write('', resolve));
process.exit(code);
