/**
 * The worker's metrics, all declared here. Totals and histograms are this process's own; gauges that describe the
 * shared system are read from Redis and MySQL at scrape time, so every replica reports the same number (take the max);
 * while their server is away they are absent, and the others go on.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { within } from '../shared/clock.ts';
import type { Inspector, PartitionStatus } from '../shared/inspect.ts';
import type { Database } from '../shared/mysql.ts';
import type { FlushQueue } from '../shared/queue.ts';
import { rewindsCounter } from '../shared/rewinds.ts';
import type { Batch } from './batch.ts';
import { WeightedHistogram } from './weighted-histogram.ts';

/** Longest wait of a scrape for a server; ioredis would wait for ever. */
const ANSWER_MS = 1500;
const SAME_SCRAPE_MS = 100;
const LAG_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800];

export interface MetricsSources {
  readonly inspector: Inspector;
  readonly queue: FlushQueue;
  readonly database: Database;
}

export class WorkerMetrics {
  readonly registry: Registry;
  readonly flushDuration: Histogram;
  readonly flushedUpdates: Counter;
  readonly flushedRows: Counter;
  readonly flushErrors: Counter<'class'>;
  readonly skippedBatches: Counter;
  readonly rewinds: Counter;
  readonly lateDuplicates: Counter;
  readonly breakerOpen: Gauge;
  readonly #persistSeconds: WeightedHistogram;

  /** @param shared the caller's registry; process metrics are its caller's business then */
  constructor(shared?: Registry) {
    const registry = shared ?? new Registry();
    this.registry = registry;
    const registers = [registry];
    if (!shared) collectDefaultMetrics({ register: registry });
    this.flushDuration = new Histogram({
      name: 'sluice_flush_duration_seconds',
      help: 'Time from the claim of a batch to the end of its transaction.',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    });
    this.#persistSeconds = new WeightedHistogram(
      'sluice_update_persist_seconds',
      'Time from the acceptance of an update to its commit; increments that were summed count from the first of them.',
      LAG_BUCKETS,
    );
    registry.registerMetric(this.#persistSeconds.asMetric());
    this.flushedUpdates = new Counter({
      name: 'sluice_flushed_updates_total',
      help: 'Updates committed to MySQL.',
      registers,
    });
    this.flushedRows = new Counter({
      name: 'sluice_flushed_rows_total',
      help: 'Rows written for them: counters, balances and ledger entries.',
      registers,
    });
    this.flushErrors = new Counter({
      name: 'sluice_flush_errors_total',
      help: 'Failed transactions: unavailable, conflict, refused, other, halted.',
      labelNames: ['class'] as const,
      registers,
    });
    for (const kind of ['unavailable', 'conflict', 'refused', 'other', 'halted'])
      this.flushErrors.inc({ class: kind }, 0);
    this.skippedBatches = new Counter({
      name: 'sluice_batches_skipped_total',
      help: 'Batches that had been written or ended before.',
      registers,
    });
    this.rewinds = rewindsCounter(registry);
    this.lateDuplicates = new Counter({
      name: 'sluice_late_duplicates_total',
      help: 'Entries that only the ledger recognised as duplicates; their live balances were corrected.',
      registers,
    });
    this.breakerOpen = new Gauge({
      name: 'sluice_breaker_open',
      help: '1 while this worker leaves MySQL alone after an outage.',
      registers,
    });
  }

  /** Registers the gauges that are read at scrape time. */
  watch({ inspector, queue, database }: MetricsSources): void {
    const registers = [this.registry];
    // One look at Redis serves all the gauges of a scrape.
    let look: { at: number; partitions: Promise<PartitionStatus[] | undefined> } | undefined;
    const partitions = () => {
      if (!look || performance.now() - look.at > SAME_SCRAPE_MS) {
        look = { at: performance.now(), partitions: within(inspector.all(), ANSWER_MS) };
      }
      return look.partitions;
    };
    const perPartition = (name: string, help: string, value: (status: PartitionStatus) => number) =>
      new Gauge({
        name,
        help,
        labelNames: ['partition'],
        registers,
        async collect() {
          const found = await partitions();
          if (!found) this.reset();
          for (const status of found ?? []) this.set({ partition: String(status.partition) }, value(status));
        },
      });
    perPartition(
      'sluice_pending_updates',
      'Updates accepted and not claimed.',
      status => status.pendingUpdates,
    );
    perPartition(
      'sluice_pending_keys',
      'Distinct counter keys and accounts among them.',
      status => status.pendingKeys,
    );
    perPartition(
      'sluice_flush_lag_seconds',
      'Age of the oldest update that is not in MySQL.',
      status => status.lagSeconds,
    );
    new Gauge({
      name: 'sluice_queue_depth',
      help: 'Flush jobs by state; at most about two for each partition, whatever is pending.',
      labelNames: ['state'],
      registers,
      async collect() {
        const counts = await within(queue.getJobCounts('waiting', 'active', 'delayed', 'failed'), ANSWER_MS);
        if (!counts) this.reset();
        for (const [state, count] of Object.entries(counts ?? {})) this.set({ state }, count);
      },
    });
    new Gauge({
      name: 'sluice_quarantined_entries',
      help: 'Updates that MySQL refused for their own sake and that wait for an operator.',
      registers,
      async collect() {
        const rows = await within(
          database.query('SELECT COUNT(*) AS waiting FROM sluice_quarantine'),
          ANSWER_MS,
        );
        // NaN, not an old number: Prometheus shows a gap.
        this.set(Number(rows?.[0]?.waiting ?? Number.NaN));
      },
    });
  }

  /** @param now when the batch was committed, on the clock of the Redis that accepted its updates, ms */
  observePersisted(batch: Batch, now: number): void {
    for (const sum of batch.counters)
      this.#persistSeconds.observe(Math.max(0, now - sum.acceptedAt) / 1000, sum.updates);
    for (const entry of batch.entries)
      this.#persistSeconds.observe(Math.max(0, now - entry.acceptedAt) / 1000, 1);
  }
}
