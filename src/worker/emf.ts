/**
 * Metrics for CloudWatch: every ten seconds a JSON line on stdout in the embedded metric format. These are
 * the metrics of /metrics that alarms and scaling need, over all partitions.
 *
 * Every worker reports the same shared values: take the maximum. `Workers` is always 1: count its samples.
 */
import type { MetricObjectWithValues, MetricValue, Registry } from 'prom-client';
import type { MetricName } from '../shared/telemetry/metric-catalogue.ts';

interface Figure {
  readonly metric: MetricName;
  readonly unit: 'Count' | 'Seconds';
  readonly over: (values: number[]) => number;
}

const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
const largest = (values: number[]) => Math.max(...values);
const zeros = (values: number[]) => values.filter(value => value === 0).length;

const FIGURES: Record<string, Figure> = {
  FlushLagSeconds: { metric: 'sluice_flush_lag_seconds', unit: 'Seconds', over: largest },
  PendingUpdates: { metric: 'sluice_pending_updates', unit: 'Count', over: sum },
  Quarantined: { metric: 'sluice_quarantined_entries', unit: 'Count', over: largest },
  Held: { metric: 'sluice_held_rows', unit: 'Count', over: sum },
  TransferAgeSeconds: { metric: 'sluice_transfer_oldest_age_seconds', unit: 'Seconds', over: largest },
  TransfersAside: { metric: 'sluice_transfers_aside', unit: 'Count', over: sum },
  HoldOverdueSeconds: { metric: 'sluice_hold_overdue_seconds', unit: 'Seconds', over: largest },
  BackfillRows: { metric: 'sluice_backfill_rows', unit: 'Count', over: sum },
  BackfillRowsPassed: { metric: 'sluice_backfill_rows_passed', unit: 'Count', over: sum },
  BackfillProgressAgeSeconds: {
    metric: 'sluice_backfill_progress_age_seconds',
    unit: 'Seconds',
    over: largest,
  },
  BackfillsWithoutProcess: { metric: 'sluice_backfill_carried_out', unit: 'Count', over: zeros },
  RanksInexact: { metric: 'sluice_ranks_inexact_partitions', unit: 'Count', over: sum },
  BreakerOpen: { metric: 'sluice_breaker_open', unit: 'Count', over: largest },
};

const CLOUDWATCH_NAMESPACE = 'Sluice';
const EVERY_MS = 10_000;

/**
 * One line, without values whose server does not answer: a missing value is not zero. Without an unfinished backfill
 * its figures are missing too.
 */
export async function emfLine(registry: Registry, namespace: string, now: number): Promise<string> {
  const metrics = [{ Name: 'Workers', Unit: 'Count' }];
  const values: Record<string, number> = { Workers: 1 };
  const read = async ([name, { metric, unit, over }]: [string, Figure]) => {
    const found = (await registry.getSingleMetric(metric)?.get()) as
      | MetricObjectWithValues<MetricValue<string>>
      | undefined;
    const known = (found?.values ?? []).map(({ value }) => value).filter(Number.isFinite);
    if (known.length === 0) return;
    metrics.push({ Name: name, Unit: unit });
    values[name] = over(known);
  };
  await Promise.all(Object.entries(FIGURES).map(read));
  const directive = { Namespace: CLOUDWATCH_NAMESPACE, Dimensions: [['Namespace']], Metrics: metrics };
  return JSON.stringify({
    _aws: { Timestamp: now, CloudWatchMetrics: [directive] },
    Namespace: namespace,
    ...values,
  });
}

/** Reports at once and then every ten seconds. @returns what stops it */
export function reportEmf(registry: Registry, namespace: string, write: (line: string) => void): () => void {
  let stopped = false;
  const report = async () => {
    const line = await emfLine(registry, namespace, Date.now());
    if (!stopped) write(`${line}\n`);
  };
  // A scrape of /metrics shows the same error.
  const timer = setInterval(() => void report().catch(() => {}), EVERY_MS);
  void report().catch(() => {});
  return () => {
    stopped = true;
    clearInterval(timer);
  };
}
