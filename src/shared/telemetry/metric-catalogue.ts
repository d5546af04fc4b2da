/**
 * Every metric: its name, help, labels and what bounds them. The code makes its metrics from this table, and
 * `npm run generate` makes docs/metrics.md from it.
 *
 * A `process` metric is this process's own: add the replicas up. A `global` one describes what all of them share: each worker
 * reports the same number, so take the max. Labels whose values are known start at 0, so that rates are right from the start.
 */

type Labels = Readonly<Record<string, readonly string[] | string>>;

export interface MetricDefinition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly scope: 'process' | 'global';
  readonly from: 'worker' | 'producer' | 'both';
  readonly unit: string;
  /** Each label's values, or what bounds them. */
  readonly labels?: Labels;
  /** Upper bounds, of a histogram. */
  readonly buckets?: readonly number[];
  readonly help: string;
}

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const AGES = [0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800];
const PARTITION = { partition: 'as many as there are partitions' };
const SERVER = { server: 'primary, or host:port of each primary of a Cluster' };

const worker = { scope: 'process', from: 'worker' } as const;
const shared = { scope: 'global', from: 'worker' } as const;
const producer = { scope: 'process', from: 'producer' } as const;

export const metricCatalogue = {
  sluice_accepted_updates_total: {
    ...producer,
    type: 'counter',
    unit: 'updates',
    labels: { duplicate: ['false', 'true'] },
    help: 'Updates acknowledged to callers; duplicates are those whose id was known.',
  },
  sluice_refused_updates_total: {
    ...producer,
    type: 'counter',
    unit: 'updates',
    labels: { code: 'the error codes' },
    help: 'Updates answered with an error, by its code.',
  },
  sluice_lost_updates_total: {
    ...producer,
    type: 'counter',
    unit: 'updates',
    help: 'Updates that Redis had acknowledged to this process and lost, as far as it found out.',
  },
  sluice_producer_buffered_updates: {
    ...producer,
    type: 'gauge',
    unit: 'updates',
    help: 'Updates that this process has taken and not answered yet: they wait to be sent, are under way, or are held back.',
  },
  sluice_micro_batch_updates: {
    ...producer,
    type: 'histogram',
    unit: 'updates',
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
    help: 'Updates that went to Redis in one call.',
  },
  sluice_apply_duration_seconds: {
    ...producer,
    type: 'histogram',
    unit: 'seconds',
    buckets: SECONDS,
    help: 'Time of one such call, its repetitions included.',
  },
  sluice_live_lookups_total: {
    ...producer,
    type: 'counter',
    unit: 'lookups',
    labels: { operation: ['update', 'read'], live: ['yes', 'no'] },
    help: 'Counter updates and values read that found the value in Redis (yes), or only in MySQL (no).',
  },
  sluice_pending_updates: {
    ...shared,
    type: 'gauge',
    unit: 'updates',
    labels: PARTITION,
    help: 'Updates accepted and not claimed: the backlog.',
  },
  sluice_pending_keys: {
    ...shared,
    type: 'gauge',
    unit: 'keys',
    labels: PARTITION,
    help: 'Counter keys and accounts among them; one that was updated while a long backlog drained counts twice.',
  },
  sluice_in_flight_updates: {
    ...shared,
    type: 'gauge',
    unit: 'updates',
    labels: PARTITION,
    help: 'Updates claimed and not acknowledged as written.',
  },
  sluice_flush_lag_seconds: {
    ...shared,
    type: 'gauge',
    unit: 'seconds',
    labels: PARTITION,
    help: 'Age of the oldest update that is not in MySQL.',
  },
  sluice_batch_sequence: {
    ...shared,
    type: 'gauge',
    unit: 'batches',
    labels: PARTITION,
    help: 'Sequence number of the batch claimed last; a partition that flushes moves it.',
  },
  sluice_value_at_risk: {
    ...shared,
    type: 'gauge',
    unit: 'points',
    labels: { program: 'the defined programs' },
    help: 'Points pending or in flight, net for each account and without sign: what is nowhere but in Redis. Of a partition with more than 1,000 such accounts it is an estimate from 1,000 of them.',
  },
  sluice_queue_depth: {
    ...shared,
    type: 'gauge',
    unit: 'jobs',
    labels: { state: ['waiting', 'active', 'delayed', 'failed'] },
    help: 'Flush jobs by state; at most about two for each partition, whatever is pending.',
  },
  sluice_quarantined_entries: {
    ...shared,
    type: 'gauge',
    unit: 'updates',
    help: 'Updates that MySQL refused for their own sake and that wait for an operator.',
  },
  sluice_quarantine_oldest_age_seconds: {
    ...shared,
    type: 'gauge',
    unit: 'seconds',
    help: 'How long the oldest of them has waited; 0 where there is none.',
  },
  sluice_held_rows: {
    ...shared,
    type: 'gauge',
    unit: 'rows',
    labels: { kind: ['counter', 'points'], name: 'the defined counters and programs' },
    help: 'Rows that wait in quarantine since their mapped table cannot be written, and are written by themselves once it can. A counter key has one row, an entry one.',
  },
  sluice_declared_loss_updates: {
    ...shared,
    type: 'gauge',
    unit: 'updates',
    labels: { kind: ['lost', 'doubled'] },
    help: 'Updates that Redis lost, or that may have counted twice since it forgot their claim; at most so many, since ever.',
  },
  sluice_redis_memory_used_bytes: {
    ...shared,
    type: 'gauge',
    unit: 'bytes',
    labels: SERVER,
    help: 'used_memory of each primary.',
  },
  sluice_redis_memory_limit_bytes: {
    ...shared,
    type: 'gauge',
    unit: 'bytes',
    labels: SERVER,
    help: 'maxmemory of each primary; 0 for none.',
  },
  sluice_redis_evicted_keys_total: {
    ...shared,
    type: 'counter',
    unit: 'keys',
    labels: SERVER,
    help: 'Keys that a primary evicted since its start; with noeviction, which Sluice asks for, there are none.',
  },
  sluice_redis_clients: {
    ...shared,
    type: 'gauge',
    unit: 'connections',
    labels: SERVER,
    help: 'Connections of each primary, from anybody.',
  },
  sluice_redis_replicas: {
    ...shared,
    type: 'gauge',
    unit: 'replicas',
    labels: SERVER,
    help: 'Replicas connected to each primary.',
  },
  sluice_mysql_connections: {
    ...shared,
    type: 'gauge',
    unit: 'connections',
    help: 'Threads_connected: connections of MySQL, from anybody.',
  },
  sluice_mysql_connections_limit: {
    ...shared,
    type: 'gauge',
    unit: 'connections',
    help: 'max_connections of MySQL.',
  },
  sluice_server_up: {
    ...worker,
    type: 'gauge',
    unit: '1 or 0',
    labels: { server: ['redis', 'mysql'] },
    help: 'Whether the server answered this worker for this scrape.',
  },
  sluice_flush_duration_seconds: {
    ...worker,
    type: 'histogram',
    unit: 'seconds',
    buckets: SECONDS,
    help: 'Time from the claim of a batch to the end of its transaction.',
  },
  sluice_update_persist_seconds: {
    ...worker,
    type: 'histogram',
    unit: 'seconds',
    buckets: AGES,
    help: 'Time from the acceptance of an update to its commit; increments that were summed count from the first of them.',
  },
  sluice_batch_age_seconds: {
    ...worker,
    type: 'histogram',
    unit: 'seconds',
    buckets: AGES,
    help: 'Age of the oldest update of a batch when it was claimed.',
  },
  sluice_batch_updates: {
    ...worker,
    type: 'histogram',
    unit: 'updates',
    buckets: [1, 10, 50, 100, 500, 1000, 2500, 5000, 10_000, 50_000, 250_000],
    help: 'Updates in a committed batch.',
  },
  sluice_flushed_updates_total: {
    ...worker,
    type: 'counter',
    unit: 'updates',
    help: 'Updates committed to MySQL.',
  },
  sluice_flushed_rows_total: {
    ...worker,
    type: 'counter',
    unit: 'rows',
    help: 'Rows written for them: counters, balances and ledger entries. Updates by rows is the coalescing ratio.',
  },
  sluice_hottest_key_updates_total: {
    ...worker,
    type: 'counter',
    unit: 'updates',
    help: 'Of them, those of the counter with the most updates in each batch. By all updates it is the share of hot keys.',
  },
  sluice_flush_errors_total: {
    ...worker,
    type: 'counter',
    unit: 'transactions',
    labels: { class: ['unavailable', 'conflict', 'refused', 'other', 'halted'] },
    help: 'Failed transactions, by what the error says: MySQL is away, somebody else was in the way, the data was refused, something else, or the partition has to wait for an operator.',
  },
  sluice_flush_retries_total: {
    ...worker,
    type: 'counter',
    unit: 'retries',
    labels: { class: ['unavailable', 'conflict', 'not_durable', 'other'] },
    help: 'Flushes to be tried again, by why: MySQL is away, a conflict (a deadlock at once, a lock wait by the sweep), a claim that was not confirmed, something else (with backoff).',
  },
  sluice_batches_skipped_total: {
    ...worker,
    type: 'counter',
    unit: 'batches',
    help: 'Batches that had been written or ended before.',
  },
  sluice_late_duplicates_total: {
    ...worker,
    type: 'counter',
    unit: 'entries',
    help: 'Entries that only the ledger recognised as duplicates; their live balances were corrected.',
  },
  sluice_accounts_below_floor_total: {
    ...worker,
    type: 'counter',
    unit: 'accounts',
    labels: { program: 'the defined programs' },
    help: 'Accounts that a flush took below their floor, quarantine counted: a debit was accepted that Redis had no points for, as after a loss.',
  },
  sluice_claim_durability: {
    ...worker,
    type: 'gauge',
    unit: '1',
    labels: { durability: 'memory, replica or fsync' },
    help: '1 for what a claim of this worker waits for before its batch is written: memory runs at risk of doubled counters.',
  },
  sluice_claims_unconfirmed_total: {
    ...worker,
    type: 'counter',
    unit: 'claims',
    help: 'Claims that no replica, or not the disk, confirmed in time.',
  },
  sluice_breaker_open: {
    ...worker,
    type: 'gauge',
    unit: '1 or 0',
    help: '1 while this worker leaves MySQL alone after an outage.',
  },
  sluice_verified_keys_total: {
    ...worker,
    type: 'counter',
    unit: 'keys',
    help: 'Live values that this worker compared with what they should be, in samples.',
  },
  sluice_drift_keys: {
    ...worker,
    type: 'gauge',
    unit: 'keys',
    labels: { mapped: ['no', 'yes'] },
    help: 'Live values that this worker found to differ and that still do, 1,000 at most; mapped ones (yes) may have other writers.',
  },
  sluice_consumer_restarts_total: {
    ...worker,
    type: 'counter',
    unit: 'restarts',
    help: 'Restarts of a BullMQ consumer that started no job while jobs waited.',
  },
  sluice_rewinds_total: {
    type: 'counter',
    scope: 'process',
    from: 'both',
    unit: 'times',
    help: 'Times that Redis was found to have gone back in time: behind a batch that MySQL has.',
  },
  sluice_build_info: {
    type: 'gauge',
    scope: 'process',
    from: 'both',
    unit: '1',
    labels: { component: 'worker or producer', version: 'the running one' },
    help: 'Always 1: which version of Sluice runs in this process.',
  },
} as const satisfies Record<`sluice_${string}`, MetricDefinition>;

type Catalogue = typeof metricCatalogue;
export type MetricName = keyof Catalogue;
export type MetricNameOf<Type extends MetricDefinition['type']> = {
  [Name in MetricName]: Catalogue[Name]['type'] extends Type ? Name : never;
}[MetricName];
export type LabelOf<Name extends MetricName> = Catalogue[Name] extends { labels: infer Known }
  ? Extract<keyof Known, string>
  : never;
