// What `sluice` prints and its exit code if no server is needed to see that something is wrong.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type Environment, sluice } from '../support/command.ts';
import { sluiceHere } from '../support/command-here.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, content: string): string {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
}

// Port 1 is privileged and unused, so connections to it are refused at once.
const env: Environment = {
  REDIS_URL: 'redis://127.0.0.1:1',
  MYSQL_URL: 'mysql://root@127.0.0.1:1/app',
  SLUICE_CONFIG: file('sluice.config.json', '{"counters":{"page_views":{}}}'),
  // The default wait of a worker is five minutes.
  SLUICE_START_WAIT_MS: '0',
};
const commands = [
  'backfill',
  'worker',
  'serve',
  'migrate',
  'ingest',
  'health',
  'status',
  'verify',
  'rank',
  'recover',
  'drain',
  'failed',
  'transfers',
  'keys',
  'plan',
];
const subcommands = {
  failed: ['list', 'show', 'export', 'replay', 'drop', 'audit'],
  transfers: ['list', 'retry', 'return'],
};

describe('--help', () => {
  it.each(commands)('of %s has an example and needs no environment', async command => {
    const { code, stdout, stderr } = await sluiceHere([command, '--help'], {});
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(new RegExp(`\\nExample:\\n  .*sluice ${command}`));
  });

  it.each(
    Object.entries(subcommands).flatMap(([command, names]) => names.map(name => [command, name] as const)),
  )('of %s %s has an example and needs no environment', async (command, name) => {
    const { code, stdout, stderr } = await sluiceHere([command, name, '--help'], {});
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(new RegExp(`\\nExample:\\n  sluice ${command} ${name}`));
  });

  it.each(['create', 'list', 'revoke'])(
    'of keys %s has an example and needs no environment',
    async command => {
      const { code, stdout, stderr } = await sluiceHere(['keys', command, '--help'], {});
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toMatch(new RegExp(`\\nExample:\\n  sluice keys ${command}`));
    },
  );

  it('lists every command, with an example', async () => {
    const { code, stdout } = await sluice(['--help'], {});
    expect(code).toBe(0);
    for (const command of commands) expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'));
    expect(stdout).toMatch(/\nExample:\n {2}/);
  });
});

