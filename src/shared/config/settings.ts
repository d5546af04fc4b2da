/** Every tuning option: its default, its limits, its environment variable, and why the default is what it is. */
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
    default: 16,
    min: 1,
    max: 1024,
    why: 'Fixed at first start. Several per worker thread of MySQL keeps all of them busy; more cost a job and a transaction each per interval.',
  },
  flushIntervalMs: {
    default: 100,
    min: 1,
    max: 60_000,
    why: 'How long pending updates coalesce before a flush; longer writes fewer rows, shorter lags less.',
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
    why: 'Partitions that one process flushes at a time; each takes a MySQL connection.',
  },
  jobBudgetMs: {
    default: 1000,
    min: 10,
    max: 60_000,
    why: 'After this long a flush job ends and wakes its partition anew, so that busy partitions do not starve others.',
  },
  attempts: {
    default: 5,
    min: 1,
    max: 100,
    why: 'Tries of a partition by one worker on errors that are neither an outage nor a conflict, before its flush job is shown as failed. Its batch stays safe.',
  },
  backoffBaseMs: {
    default: 500,
    min: 1,
    max: 600_000,
    why: 'First wait after such an error; doubles each time, with full jitter so that replicas spread out.',
  },
  backoffCapMs: {
    default: 30_000,
    min: 1,
    max: 3_600_000,
    why: 'Longest such wait, so that a mended cause is noticed within half a minute.',
  },
  conflictRetries: {
    default: 5,
    min: 0,
    max: 100,
    why: 'Immediate retries after a deadlock: the other side is gone by then. After a lock wait the sweep tries again, so that the partition holds up no other.',
  },
  breakerFailures: {
    default: 3,
    min: 1,
    max: 1000,
    why: 'Outage errors in a row that open the circuit breaker; one may be a single broken connection.',
  },
  breakerBaseMs: {
    default: 250,
    min: 1,
    max: 600_000,
    why: 'First wait before an open breaker tries one flush; doubles up to the cap, with jitter.',
  },
  breakerCapMs: {
    default: 5000,
    min: 1,
    max: 600_000,
    why: 'Longest such wait: an ended outage is noticed within five seconds.',
  },
  sweepIntervalMs: {
    default: 500,
    min: 10,
    max: 60_000,
    why: 'How often a worker looks for partitions that nobody flushes.',
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
    why: 'How long jobs may wait, with a free slot and none started, before the BullMQ consumer is restarted: above what BullMQ needs to notice a broken connection itself.',
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
    why: 'How often a worker compares a sample of live values with what they should be; 0 turns it off. Each time costs a few short reads.',
  },
  verifySample: {
    default: 100,
    min: 1,
    max: 10_000,
    why: 'Live values in a sample: 100 every 15 seconds walk through half a million a day.',
  },
  leaseMs: {
    default: 2000,
    min: 10,
    max: 600_000,
    why: 'How long a wake-up counts as given; when its producer died first, the next update wakes anew after this.',
  },
  shutdownDeadlineMs: {
    default: 20_000,
    min: 100,
    max: 110_000,
    why: 'Longest wait for the batch at hand after SIGTERM; below the 30 s after which ECS kills.',
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
    why: 'Longest wait for the answer to a statement: a database that fell silent is left after it. Above any healthy flush.',
  },
  journalBatches: {
    default: 10_000,
    min: 100,
    max: 10_000_000,
    why: 'Batches per partition that MySQL remembers, so that late answers and zombies are recognised; about a quarter of an hour at full pace.',
  },
  idempotencyWindowMs: {
    default: 60 * 60 * 1000,
    min: 1000,
    max: 30 * DAY,
    why: 'How long Redis remembers an id after its update is in MySQL (counters: after acceptance).',
  },
  idempotencyLimit: {
    default: 200_000,
    min: 100,
    max: 100_000_000,
    why: 'Most ids of each kind remembered per partition, about 150 bytes each; the oldest persisted ones go first.',
  },
  liveTtlMs: {
    default: 60 * 60 * 1000,
    min: 1000,
    max: 365 * DAY,
    why: 'How long a value stays in Redis after its last use; memory follows the working set.',
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
    why: 'Most counter updates in one script call, an entry counting for four: one to two milliseconds of Redis time.',
  },
  pendingKeysLimit: {
    default: 250_000,
    min: 1,
    max: 100_000_000,
    why: 'Most counter keys of a partition that wait for a claim, before updates of further keys are refused: bounds the memory of an outage.',
  },
  pendingEntriesLimit: {
    default: 250_000,
    min: 1,
    max: 100_000_000,
    why: 'Most entries of a partition that are not in MySQL, before further ones are refused.',
  },
  pendingAgeLimitMs: {
    default: DAY,
    min: 0,
    max: 365 * DAY,
    why: 'Age of the oldest pending update from which on a partition refuses all updates; 0 for never. A day is longer than any outage that nobody noticed.',
  },
  memoryLimitPercent: {
    default: 90,
    min: 1,
    max: 100,
    why: 'Share of maxmemory from which on updates are refused, so that the rest is left to the workers and BullMQ; 100 for never, and without maxmemory there is no limit.',
  },
  backpressureWaitMs: {
    default: 10_000,
    min: 1,
    max: 3_600_000,
    why: 'Longest wait for room, for counters and programs whose definition says "backpressure": "wait".',
  },
  barrierReplicas: {
    default: 1,
    min: 1,
    max: 10,
    why: 'Replicas that must confirm where the durability is "replica". With fewer than all of them, a failover may promote one that was not asked.',
  },
  barrierTimeoutMs: {
    default: 1500,
    min: 10,
    max: 60_000,
    why: 'Longest wait for a replica or the disk to confirm a claim; under appendfsync everysec the disk takes up to a second.',
  },
  startWaitMs: {
    default: 5000,
    min: 0,
    max: 3_600_000,
    why: 'How long a start waits for a server that is away, before it fails. `sluice worker` waits 300,000 unless this is set: an outage must not count as a failed deployment. Errors that waiting cannot cure fail at once.',
  },
  bufferLimit: {
    default: 50_000,
    min: 100,
    max: 10_000_000,
    why: 'Most updates of a partition that wait in a producer for Redis, before calls are refused.',
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
 * @throws ConfigurationError naming each wrong setting.
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
    problems.push('leaseMs must be more than twice flushIntervalMs, or wake-ups are repeated for nothing');
  if (s.stuckAfterMs <= 2 * s.flushIntervalMs)
    problems.push(
      'stuckAfterMs must be more than twice flushIntervalMs, or the sweep does the work of the jobs',
    );
  if (s.backoffCapMs < s.backoffBaseMs) problems.push('backoffCapMs must not be below backoffBaseMs');
  if (s.breakerCapMs < s.breakerBaseMs) problems.push('breakerCapMs must not be below breakerBaseMs');
  return problems;
}
