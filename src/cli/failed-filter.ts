/** Turns the arguments and options of `sluice failed` into a filter. */

import { type CheckedFilter, checkFilter } from '../replay/filter.ts';
import { ConfigurationError } from '../shared/errors.ts';

/** The options that select updates, alike for all subcommands. */
export interface Selection {
  readonly all?: boolean;
  readonly kind?: string;
  readonly name?: string;
  readonly key?: string;
  readonly code?: string;
  readonly from?: string;
  readonly until?: string;
  readonly partition?: string;
  readonly batch?: string;
}

/** @throws ConfigurationError */
export function filterOf(which: readonly string[], options: Selection): CheckedFilter {
  const { kind, name, key, code, from, until, partition, batch } = options;
  const { ids, jobs } = split(which);
  return checkFilter({
    ...(ids.length > 0 ? { ids } : {}),
    ...(jobs.length > 0 ? { jobs } : {}),
    ...(kind === undefined ? {} : { kind: kind as 'counter' | 'entry' }),
    ...(name === undefined ? {} : { name }),
    ...(key === undefined ? {} : { key }),
    ...(code === undefined ? {} : { code }),
    ...(from === undefined ? {} : { from }),
    ...(until === undefined ? {} : { until }),
    ...(partition === undefined ? {} : { partition: wholeNumber('--partition', partition) }),
    ...(batch === undefined ? {} : { sequence: wholeNumber('--batch', batch) }),
  });
}

/** The filter of a command that changes updates: all of them only with `--all`. @throws ConfigurationError */
export function explicitFilterOf(which: readonly string[], options: Selection): CheckedFilter {
  const filter = filterOf(which, options);
  const isEmpty = Object.keys(filter).length === 0;
  if (isEmpty && !options.all)
    throw new ConfigurationError('Nothing is selected; give numbers of updates, a filter, or --all.');
  if (!isEmpty && options.all)
    throw new ConfigurationError('--all cannot be combined with a filter; leave one out.');
  return filter;
}

export function split(which: readonly string[]): { ids: number[]; jobs: string[] } {
  const isJob = (one: string) => one.startsWith('job:');
  return {
    ids: which.filter(one => !isJob(one)).map(one => wholeNumber('The number of an update', one)),
    jobs: which.filter(isJob).map(one => one.slice('job:'.length)),
  };
}

/** @throws ConfigurationError */
export function wholeNumber(what: string, text: string): number {
  if (!/^\d{1,15}$/.test(text))
    throw new ConfigurationError(`${what} must be a whole number, not ${JSON.stringify(text)}.`);
  return Number(text);
}