describe('exit code 2', () => {
  it.each<[string, string[], Environment, RegExp]>([
    ['an unknown command', ['statsu'], {}, /unknown command 'statsu'[\s\S]*Did you mean status/],
    ['no command', [], {}, /Usage: sluice/],
    ['an unknown option', ['status', '--jsno'], {}, /unknown option '--jsno'/],
    ['a missing argument', ['ingest'], {}, /missing required argument 'file'/],
    ['a timeout that is not a number', ['drain', '--timeout', 'soon'], {}, /--timeout must be a number/],
    ['an empty timeout', ['drain', '--timeout', ''], {}, /--timeout must be a number/],
    ['a partition out of range', ['recover', '--partition', '16'], {}, /--partition must be/],
    ['an unknown choice', ['recover', '--counters', 'both'], {}, /--counters must be discard or apply/],
    ['a reason without --yes', ['recover', '--reason', 'x'], {}, /give --yes too/],
    ['a run name with a colon', ['ingest', '--run', 'a:b', '-'], {}, /--run must be/],
    ['failed without a subcommand', ['failed'], {}, /Usage: sluice failed/],
    ['a replay without a filter', ['failed', 'replay'], {}, /Nothing is selected; .*--all/],
    [
      'a replay of all with a filter',
      ['failed', 'replay', '--all', '3'],
      {},
      /--all cannot be combined with a filter/,
    ],
    ['a resume with a filter', ['failed', 'replay', '--resume', '1', '--key', 'x'], {}, /leave them out/],
    ['a resume with an edit', ['failed', 'replay', '--resume', '1', '--edit', '{}'], {}, /leave --edit out/],
    ['a drop without a reason', ['failed', 'drop', '3'], {}, /A drop needs a reason/],
    ['an edit that is not JSON', ['failed', 'replay', '3', '--edit', 'amount=5'], {}, /--edit must be JSON/],
    [
      'an empty edit',
      ['failed', 'replay', '3', '--edit', '{}'],
      {},
      /A change must be an object with one or more of amount/,
    ],
    [
      'an edit of the account',
      ['failed', 'replay', '3', '--edit', '{"account":"5"}'],
      {},
      /it has "account"/,
    ],
    ['a dry run of a resume', ['failed', 'replay', '--resume', '1', '--dry-run'], {}, /leave --resume out/],
    ['a rate of 0', ['failed', 'replay', '--all', '--rate', '0'], {}, /--rate must be/],
    [
      'an update that is not a number',
      ['failed', 'show', 'x'],
      {},
      /The number of an update must be a whole number, not "x"/,
    ],
    ['a batch without its partition', ['failed', 'list', '--batch', '3'], {}, /without its partition/],
    [
      'a time without a zone',
      ['failed', 'list', '--from', '2026-01-01'],
      {},
      /from: must be a time with a zone/,
    ],
    ['transfers without a subcommand', ['transfers'], {}, /Usage: sluice transfers/],
    [
      'a drop of a transfer',
      ['transfers', 'drop', 'x'],
      {},
      /unknown command 'drop'[\s\S]*dropped or edited/,
    ],
    ['a retry without a filter', ['transfers', 'retry'], {}, /Nothing is selected; .*--all/],
    [
      'a return of all with a filter',
      ['transfers', 'return', 'x', '--all', '--reason', 'y'],
      {},
      /--all cannot/,
    ],
    ['a return without a reason', ['transfers', 'return', 'x'], {}, /A return needs a reason/],
    [
      'a return to no account',
      ['transfers', 'return', 'x', '--to', '', '--reason', 'y'],
      {},
      /INVALID_ACCOUNT: The account must not be empty/,
    ],
    ['an unknown state', ['transfers', 'list', '--state', 'held'], {}, /state: must be open or aside/],
    ['a plan without a load', ['plan'], {}, /give --updates or --entries/],
    ['a load that is not a number', ['plan', '--updates', '30k'], {}, /--updates must be a number from 0 to/],
    ['a load without digits', ['plan', '--updates', ''], {}, /--updates must be a number from 0 to/],
    ['a negative load', ['plan', '--entries=-1'], {}, /--entries must be a number from 0 to/],
    ['a fraction of a key', ['plan', '--keys', '1.5'], {}, /--keys must be a whole number from 1 to/],
    ['a share of ids above 1', ['plan', '--ids', '1.01'], {}, /--ids must be a number from 0 to 1,/],
    ['too many partitions', ['plan', '--partitions', '1025'], {}, /--partitions must be a whole number/],
    ['a bad option with a hyphen', ['plan', '--key-bytes', '0'], {}, /--key-bytes must be a number from 1/],
    ['a missing input file', ['ingest', join(folder, 'none')], {}, /none cannot be read/],
    ['an input that is a folder', ['ingest', folder], {}, /cannot be read/],
    [
      'an unknown variable',
      ['status'],
      { SLUICE_FLUSH_INTERVALL_MS: '5' },
      /did you mean SLUICE_FLUSH_INTERVAL_MS\?/,
    ],
    [
      'a setting that is not a number',
      ['status'],
      { SLUICE_BATCH_KEYS: 'many' },
      /SLUICE_BATCH_KEYS must be a whole number, in digits only/,
    ],
    [
      'a setting outside its limits',
      ['status'],
      { SLUICE_BATCH_KEYS: '0' },
      /SLUICE_BATCH_KEYS\) must be a whole number/,
    ],
    [
      'settings that contradict each other',
      ['status'],
      { SLUICE_LEASE_MS: '100' },
      /leaseMs must be more than twice/,
    ],
    ['a port out of range', ['worker'], { SLUICE_HTTP_PORT: '65536' }, /SLUICE_HTTP_PORT must be/],
    ['a health check on port 0', ['health'], { SLUICE_HTTP_PORT: '0' }, /the worker took a free port/],
    ['an unknown log level', ['worker'], { SLUICE_LOG_LEVEL: 'loud' }, /SLUICE_LOG_LEVEL must be one of/],
    ['a namespace with a brace', ['status'], { SLUICE_NAMESPACE: 'a}b' }, /SLUICE_NAMESPACE must/],
    ['no Redis', ['status'], { REDIS_URL: '' }, /REDIS_URL is not set/],
    ['no MySQL', ['migrate'], { MYSQL_URL: '' }, /MYSQL_URL is not set/],
    ['a Redis URL with another scheme', ['status'], { REDIS_URL: 'http://localhost' }, /REDIS_URL must be/],
    [
      'a MySQL URL without a database',
      ['migrate'],
      { MYSQL_URL: 'mysql://localhost' },
      /must name a database/,
    ],
    [
      'a missing file of the CA',
      ['status'],
      { REDIS_URL: 'rediss://127.0.0.1:1', REDIS_CA: join(folder, 'no.pem') },
      /REDIS_CA/,
    ],
    [
      'a missing file of definitions',
      ['worker'],
      { SLUICE_CONFIG: join(folder, 'no.json') },
      /no\.json cannot be read/,
    ],
    [
      'definitions that are not JSON',
      ['worker'],
      { SLUICE_CONFIG: file('bad.json', '{') },
      /bad\.json is not JSON/,
    ],
    [
      'a misspelt definition',
      ['worker'],
      { SLUICE_CONFIG: file('typo.json', '{"conuters":{}}') },
      /"conuters", did you mean "counters"\?/,
    ],
  ])('for %s', async (_, args, more, message) => {
    // Its log, and what follows from an error of it, is that of a process.
    const run = args[0] === 'worker' ? sluice : sluiceHere;
    const { code, stdout, stderr } = await run(args, { ...env, ...more });
    expect(stderr).toMatch(message);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  }); // prettier-ignore
});

