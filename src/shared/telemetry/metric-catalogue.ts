/**
 * Every metric: its name, help, labels and what bounds them. The code makes its metrics from this table, and
 * `npm run generate` makes docs/metrics.md from it.
 *
 * A `process` metric is about one process: add the replicas up. A `global` metric is about what all of them
 * share: each worker reports the same number, so take the maximum. Labels with known values start at 0, so
 * that rates are right from the start.
 */

type Labels = Readonly<Record<string, readonly string[] | string>>;

export interface MetricDefinition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly scope: 'process' | 'global';
  readonly from: 'worker' | 'producer' | 'api' | 'both';
  readonly unit: string;
  /** The values of each label, or what bounds them. */
  readonly labels?: Labels;
  /** Upper bounds of a histogram. */
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

const api = { scope: 'process', from: 'api' } as const;
const ROUTE = { route: 'the paths of the API, and `unknown`' };

export const metricCatalogue = {
  sluice_http_requests_total: {
    ...api,
    type: 'counter',
    unit: 'requests',
    labels: { ...ROUTE, method: 'the methods of HTTP', status: 'the status codes' },
    help: 'Requests that `sluice serve` has answered.',
  },
  sluice_http_request_duration_seconds: {
    ...api,
    type: 'histogram',
    unit: 'seconds',
    labels: ROUTE,
    buckets: SECONDS,
    help: 'Time from the headers of a request to the end of its answer. A stream of updates takes as long as its client.',
  },
  sluice_accepted_updates_total: {
    ...producer,
    type: 'counter',
    unit: 'updates',
    labels: { duplicate: ['false', 'true'] },
    help: 'Updates acknowledged to callers; duplicates are updates whose id was known already.',
  },
  sluice_accepted_transfers_total: {
    ...producer,
    type: 'counter',
    unit: 'transfers',
    labels: { duplicate: ['false', 'true'] },
    help: 'Transfers acknowledged to callers, which count as updates too; duplicates are transfers whose id was known already.',
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
    help: 'Updates that Redis acknowledged to this process and then lost, as far as the process noticed.',
  },
  sluice_producer_buffered_updates: {
    ...producer,
    type: 'gauge',
    unit: 'updates',
    help: 'Updates that this process has not answered yet: they wait to be sent, are under way, or are held back.',
  },
  sluice_micro_batch_updates: {
    ...producer,
    type: 'histogram',
    unit: 'updates',
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
    help: 'Updates in one call to Redis.',
  },
  sluice_apply_duration_seconds: {
    ...producer,
    type: 'histogram',
    unit: 'seconds',
    buckets: SECONDS,
    help: 'Duration of one such call, retries included.',
  },
  sluice_live_lookups_total: {
    ...producer,
    type: 'counter',
    unit: 'lookups',
    labels: { operation: ['update', 'read'], live: ['yes', 'no'] },
    help: 'Counter updates and reads that found the value in Redis (yes), or only in MySQL (no).',
  },
  sluice_pending_updates: {
    ...shared,
    type: 'gauge',
    unit: 'updates',
    labels: PARTITION,
    help: 'Updates accepted but not claimed yet: the backlog.',
  },
  sluice_pending_keys: {
    ...shared,
    type: 'gauge',
    unit: 'keys',
    labels: PARTITION,
    help: 'Counter keys and accounts with pending updates; one that is updated while a long backlog drains counts twice.',
  },
  sluice_in_flight_updates: {
    ...shared,
    type: 'gauge',
    unit: 'updates',
    labels: PARTITION,
    help: 'Updates claimed but not acknowledged as written yet.',
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
    help: 'Sequence number of the batch claimed last; it grows while a partition flushes.',
  },
  sluice_value_at_risk: {
    ...shared,
    type: 'gauge',
    unit: 'points',
    labels: { program: 'the defined programs' },
    help: 'Points that only Redis has: the pending and in-flight sum of each account, without its sign. For a partition with more than 1,000 such accounts, an estimate from 1,000 of them.',
  },
  sluice_queue_depth: {
    ...shared,
    type: 'gauge',
    unit: 'jobs',
    labels: { state: ['waiting', 'active', 'delayed', 'failed'] },
    help: 'Flush jobs by state; about two for each group of partitions, and for each partition that failed, however many updates are pending.',
  },
  sluice_quarantined_entries: {
    ...shared,
    type: 'gauge',
    unit: 'updates',
    help: 'Updates that MySQL refused and that wait for an operator.',
  },
  sluice_quarantine_oldest_age_seconds: {
    ...shared,
    type: 'gauge',
    unit: 'seconds',
    help: 'How long the oldest of them has waited; 0 if there is none.',
  },
  sluice_holds_open: {
    ...shared,
    type: 'gauge',
    unit: 'holds',
    labels: { program: 'the defined programs' },
    help: 'Holds that are open in MySQL.',
  },
  sluice_hold_points: {
    ...shared,
    type: 'gauge',
    unit: 'points',
    labels: { program: 'the defined programs' },
    help: 'Points that open holds keep in MySQL: balances count them, and nobody can spend them.',
  },
  sluice_hold_overdue_seconds: {
    ...shared,
    type: 'gauge',
    unit: 'seconds',
    help: 'For how long the time of a hold has been over that is still open in MySQL; 0 if there is none. Workers end it within seconds.',
  },
  sluice_held_rows: {
    ...shared,
    type: 'gauge',
    unit: 'rows',
    labels: { kind: ['counter', 'points'], name: 'the defined counters and programs' },
    help: 'Rows that wait in quarantine because their mapped table cannot be written; workers write them once it can. Each counter key and each entry has one row.',
  },
  sluice_transfers_in_transit: {
    ...shared,
    type: 'gauge',
    unit: 'transfers',
    labels: { program: 'the defined programs' },
    help: 'Transfers whose debit is in MySQL and whose credit is not; workers drive them.',
  },
  sluice_transfer_oldest_age_seconds: {
    ...shared,
    type: 'gauge',
    unit: 'seconds',
    labels: { program: 'the defined programs' },
    help: 'How long the oldest transfer in transit has waited since its debit; 0 if there is none.',
  },
  sluice_transfers_aside: {
    ...shared,
    type: 'gauge',
    unit: 'transfers',
    labels: { program: 'the defined programs' },
    help: 'Transfers whose credit MySQL refuses. They wait for an operator, who retries or returns them.',
  },
  sluice_backfill_rows: {
    ...shared,
    type: 'gauge',
    unit: 'rows',
    labels: { run: 'the newest backfills that are not finished' },
    help: 'Rows that a backfill found when it began. The series ends with the backfill.',
  },
  sluice_backfill_rows_passed: {
    ...shared,
    type: 'gauge',
    unit: 'rows',
    labels: { run: 'the newest backfills that are not finished' },
    help: 'Rows that a backfill has passed: each is in MySQL, in quarantine, or was left out.',
  },
  sluice_backfill_progress_age_seconds: {
    ...shared,
    type: 'gauge',
    unit: 'seconds',
    labels: { run: 'the newest backfills that are not finished' },
    help: 'How long ago a backfill has passed rows; at first, how long ago it began.',
  },
  sluice_backfill_carried_out: {
    ...shared,
    type: 'gauge',
    unit: 'boolean',
    labels: { run: 'the newest backfills that are not finished' },
    help: 'Whether a process carries the backfill out: 1, or 0 if somebody has to start it again.',
  },
  sluice_ranks_inexact_partitions: {
    ...shared,
    type: 'gauge',
    unit: 'partitions',
    labels: { kind: ['counter', 'points'], name: 'the ranked counters and programs' },
    help: 'Partitions whose ranks are being built, or have keys whose scores are being corrected. At 0, answers are exact.',
  },
  sluice_declared_loss_updates: {
    ...shared,
    type: 'gauge',
    unit: 'updates',
    labels: { kind: ['lost', 'doubled'] },
    help: 'Updates declared in total, at most: lost by Redis, or possibly counted twice because it forgot their claim.',
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
    help: 'Keys that a primary has evicted since its start; with noeviction, which Sluice requires, there are none.',
  },
  sluice_redis_clients: {
    ...shared,
    type: 'gauge',
    unit: 'connections',
    labels: SERVER,
    help: 'Connections to each primary, from all clients.',
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
    help: 'Threads_connected: connections to MySQL, from all clients.',
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
    help: 'Time from the acceptance of an update to its commit; summed increments count from the first of them.',
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
    help: 'Rows written for them: counters, balances and ledger entries. Updates divided by rows are the coalescing ratio.',
  },
  sluice_hottest_key_updates_total: {
    ...worker,
    type: 'counter',
    unit: 'updates',
    help: 'Updates committed for the counter with the most updates in each batch. Divided by all updates, the share of hot keys.',
  },
  sluice_flush_errors_total: {
    ...worker,
    type: 'counter',
    unit: 'transactions',
    labels: { class: ['unavailable', 'conflict', 'refused', 'other', 'halted'] },
    help: 'Failed transactions, by cause: MySQL is away, another transaction was in the way, MySQL refused the data, anything else, or the partition is halted.',
  },
  sluice_flush_retries_total: {
    ...worker,
    type: 'counter',
    unit: 'retries',
    labels: { class: ['unavailable', 'conflict', 'not_durable', 'other'] },
    help: 'Flushes to retry, by cause: MySQL is away, a conflict (a deadlock is retried at once, a lock wait by the sweep), an unconfirmed claim, anything else (with backoff).',
  },
  sluice_batches_skipped_total: {
    ...worker,
    type: 'counter',
    unit: 'batches',
    help: 'Batches that were skipped because they had been written or ended before.',
  },
  sluice_late_duplicates_total: {
    ...worker,
    type: 'counter',
    unit: 'entries',
    help: 'Entries that only the ledger recognised as duplicates; Sluice corrected their live balances.',
  },
  sluice_accounts_below_floor_total: {
    ...worker,
    type: 'counter',
    unit: 'accounts',
    labels: { program: 'the defined programs' },
    help: 'Accounts that a flush took below their floor, quarantine included: Redis accepted a debit without the points, as after a loss.',
  },
  sluice_credited_transfers_total: {
    ...worker,
    type: 'counter',
    unit: 'transfers',
    labels: { returned: ['no', 'yes'] },
    help: 'Transfers whose credit was committed; yes for those that went back to their source after a return.',
  },
  sluice_claim_durability: {
    ...worker,
    type: 'gauge',
    unit: '1',
    labels: { durability: 'memory, replica or fsync' },
    help: '1 for the durability that claims of this worker wait for before their batch is written; memory risks doubled counters.',
  },
  sluice_claims_unconfirmed_total: {
    ...worker,
    type: 'counter',
    unit: 'claims',
    help: 'Claims that the replica or disk that they waited for did not confirm in time.',
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
    help: 'Live values that this worker compared with their expected value, in samples.',
  },
  sluice_drift_keys: {
    ...worker,
    type: 'gauge',
    unit: 'keys',
    labels: { mapped: ['no', 'yes'] },
    help: 'Live values that differ from their expected value, as far as this worker knows, 1,000 at most; mapped values (yes) may have other writers.',
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
    help: 'Times that Redis went back in time: it was found behind a batch that MySQL has.',
  },
  sluice_build_info: {
    type: 'gauge',
    scope: 'process',
    from: 'both',
    unit: '1',
    labels: { component: 'worker or producer', version: 'the running one' },
    help: 'Always 1; its labels name the version of Sluice in this process.',
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
