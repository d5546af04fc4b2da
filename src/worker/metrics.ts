/** Metrics of a worker's own work. system-metrics.ts has those that all workers share. */
import { type Counter, collectDefaultMetrics, type Gauge, type Histogram, Registry } from 'prom-client';
import type { LabelOf } from '../shared/telemetry/metric-catalogue.ts';
import { counter, declareBuild, gauge, histogram, weightedHistogram } from '../shared/telemetry/metrics.ts';
import type { WeightedHistogram } from '../shared/telemetry/weighted-histogram.ts';
import type { EntryContent } from '../shared/updates/record.ts';
import type { Batch } from './batch.ts';

/** Gauges of prom-client that are named like counters; it has the same numbers by type under better names. */
const MISNAMED = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
];

export class WorkerMetrics {
  readonly registry: Registry;
  readonly flushDuration: Histogram;
  readonly flushedUpdates: Counter;
  readonly flushedRows: Counter;
  readonly flushErrors: Counter<'class'>;
  readonly flushRetries: Counter<LabelOf<'sluice_flush_retries_total'>>;
  readonly skippedBatches: Counter;
  readonly rewinds: Counter;
  readonly lateDuplicates: Counter;
  readonly belowFloor: Counter<'program'>;
  readonly breakerOpen: Gauge;
  readonly claimDurability: Gauge<'durability'>;
  readonly claimsUnconfirmed: Counter;
  readonly verifiedKeys: Counter;
  readonly driftKeys: Gauge<'mapped'>;
  readonly consumerRestarts: Counter;
  readonly #persistSeconds: WeightedHistogram;
  readonly #batchAge: Histogram;
  readonly #batchUpdates: Histogram;
  readonly #hottest: Counter;
  readonly #credited: Counter<'returned'>;

  /** @param given the caller's registry; without one, the worker adds process metrics to its own */
  constructor(given?: Registry) {
    const registry = given ?? new Registry();
    this.registry = registry;
    if (!given) {
      collectDefaultMetrics({ register: registry });
      for (const name of MISNAMED) registry.removeSingleMetric(name);
    }
    declareBuild(registry, 'worker');
    this.flushDuration = histogram(registry, 'sluice_flush_duration_seconds');
    this.#persistSeconds = weightedHistogram(registry, 'sluice_update_persist_seconds');
    this.#batchAge = histogram(registry, 'sluice_batch_age_seconds');
    this.#batchUpdates = histogram(registry, 'sluice_batch_updates');
    this.flushedUpdates = counter(registry, 'sluice_flushed_updates_total');
    this.flushedRows = counter(registry, 'sluice_flushed_rows_total');
    this.#hottest = counter(registry, 'sluice_hottest_key_updates_total');
    this.flushErrors = counter(registry, 'sluice_flush_errors_total');
    this.flushRetries = counter(registry, 'sluice_flush_retries_total');
    this.skippedBatches = counter(registry, 'sluice_batches_skipped_total');
    this.rewinds = counter(registry, 'sluice_rewinds_total');
    this.lateDuplicates = counter(registry, 'sluice_late_duplicates_total');
    this.belowFloor = counter(registry, 'sluice_accounts_below_floor_total');
    this.claimDurability = gauge(registry, 'sluice_claim_durability');
    this.claimsUnconfirmed = counter(registry, 'sluice_claims_unconfirmed_total');
    this.breakerOpen = gauge(registry, 'sluice_breaker_open');
    this.verifiedKeys = counter(registry, 'sluice_verified_keys_total');
    this.driftKeys = gauge(registry, 'sluice_drift_keys');
    for (const mapped of ['no', 'yes']) this.driftKeys.set({ mapped }, 0);
    this.#credited = counter(registry, 'sluice_credited_transfers_total');
    for (const returned of ['no', 'yes']) this.#credited.inc({ returned }, 0);
    this.consumerRestarts = counter(registry, 'sluice_consumer_restarts_total');
  }

  /**
   * Counts a written batch.
   * @param now time of the commit, ms of Redis' clock
   */
  observeCommit(
    batch: Batch,
    { rows, credits }: { readonly rows: number; readonly credits: readonly EntryContent[] },
    now: number,
  ): void {
    // The credit of a transfer that an operator returned goes to the account that it came from.
    const returned = credits.filter(({ account, other }) => account === other).length;
    this.#credited.inc({ returned: 'yes' }, returned);
    this.#credited.inc({ returned: 'no' }, credits.length - returned);
    this.flushedUpdates.inc(batch.updates);
    this.flushedRows.inc(rows);
    this.#batchUpdates.observe(batch.updates);
    let hottest = 0;
    let oldest = batch.claimedAt;
    for (const { updates, acceptedAt } of batch.counters) {
      if (updates > hottest) hottest = updates;
      if (acceptedAt < oldest) oldest = acceptedAt;
      this.#persistSeconds.observe(Math.max(0, now - acceptedAt) / 1000, updates);
    }
    for (const { acceptedAt } of batch.entries) {
      if (acceptedAt < oldest) oldest = acceptedAt;
      this.#persistSeconds.observe(Math.max(0, now - acceptedAt) / 1000);
    }
    this.#hottest.inc(hottest);
    this.#batchAge.observe((batch.claimedAt - oldest) / 1000);
  }
}
