// The torture's command line, and the servers that a seed chooses. Mistakes are reported with exit code 2.

import { parseArgs } from 'node:util';
import { defaultDurability, type TortureDurability } from './durability.ts';
import { faultsOf } from './faults/catalogue.ts';
import {
  clusteredDatabases,
  type DatabaseName,
  databases,
  isClustered,
  singleDatabases,
  type TopologyName,
  topologies,
} from './servers.ts';

export interface TortureOptions {
  /** Duration of the faults. */
  minutes: number;
  seed: number;
  /** Minimum number of faults, even if they take longer. */
  faults: number;
  topology: TopologyName;
  database: DatabaseName;
  /** Only these kinds of faults; all kinds if undefined. */
  kinds: readonly string[] | undefined;
  /** Durability of every call and every claim. */
  durability: TortureDurability;
  /** Callers of each producer, one call at a time each; clients of the API have twice as many. */
  callers: number;
  /** Markdown file in which the section for these servers is written. */
  report: string | undefined;
  help: boolean;
}

export class UsageError extends Error {}

export const usage = `Usage: npm run torture -- --minutes M --seed S [options]

Runs producers and workers on real servers, breaks processes, servers and connections one after another, and
compares every acknowledged update with what MySQL holds.

Options:
  --minutes M      duration of the faults in minutes (default 3)
  --seed S         chooses the faults, their order and the servers (default 1)
  --faults N       minimum number of faults, even if they take longer (default 0)
  --topology NAME  ${topologies.join(', ')}    } what is missing,
  --database NAME  ${singleDatabases.join(', ')}                  } the seed chooses
                   ${clusteredDatabases.join(', ')}: three members, beside a standalone Redis
  --kinds K,K      only faults of these kinds
  --durability D   memory or replica (default: replica with sentinel and cluster, else memory)
  --callers N      callers of each producer, and half of those of the API's client (default 4)
  --report FILE    write the result into this Markdown file, beside those for other servers, and with --kinds
                   beside that of all kinds
  --help           show this

The last line of stdout is the result as JSON. Exit codes: 0 nothing wrong; 1 an update was lost or counted twice
and Sluice did not declare it, or something did not recover; 2 usage; 130 or 143 stopped by Ctrl-C or SIGTERM.
`;

/** @throws UsageError */
export function parseOptions(args: string[]): TortureOptions {
  const values = parse(args);
  const seed = number('--seed', values.seed ?? '1', /^\d+$/);
  const servers = chosen(seed, values.topology, values.database);
  const durability = oneOf('--durability', ['memory', 'replica'], values.durability);
  const known = faultsOf(servers.topology, servers.database).map(({ kind }) => kind);
  for (const kind of values.kinds?.split(',') ?? []) oneOf('--kinds', known, kind);
  if (durability === 'replica' && servers.topology === 'standalone') {
    throw new UsageError('--durability replica needs replicas: --topology sentinel or cluster');
  }
  return {
    minutes: number('--minutes', values.minutes ?? '3', /^\d+(\.\d+)?$/),
    seed,
    faults: number('--faults', values.faults ?? '0', /^\d+$/),
    ...servers,
    kinds: values.kinds?.split(','),
    durability: durability ?? defaultDurability(servers.topology),
    callers: number('--callers', values.callers ?? '4', /^[1-9]\d{0,2}$/),
    report: values.report,
    help: values.help ?? false,
  };
}

/** Six consecutive seeds give the six combinations; if one half is given, the seed chooses the other. */
function chosen(seed: number, topology: string | undefined, database: string | undefined) {
  const given = oneOf('--database', databases, database);
  if (given && isClustered(given)) {
    if ((topology ?? 'standalone') !== 'standalone')
      throw new UsageError(`--database ${given} goes with --topology standalone`);
    return { topology: 'standalone' as const, database: given };
  }
  const free = topology === undefined && database === undefined;
  const step = free ? Math.floor(seed / singleDatabases.length) : seed;
  return {
    topology: oneOf('--topology', topologies, topology) ?? topologies[step % topologies.length]!,
    database: given ?? singleDatabases[seed % singleDatabases.length]!,
  };
}

function oneOf<Name extends string>(option: string, names: readonly Name[], value: string | undefined) {
  if (value === undefined) return undefined;
  const found = names.find(name => name === value);
  if (!found) throw new UsageError(`${option} takes ${names.join(', ')}, not "${value}"`);
  return found;
}

function number(option: string, text: string, form: RegExp): number {
  const value = Number(text);
  if (!form.test(text) || !(value <= Number.MAX_SAFE_INTEGER)) {
    throw new UsageError(`${option} takes a number, not "${text}"`);
  }
  return value;
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        minutes: { type: 'string' },
        seed: { type: 'string' },
        faults: { type: 'string' },
        topology: { type: 'string' },
        database: { type: 'string' },
        durability: { type: 'string' },
        kinds: { type: 'string' },
        callers: { type: 'string' },
        report: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split('. ')[0]} (--help lists the options)`);
  }
}