describe.concurrent('exit code 3', () => {
  it.each(['worker', 'ingest', 'status', 'verify', 'recover', 'drain'])(
    'if %s cannot reach Redis',
    async command => {
      const { code, stderr } = await sluice(command === 'ingest' ? ['ingest', '-'] : [command], env);
      expect(code).toBe(3);
      expect(stderr).toMatch(/^sluice: REDIS_UNAVAILABLE: Redis at 127\.0\.0\.1:1 /m);
    },
  );

  it('if migrate cannot reach MySQL, although it needs no Redis', async () => {
    const { code, stdout, stderr } = await sluice(['migrate'], { ...env, REDIS_URL: '' });
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    expect(stderr).toMatch(/^sluice: DATABASE_UNAVAILABLE: .*127\.0\.0\.1:1 /);
  });
});

describe.concurrent('no part of a password is shown, even at debug level,', () => {
  it.each<[string, string[], Environment]>([
    ['if Redis is away', ['worker'], { REDIS_URL: 'redis://user:hunter2@127.0.0.1:1' }],
    ['if MySQL is away', ['migrate'], { MYSQL_URL: 'mysql://root:hunter2@127.0.0.1:1/app' }],
    [
      'if the Redis URL has an @ that is not encoded',
      ['status'],
      { REDIS_URL: 'redis://user:p@hunter2@127.0.0.1:1' },
    ],
    [
      'if the Redis URL has a / that is not encoded',
      ['status'],
      { REDIS_URL: 'redis://user:hunter2/@127.0.0.1:1' },
    ],
    [
      'if the Redis URL has a % that is not encoded',
      ['status'],
      { REDIS_URL: 'redis://user:hunter2%zz@127.0.0.1:1' },
    ],
    [
      'if the MySQL URL has a / that is not encoded',
      ['migrate'],
      { MYSQL_URL: 'mysql://root:hunter2/x@127.0.0.1:1/app' },
    ],
    [
      'if the MySQL URL has a % that is not encoded',
      ['migrate'],
      { MYSQL_URL: 'mysql://root:hunter2%zz@127.0.0.1:1/app' },
    ],
    ['if the MySQL URL is malformed', ['migrate'], { MYSQL_URL: 'mysql://root:hunter2@[/app' }],
  ])('%s', async (_, args, more) => {
    const { code, stdout, stderr } = await sluice(args, { ...env, ...more, SLUICE_LOG_LEVEL: 'debug' });
    expect(code).toBeGreaterThanOrEqual(2);
    expect(stdout + stderr).toMatch(/sluice: [A-Z_]+: /);
    expect(stdout + stderr).not.toMatch(/hunter|p@/);
  }); // prettier-ignore
});
