// The command line of the benchmarks.

import { parseArgs } from 'node:util';
import { scenarios } from './scenarios/index.ts';

export interface BenchOptions {
  rounds: number;
  seconds: number;
  updates: number;
  only: string[];
  json: boolean;
  save: boolean;
  profile: string | undefined;
  note: string | undefined;
  help: boolean;
}

export class UsageError extends Error {}

export const usage = `Usage: npm run bench -- [options]

Measures the engine on MySQL 9.7 and Redis 8, started for it on this machine. bench/README.md says what each
number means. Run it on a machine that does nothing else.

Options:
  --rounds N       rounds of all scenarios; the median counts (default 5)
  --seconds S      how long each measurement pushes (default 5)
  --updates N      at most so many updates in each
  --only a,b       some of: ${scenarios.map(scenario => scenario.name).join(', ')}
  --json           print the result as JSON
  --no-save        do not write bench/results/<date>.json
  --note TEXT      kept with the result: what else the machine was doing
  --profile DIR    write CPU profiles of producer and worker, and Redis' command statistics, to DIR

Example:
  npm run bench -- --rounds 3 --only counters
`;

/** @throws UsageError */
export function parseOptions(args: string[]): BenchOptions {
  const values = parse(args);
  const number = (name: 'rounds' | 'seconds' | 'updates', preset: number) => {
    const value = Number(values[name] ?? preset);
    if (!(value > 0) || (name !== 'seconds' && !Number.isInteger(value) && value !== preset)) {
      throw new UsageError(`--${name} takes a positive number, not "${values[name]}"`);
    }
    return value;
  };
  const only = values.only?.split(',') ?? [];
  const unknown = only.find(name => !scenarios.some(scenario => scenario.name === name));
  if (unknown !== undefined) throw new UsageError(`there is no scenario "${unknown}"`);
  return {
    rounds: number('rounds', 5),
    seconds: number('seconds', 5),
    updates: number('updates', Number.POSITIVE_INFINITY),
    only,
    json: values.json ?? false,
    save: !values['no-save'],
    profile: values.profile,
    note: values.note,
    help: values.help ?? false,
  };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        updates: { type: 'string' },
        only: { type: 'string' },
        json: { type: 'boolean' },
        'no-save': { type: 'boolean' },
        profile: { type: 'string' },
        note: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split('. ')[0]} (--help lists the options)`);
  }
}
