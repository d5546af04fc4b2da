/** Every tuning option: its default, limits and environment variable, and the reason for its default. */
import { ConfigurationError, shown } from '../errors.ts';
import { closest } from './suggestion.ts';

interface Setting {
  readonly default: number;
  readonly min: number;
  readonly max: number;
  readonly why: string;
}

const DAY = 24 * 60 * 60 * 1000;

/** Names end in the unit: `Ms` is milliseconds; all others are counts. */
export const settingsCatalogue = {
  partitions: {
    default: 4,
    min: 1,
    max: 1024,
    why: 'Fixed at the first start. A worker flushes four at a time, and more cost each call and flush a little: `sluice plan` says when a load, many workers or a Cluster need more. Limits of a partition are for this number.',
  },
  flushIntervalMs: {
    default: 100,
    min: 1,
    max: 60_000,
    why: 'How long pending updates coalesce before a flush; a longer interval writes fewer rows, a shorter one lags less.',
  },
  batchKeys: {
    default: 5000,
    min: 1,
    max: 50_000,
    why: 'Most counter keys in a batch: larger batches gain little in MySQL and hold row locks longer.',
  },
  batchEntries: {
    default: 2000,
    min: 1,
    max: 50_000,
    why: 'Most ledger entries in a batch; each is a row of its own.',
  },
  concurrency: {
    default: 4,
    min: 1,
    max: 64,
    why: 'Flush jobs, and transactions of batches, that one process runs at a time; each takes a MySQL connection.',
  },
  jobBudgetMs: {
    default: 1000,
    min: 10,
    max: 60_000,
    why: 'Longest run of a flush job. It then ends and wakes its partitions again, so that busy ones do not starve others.',
  },
  attempts: {
    default: 5,
    min: 1,
    max: 100,
    why: 'Attempts of one worker to flush a partition, on errors that are neither an outage nor a conflict, before its flush job counts as failed. Its batch stays safe.',
  },
  backoffBaseMs: {
    default: 500,
    min: 1,
    max: 600_000,
    why: 'First wait after such an error; it doubles each time, with full jitter so that workers spread out.',
  },
  backoffCapMs: {
    default: 30_000,
    min: 1,
    max: 3_600_000,
    why: 'Longest such wait: once the cause is fixed, flushing continues within half a minute.',
  },
  conflictRetries: {
    default: 5,
    min: 0,
    max: 100,
    why: 'Immediate retries after a deadlock, which find the other transaction gone. After a lock wait the sweep retries, so that the partition holds up no other.',
  },
  breakerFailures: {
    default: 3,
    min: 1,
    max: 1000,
    why: 'Outage errors in a row that open the circuit breaker; one alone may be a broken connection.',
  },
  breakerBaseMs: {
    default: 250,
    min: 1,
    max: 600_000,
    why: 'First wait before an open breaker tries one flush; it doubles up to the cap, with jitter.',
  },
  breakerCapMs: {
    default: 5000,
    min: 1,
    max: 600_000,
    why: 'Longest such wait: flushing continues within five seconds of the end of an outage.',
  },
  sweepIntervalMs: {
    default: 500,
    min: 10,
    max: 60_000,
    why: 'How often a worker looks for partitions that no worker flushes.',
  },
  stuckAfterMs: {
    default: 1500,
    min: 20,
    max: 600_000,
    why: 'Age at which the sweep flushes a partition itself; above any healthy lag, below the five seconds that a killed worker may cost.',
  },
  watchdogMs: {
    default: 10_000,
    min: 100,
    max: 3_600_000,
    why: 'How long jobs may wait, although a slot is free, before the BullMQ consumer is restarted; above the time in which BullMQ itself notices a broken connection.',
  },
  alignIntervalMs: {
    default: 15_000,
    min: 100,
    max: 3_600_000,
    why: 'How often idle partitions are compared with their watermarks, to notice a restored MySQL or Redis.',
  },
  verifyIntervalMs: {
    default: 15_000,
    min: 0,
    max: 3_600_000,
    why: 'How often a worker compares a sample of live values with their expected values; 0 turns it off. Each sample costs a few short reads.',
  },
  verifySample: {
    default: 100,
    min: 1,
    max: 10_000,
    why: 'Live values in a sample: 100 every 15 seconds cover half a million a day.',
  },
  leaseMs: {
    default: 2000,
    min: 10,
    max: 600_000,
    why: 'How long a wake-up counts as sent. If its producer died before it was, the first update after this time wakes the partition again.',
  },
  shutdownDeadlineMs: {
    default: 20_000,
    min: 100,
    max: 110_000,
    why: 'Longest wait for the current batch after SIGTERM; below the 30 s after which ECS kills the task.',
  },
  lockWaitSeconds: {
    default: 5,
    min: 1,
    max: 3600,
    why: 'MySQL lock wait of a flush: long enough for other writers, short enough that a blocked partition shows.',
  },
  idleTransactionSeconds: {
    default: 3,
    min: 2,
    max: 3600,
    why: 'Session wait_timeout of flush connections: frees the locks of a frozen worker, and leaves others time to flush within five seconds.',
  },
  statementTimeoutMs: {
    default: 15_000,
    min: 1000,
    max: 3_600_000,
    why: 'Longest wait for the answer to a statement, after which Sluice gives up a silent database. Above any healthy flush.',
  },
  journalBatches: {
    default: 10_000,
    min: 100,
    max: 10_000_000,
    why: 'Batches per partition that MySQL remembers, so that late answers and frozen workers are recognised; about a quarter of an hour at full speed.',
  },
  idempotencyWindowMs: {
    default: 60 * 60 * 1000,
    min: 1000,
    max: 30 * DAY,
    why: 'How long Redis remembers an id after its update is in MySQL (counters: after acceptance).',
  },
  idempotencyLimit: {
    default: 800_000,
    min: 100,
    max: 100_000_000,
    why: 'Most ids of each kind remembered per partition: about 35 bytes for a counter update, 180 for an entry. The oldest are forgotten first: of entries only persisted ones, of counters up to a 64th of the limit at once.',
  },
  liveTtlMs: {
    default: 30 * 60 * 1000,
    min: 1000,
    max: 365 * DAY,
    why: 'How long a value stays in Redis after its last use at least; at most twice as long. So memory follows the working set.',
  },
  callTimeoutMs: {
    default: 2000,
    min: 10,
    max: 600_000,
    why: 'How long one call to Redis may take before its outcome counts as unknown; a refused connection fails within it.',
  },
  microBatch: {
    default: 300,
    min: 1,
    max: 1000,
    why: 'Most counter updates in one script call; an entry counts as four. A full call takes Redis one to two milliseconds.',
  },
  pendingKeysLimit: {
    default: 1_000_000,
    min: 1,
    max: 100_000_000,
    why: 'Most counter keys of a partition that wait for a claim; updates of further keys are refused. It bounds the memory that an outage needs.',
  },
  pendingEntriesLimit: {
    default: 1_000_000,
    min: 1,
    max: 100_000_000,
    why: 'Most entries of a partition that are not in MySQL yet; further ones are refused.',
  },
  pendingAgeLimitMs: {
    default: DAY,
    min: 0,
    max: 365 * DAY,
    why: 'Age of the oldest pending update at which a partition refuses all updates; 0 for no limit. A day is longer than any outage that stays unnoticed.',
  },
  memoryLimitPercent: {
    default: 90,
    min: 1,
    max: 100,
    why: 'Share of maxmemory at which updates are refused, so that workers and BullMQ have the rest; 100 for no limit. Without maxmemory there is none.',
  },
  backpressureWaitMs: {
    default: 10_000,
    min: 1,
    max: 3_600_000,
    why: 'Longest wait of an update at a limit, for counters and programs with "backpressure": "wait" in their definition.',
  },
  barrierReplicas: {
    default: 1,
    min: 1,
    max: 10,
    why: 'Replicas that must confirm if the durability is "replica". With fewer than all, a failover may promote one that did not confirm.',
  },
  barrierTimeoutMs: {
    default: 1500,
    min: 10,
    max: 60_000,
    why: 'Longest wait for a replica or the disk to confirm a claim; with appendfsync everysec the disk takes up to a second.',
  },
  startWaitMs: {
    default: 5000,
    min: 0,
    max: 3_600_000,
    why: 'How long a start waits for a server that is away, before it fails. `sluice worker` and `sluice serve` wait 300,000 unless this is set, so that an outage does not count as a failed deployment. Errors that waiting cannot cure end the start at once.',
  },
  bufferLimit: {
    default: 200_000,
    min: 100,
    max: 10_000_000,
    why: 'Most updates of a partition that wait in a producer for Redis; further calls are refused.',
  },
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof settingsCatalogue;
export type Settings = Record<SettingName, number>;

/** `flushIntervalMs` is `SLUICE_FLUSH_INTERVAL_MS`. */
export function environmentName(name: string): string {
  return `SLUICE_${name.replace(/[A-Z]/g, letter => `_${letter}`).toUpperCase()}`;
}

export const settingNames = Object.keys(settingsCatalogue) as SettingName[];

/**
 * Fills in defaults and checks limits and cross-checks.
 * @throws ConfigurationError that names each wrong setting
 */
export function parseSettings(input: Partial<Settings> = {}): Settings {
  const problems: string[] = [];
  const settings = {} as Settings;
  for (const name of Object.keys(input)) {
    if (Object.hasOwn(settingsCatalogue, name)) continue;
    const nearest = closest(name, settingNames);
    problems.push(`unknown setting ${shown(name)}${nearest ? `, did you mean "${nearest}"?` : ''}`);
  }
  for (const name of settingNames) {
    const { default: preset, min, max } = settingsCatalogue[name];
    const value = input[name] ?? preset;
    if (Number.isSafeInteger(value) && value >= min && value <= max) settings[name] = value;
    else
      problems.push(
        `${name} (${environmentName(name)}) must be a whole number from ${min} to ${max}, not ${typeof input[name] === 'number' ? input[name] : shown(input[name])}`,
      );
  }
  if (problems.length === 0) problems.push(...crossChecks(settings));
  if (problems.length > 0)
    throw new ConfigurationError(`The settings are not valid: ${problems.join('; ')}.`);
  return settings;
}

function crossChecks(s: Settings): string[] {
  const problems: string[] = [];
  if (s.leaseMs <= 2 * s.flushIntervalMs)
    problems.push('leaseMs must be more than twice flushIntervalMs, or wake-ups are sent more than once');
  if (s.stuckAfterMs <= 2 * s.flushIntervalMs)
    problems.push(
      'stuckAfterMs must be more than twice flushIntervalMs, or the sweep does the work of the jobs',
    );
  if (s.backoffCapMs < s.backoffBaseMs) problems.push('backoffCapMs must not be below backoffBaseMs');
  if (s.breakerCapMs < s.breakerBaseMs) problems.push('breakerCapMs must not be below breakerBaseMs');
  return problems;
}
