// `sluice ARGS` as a process and in this process: the same exit code and output. Most tests of the command line use
// the second way, so this one makes them worth something.

import { expect, it } from 'vitest';
import { openDeployment } from '../support/command.ts';
import { sluiceHere } from '../support/command-here.ts';

const definitions = {
  counters: { views: {}, score: { ranked: true } },
  points: { loyalty: {} },
} as const;

const COMMANDS: readonly (readonly [args: string[], code: number])[] = [
  [['migrate', '--json'], 0],
  [['status', '--json'], 0],
  [['verify', '--json'], 0],
  [['recover', '--reason', 'x'], 2],
  [['drain', '--json'], 0],
  [['rank', 'views'], 2],
  [['recover', '--json'], 0],
  [['failed', 'list', '--json'], 0],
  [['failed', 'show', '99'], 1],
  [['transfers', 'list', '--json'], 0],
  [['holds', 'list', '--json'], 0],
  [['keys', 'list'], 0],
  [['users', 'list'], 0],
  [['plan', '--updates', '1000'], 0],
  [['ingest', '/no/such/file'], 2],
  [['backfill', 'b', '--table', 'none', '--key', 'id', '--value', 'n', '--to', 'views', '--dry-run'], 2],
];

/** They run until a signal, or ask one that does. */
const OTHERS = ['worker', 'serve', 'console', 'health', 'help'];

it('every command is compared', async () => {
  const { stdout } = await sluiceHere(['--help'], {});
  const known = [...stdout.split('Commands:')[1]!.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name!);
  expect(known).toContain('status');
  const compared = COMMANDS.map(([[name]]) => name!);
  expect(known.filter(name => !OTHERS.includes(name)).toSorted()).toEqual([...new Set(compared)].toSorted());
});

it('a command answers alike as a process and in this process', { timeout: 240_000 }, async () => {
  const deployment = await openDeployment(definitions);
  const asMigrator = { ...deployment.env, MYSQL_URL: deployment.access.migratorUrl };
  for (const [args, code] of COMMANDS) {
    const process = await deployment.process(args);
    expect(process.code, `${args.join(' ')}: ${process.stderr}`).toBe(code);
    const here = await sluiceHere(args, args[0] === 'migrate' ? asMigrator : deployment.env);
    expect(here, args.join(' ')).toEqual(process);
  }
});
