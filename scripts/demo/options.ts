// The demo's command line. A mistake is reported in one sentence, with exit code 2.

import { parseArgs } from 'node:util';

export interface DemoOptions {
  updates: number;
  /** Both or none. */
  servers: { redis: string; mysql: string } | undefined;
  json: boolean;
  keep: boolean;
  help: boolean;
}

export class UsageError extends Error {}

export const usage = `Usage: npm run demo -- [options]

Pushes a million updates of counters and points through Redis and BullMQ into MySQL, kills one of two
workers half-way, and compares what was acknowledged with what MySQL holds.

Options:
  --updates N    number of updates (default 1000000)
  --redis URL    use this Redis, in the namespace sluice-demo     } both or neither; without them
  --mysql URL    use this MySQL, in the database sluice_demo      } servers are started for the demo
  --json         print the result as JSON in the last line of stdout
  --keep         leave everything running afterwards, until Ctrl-C
  --help         show this text

Exit codes: 0 no difference; 1 a difference or a failure; 2 usage, or a namespace or database that is not empty;
3 a server that cannot be started or reached; 130 or 143 stopped by Ctrl-C or SIGTERM.

Example:
  npm run demo -- --updates 200000 --json
`;

const mostUpdates = 1_000_000_000;

/** @throws UsageError */
export function parseOptions(args: string[]): DemoOptions {
  const values = parse(args);
  const updates = Number(values.updates ?? 1_000_000);
  if (!/^\d+$/.test(values.updates ?? '1') || updates < 1 || updates > mostUpdates) {
    throw new UsageError(`--updates takes a whole number from 1 to ${mostUpdates}, not "${values.updates}"`);
  }
  const { redis, mysql } = values;
  if ((redis === undefined) !== (mysql === undefined)) {
    throw new UsageError('--redis and --mysql belong together: give both, or neither to start servers');
  }
  if (redis !== undefined && !/^rediss?(\+cluster|\+sentinel)?:\/\/./.test(redis)) {
    throw new UsageError('--redis takes a URL such as redis://127.0.0.1:6379');
  }
  if (mysql !== undefined && !(/^(mysql|mariadb):\/\/./.test(mysql) && URL.canParse(mysql))) {
    throw new UsageError('--mysql takes a URL such as mysql://root@127.0.0.1:3306');
  }
  return {
    updates,
    servers: redis !== undefined && mysql !== undefined ? { redis, mysql } : undefined,
    json: values.json ?? false,
    keep: values.keep ?? false,
    help: values.help ?? false,
  };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        updates: { type: 'string' },
        redis: { type: 'string' },
        mysql: { type: 'string' },
        json: { type: 'boolean' },
        keep: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split('. ')[0]} (--help lists the options)`);
  }
}
