/** The options of `sluice plan`, their defaults and limits. */

import { settingsCatalogue } from '../shared/config/settings.ts';
import { ConfigurationError } from '../shared/errors.ts';
import { LIMITS } from '../shared/limits.ts';

interface Input {
  readonly default: number;
  readonly min: number;
  readonly max: number;
  /** Placeholder of the value in the help. */
  readonly unit: string;
  readonly what: string;
  readonly whole?: boolean;
}

const { partitions, flushIntervalMs } = settingsCatalogue;

export const loadCatalogue = {
  updates: { default: 0, min: 0, max: 1e8, unit: 'n', what: 'counter updates a second at the peak' },
  keys: {
    default: 100_000,
    min: 1,
    max: 1e12,
    unit: 'n',
    what: 'distinct counter keys in use within twice the live TTL, an hour by default',
    whole: true,
  },
  entries: { default: 0, min: 0, max: 1e7, unit: 'n', what: 'points entries a second at the peak' },
  accounts: {
    default: 100_000,
    min: 1,
    max: 1e12,
    unit: 'n',
    what: 'distinct accounts in use within twice the live TTL',
    whole: true,
  },
  members: {
    default: 0,
    min: 0,
    max: 1e12,
    unit: 'n',
    what: 'keys and accounts of ranked names, however old; all updates are taken to be of such names then',
    whole: true,
  },
  skew: {
    default: 1,
    min: 0,
    max: 3,
    unit: 'exponent',
    what: "of Zipf's law, by which updates spread over keys; 0 spreads them evenly",
  },
  ids: { default: 0, min: 0, max: 1, unit: 'fraction', what: 'of counter updates that carry an id' },
  keyBytes: {
    default: 20,
    min: 1,
    max: LIMITS.key,
    unit: 'bytes',
    what: 'average length of a key or account',
  },
  idBytes: { default: 36, min: 1, max: LIMITS.id, unit: 'bytes', what: 'average length of an id' },
  entryBytes: {
    default: 0,
    min: 0,
    max: 65_535,
    unit: 'bytes',
    what: 'average length of reason and metadata, as JSON',
  },
  outage: { default: 15, min: 0, max: 43_200, unit: 'minutes', what: 'length of a MySQL outage to survive' },
  producers: { default: 4, min: 1, max: 100_000, unit: 'n', what: 'API processes that send', whole: true },
  latency: {
    default: 5,
    min: 0.1,
    max: 1000,
    unit: 'ms',
    what: 'time that a call to Redis takes; longer calls carry more updates',
  },
  headroom: { default: 0.5, min: 0, max: 0.95, unit: 'fraction', what: 'of each CPU that stays free' },
  replicas: { default: 1, min: 0, max: 5, unit: 'n', what: 'replicas of each Redis primary', whole: true },
  flushInterval: {
    default: flushIntervalMs.default,
    min: flushIntervalMs.min,
    max: flushIntervalMs.max,
    unit: 'ms',
    what: 'SLUICE_FLUSH_INTERVAL_MS',
    whole: true,
  },
} as const satisfies Record<string, Input>;

/** Limits of `--partitions`; without it the plan chooses the number. */
export const partitionsInput: Input = { ...partitions, unit: 'n', what: 'SLUICE_PARTITIONS', whole: true };

export type Load = Record<keyof typeof loadCatalogue, number> & {
  /** Undefined if the plan chooses. */
  readonly partitions?: number | undefined;
};

/** `keyBytes` is `--key-bytes`. */
export function optionName(name: string): string {
  return `--${name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)}`;
}

/**
 * Parses the options, with defaults for missing ones.
 * @throws ConfigurationError that names the first wrong option
 */
export function parseLoad(options: Readonly<Record<string, string | undefined>>): Load {
  const load: Record<string, number> = {};
  for (const [name, input] of Object.entries<Input>(loadCatalogue))
    load[name] = numberOf(name, options[name], input);
  if (options.partitions !== undefined)
    load.partitions = numberOf('partitions', options.partitions, partitionsInput);
  if (load.updates === 0 && load.entries === 0)
    throw new ConfigurationError('There is no load to plan for; give --updates or --entries a second.');
  return load as Load;
}

function numberOf(name: string, text: string | undefined, { default: preset, ...input }: Input): number {
  if (text === undefined) return preset;
  const { min, max, whole } = input;
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max && (!whole || Number.isInteger(value))) return value;
  throw new ConfigurationError(
    `${optionName(name)} must be a ${whole ? 'whole ' : ''}number from ${min} to ${max}, not ${JSON.stringify(text)}.`,
  );
}
