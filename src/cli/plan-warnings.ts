/** Warnings of a plan, each with a stable code: what its reader has to decide or to set. */
import { environmentName, type SettingName, settingsCatalogue } from '../shared/config/settings.ts';
import type { Plan } from './plan-model.ts';
import { count } from './plan-numbers.ts';

export type WarningCode =
  | 'CLUSTER'
  | 'HOT_PARTITION'
  | 'FEW_PARTITIONS'
  | 'NO_INSTANCE_CLASS'
  | 'STORAGE'
  | 'PENDING_KEYS_LIMIT'
  | 'PENDING_ENTRIES_LIMIT'
  | 'PENDING_AGE_LIMIT'
  | 'NO_CATCH_UP'
  | 'COUNTER_IDS'
  | 'INTERVAL';

export interface Warning {
  readonly code: WarningCode;
  readonly message: string;
}

/** Operations a second of a gp3 volume below 400 GiB, by default. */
const STORAGE_OPERATIONS = 3000;
/** A durable commit waits for the redo log and for the binary log. */
const SYNCS_PER_COMMIT = 2;

export function warningsOf(plan: Plan): Warning[] {
  return [...redisWarnings(plan), ...mysqlWarnings(plan), ...outageWarnings(plan), ...settingWarnings(plan)];
}

function redisWarnings({ load, redis, hottestPartition: hottest, ...plan }: Plan): Warning[] {
  const allowed = 1 - load.headroom;
  const found: Warning[] = [];
  if (redis.primaries > 1)
    found.push({
      code: 'CLUSTER',
      message:
        `One Redis primary is not enough: use Redis Cluster with ${redis.primaries} shards, and check with CLUSTER KEYSLOT ` +
        'how evenly the partitions spread over them.' +
        (redis.callCores > redis.cores / 2
          ? ` Calls take ${count(redis.callCores)} of the ${count(redis.cores)} cores: a longer --latency means fewer calls.`
          : ''),
    });
  if (hottest.cores > allowed)
    found.push({
      code: 'HOT_PARTITION',
      message:
        `The partition of the most frequent key gets ${count(hottest.updatesPerSecond)} updates a second, ${count(hottest.cores)} of a core, ` +
        `and no Cluster splits a partition: spread that key over several keys from about ${count((hottest.updatesPerSecond * allowed) / hottest.cores)} updates a second on.`,
    });
  if (plan.partitions < plan.partitionsNeeded)
    found.push({
      code: 'FEW_PARTITIONS',
      message: `${plan.partitions} partitions are too few to spread the load evenly over ${plan.workers} workers and ${redis.primaries} Redis primaries: use ${plan.partitionsNeeded} at least.`,
    });
  return found;
}

function mysqlWarnings({ mysql, flushIntervalMs }: Plan): Warning[] {
  const found: Warning[] = [];
  if (mysql.instanceClass === null)
    found.push({
      code: 'NO_INSTANCE_CLASS',
      message: `No RDS class that the plan knows is enough: a flush interval above ${flushIntervalMs} ms writes fewer rows of counters; entries need several databases.`,
    });
  const syncs = mysql.commitsPerSecond * SYNCS_PER_COMMIT;
  if (syncs > STORAGE_OPERATIONS)
    found.push({
      code: 'STORAGE',
      message: `Commits wait for storage up to ${count(syncs)} times a second, more than the ${count(STORAGE_OPERATIONS)} operations of a small gp3 volume: provision more, or flush less often.`,
    });
  return found;
}

function outageWarnings({ load, outage, partitions }: Plan): Warning[] {
  const found: Warning[] = [];
  const over = (code: WarningCode, what: string, number: number, name: SettingName) => {
    const each = Math.ceil(number / partitions);
    if (each > settingsCatalogue[name].default)
      found.push({
        code,
        message: `The outage leaves ${count(each)} ${what} in each partition: set ${environmentName(name)} above that, or further updates are refused.`,
      });
  };
  over('PENDING_KEYS_LIMIT', 'pending keys', outage.pendingKeys, 'pendingKeysLimit');
  over('PENDING_ENTRIES_LIMIT', 'pending entries', outage.pendingEntries, 'pendingEntriesLimit');
  if (load.outage * 60_000 > settingsCatalogue.pendingAgeLimitMs.default)
    found.push({
      code: 'PENDING_AGE_LIMIT',
      message: `Updates are refused once the oldest has waited longer than ${environmentName('pendingAgeLimitMs')}, a day by default: set it above the outage.`,
    });
  if (outage.catchUpSeconds === null)
    found.push({
      code: 'NO_CATCH_UP',
      message:
        'Workers or MySQL have no spare capacity to catch up after an outage: plan with more headroom.',
    });
  return found;
}

function settingWarnings({ counterIds: { wanted, kept }, flushIntervalMs }: Plan): Warning[] {
  const found: Warning[] = [];
  if (wanted > kept) {
    const minutes = (settingsCatalogue.idempotencyWindowMs.default / 60_000) * (kept / wanted);
    found.push({
      code: 'COUNTER_IDS',
      message: `Ids of counter updates are remembered for ${count(minutes)} minutes only: raise ${environmentName('idempotencyLimit')}, and plan memory for it.`,
    });
  }
  const tight = (['leaseMs', 'stuckAfterMs'] as const).filter(
    name => settingsCatalogue[name].default <= 2 * flushIntervalMs,
  );
  if (tight.length > 0)
    found.push({
      code: 'INTERVAL',
      message: `Set ${tight.map(environmentName).join(' and ')} above ${2 * flushIntervalMs}, twice the flush interval.`,
    });
  return found;
}
