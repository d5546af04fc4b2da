// The command line of the benchmarks.

import { parseArgs } from 'node:util';
import { parseSettings, type Settings } from '../src/shared/config/settings.ts';
import type { Suite } from './scenario.ts';
import { type SuiteName, suites } from './scenarios/index.ts';
import { UsageError } from './usage-error.ts';

export interface BenchOptions {
  suite: SuiteName;
  rounds: number;
  seconds: number;
  updates: number;
  only: string[];
  json: boolean;
  save: boolean;
  profile: string | undefined;
  note: string | undefined;
  /** Git revision or folder of the build to compare with. */
  compare: string | undefined;
  settings: Partial<Settings>;
  /** Ms that MySQL is away from the workers, there and back. */
  databaseDelay: number;
  help: boolean;
}

const namesOf = (suite: Suite) => suite.scenarios.map(scenario => scenario.name).join(', ');

export const usage = `Usage: npm run bench -- [options]

Measures the engine, what users could take instead, and the limits of the servers, on MySQL 9.7 and Redis 8 that are
started for it on this machine. bench/README.md says what each number means. Run it on a machine that does nothing else.

Options:
  --suite NAME     main (default): peers, limits and targets; scale: 1, 2 and 4 workers and producers with 2 to 64
                   partitions; transfers; holds; values; http: sluice serve; backlog: 5,000,000 updates to catch up with;
                   soak: a steady rate for long
  --rounds N       number of rounds of all scenarios; the median counts (default ${Object.entries(suites)
    .map(([name, { rounds }]) => `${name} ${rounds}`)
    .join(', ')})
  --seconds S      duration of each measurement (default: main ${suites.main.seconds}, scale ${suites.scale.seconds})
  --minutes M      duration in minutes instead (default: soak ${suites.soak.seconds / 60})
  --updates N      maximum number of updates in each measurement
  --only a,b       only these scenarios of the suite; main has: ${namesOf(suites.main)}
  --json           print the result as JSON
  --no-save        do not write bench/results/<date>.json
  --note TEXT      kept with the result, such as what else the machine was doing
  --profile DIR    write CPU profiles of producer and worker, Redis' command statistics and slow log to DIR,
                    and the top ten of each to DIR/profile.md
  --compare WHAT   measure an old version of Sluice in turns with this one, and print both; WHAT is a git revision or the
                   folder of another checkout. Exit code 1 if an update costs a process over 10 % more CPU than before,
                   beyond the noise, which needs at least 5 rounds. Nothing is written
  --database-delay MS
                   each statement of a worker takes so much longer, as with a MySQL in another zone. Nothing is written
  --set NAME=N     a setting of all producers and workers, such as partitions=4; may be repeated. Nothing is written

Examples:
  npm run bench -- --rounds 3 --only counters,upsert-per-update
  npm run bench -- --suite soak --minutes 20
  npm run bench -- --compare HEAD~1 --only counters,steady --set partitions=4
`;

/** @throws UsageError */
export function parseOptions(args: string[]): BenchOptions {
  const values = parse(args);
  const name = values.suite ?? 'main';
  if (!Object.hasOwn(suites, name))
    throw new UsageError(`there is no suite "${name}": ${Object.keys(suites).join(', ')}`);
  const suite: Suite = suites[name as SuiteName];
  const number = (
    option: 'rounds' | 'seconds' | 'minutes' | 'updates' | 'database-delay',
    preset: number,
  ) => {
    const value = Number(values[option] ?? preset);
    const whole = option === 'rounds' || option === 'updates';
    if (!(value > 0 || value === preset) || (whole && !Number.isInteger(value) && value !== preset)) {
      throw new UsageError(`--${option} takes a positive number, not "${values[option]}"`);
    }
    return value;
  };
  if (values.seconds !== undefined && values.minutes !== undefined)
    throw new UsageError('--seconds and --minutes say the same: give one of them');
  const only = values.only?.split(',') ?? [];
  const unknown = only.find(wanted => !suite.scenarios.some(scenario => scenario.name === wanted));
  if (unknown !== undefined)
    throw new UsageError(`there is no scenario "${unknown}" in ${name}: ${namesOf(suite)}`);
  const settings = settingsOf(values.set ?? []);
  if (name === 'scale' && settings.partitions !== undefined)
    throw new UsageError('the suite "scale" sets the partitions itself');
  if (values.compare !== undefined && values.profile !== undefined)
    throw new UsageError('--profile has one profile for each process, so it does not go with --compare');
  const databaseDelay = number('database-delay', 0);
  const isUsual = values.compare === undefined && Object.keys(settings).length === 0 && databaseDelay === 0;
  return {
    suite: name as SuiteName,
    rounds: number('rounds', suite.rounds),
    seconds:
      values.minutes === undefined
        ? number('seconds', suite.seconds)
        : number('minutes', suite.seconds / 60) * 60,
    updates: number('updates', Number.POSITIVE_INFINITY),
    only,
    json: values.json ?? false,
    // The newest result of a suite is the one that is shown, and it is of the default settings.
    save: isUsual && !values['no-save'],
    profile: values.profile,
    note: values.note,
    compare: values.compare,
    settings,
    databaseDelay,
    help: values.help ?? false,
  };
}

function settingsOf(given: readonly string[]): Partial<Settings> {
  const settings = Object.fromEntries(
    given.map(one => {
      const [, name, value] = /^(\w+)=(\d+)$/.exec(one) ?? [];
      if (name === undefined) throw new UsageError(`--set takes NAME=N, such as partitions=4, not "${one}"`);
      return [name, Number(value)];
    }),
  );
  try {
    parseSettings(settings);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  return settings;
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        suite: { type: 'string' },
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        minutes: { type: 'string' },
        updates: { type: 'string' },
        only: { type: 'string' },
        json: { type: 'boolean' },
        'no-save': { type: 'boolean' },
        profile: { type: 'string' },
        note: { type: 'string' },
        compare: { type: 'string' },
        'database-delay': { type: 'string' },
        set: { type: 'string', multiple: true },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split('. ')[0]} (--help lists the options)`);
  }
}
