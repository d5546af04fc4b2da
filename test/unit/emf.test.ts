// The line for CloudWatch: its format, and its content while figures are missing.

import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { gauge } from '../../src/shared/telemetry/metrics.ts';
import { emfLine } from '../../src/worker/emf.ts';

const NOW = Date.UTC(2026, 10, 21);

it('the line sums up partitions, has the largest lag and age, and follows the embedded metric format', async () => {
  const registry = new Registry();
  const pending = gauge(registry, 'sluice_pending_updates');
  const lag = gauge(registry, 'sluice_flush_lag_seconds');
  for (const [partition, updates, seconds] of [
    ['0', 5, 0.5],
    ['1', 7, 2],
  ] as const) {
    pending.set({ partition }, updates);
    lag.set({ partition }, seconds);
  }
  gauge(registry, 'sluice_quarantined_entries').set(3);
  const held = gauge(registry, 'sluice_held_rows');
  held.set({ kind: 'counter', name: 'views' }, 2);
  held.set({ kind: 'points', name: 'miles' }, 4);
  const age = gauge(registry, 'sluice_transfer_oldest_age_seconds');
  const aside = gauge(registry, 'sluice_transfers_aside');
  for (const [program, seconds, transfers] of [
    ['miles', 70, 1],
    ['loyalty', 8, 2],
  ] as const) {
    age.set({ program }, seconds);
    aside.set({ program }, transfers);
  }
  gauge(registry, 'sluice_hold_overdue_seconds').set(75);
  const backfill = {
    rows: gauge(registry, 'sluice_backfill_rows'),
    passed: gauge(registry, 'sluice_backfill_rows_passed'),
    age: gauge(registry, 'sluice_backfill_progress_age_seconds'),
    carriedOut: gauge(registry, 'sluice_backfill_carried_out'),
  };
  for (const [run, rows, passed, age, carriedOut] of [
    ['likes', 1000, 400, 2, 1],
    ['stars', 50, 0, 700, 0],
  ] as const) {
    backfill.rows.set({ run }, rows);
    backfill.passed.set({ run }, passed);
    backfill.age.set({ run }, age);
    backfill.carriedOut.set({ run }, carriedOut);
  }
  const ranks = gauge(registry, 'sluice_ranks_inexact_partitions');
  ranks.set({ kind: 'counter', name: 'views' }, 2);
  ranks.set({ kind: 'points', name: 'miles' }, 1);
  gauge(registry, 'sluice_breaker_open').set(1);
  const line = await emfLine(registry, 'shop', NOW);
  expect(line).not.toContain('\n');
  const { _aws, ...rest } = JSON.parse(line);
  expect(rest).toEqual({
    Namespace: 'shop',
    Workers: 1,
    FlushLagSeconds: 2,
    PendingUpdates: 12,
    Quarantined: 3,
    Held: 6,
    TransferAgeSeconds: 70,
    TransfersAside: 3,
    HoldOverdueSeconds: 75,
    BackfillRows: 1050,
    BackfillRowsPassed: 400,
    BackfillProgressAgeSeconds: 700,
    BackfillsWithoutProcess: 1,
    RanksInexact: 3,
    BreakerOpen: 1,
  });
  expect(_aws.Timestamp).toBe(NOW);
  expect(_aws.CloudWatchMetrics).toHaveLength(1);
  const [directive] = _aws.CloudWatchMetrics;
  expect(directive).toMatchObject({ Namespace: 'Sluice', Dimensions: [['Namespace']] });
  const declared = directive.Metrics.map(({ Name }: { Name: string }) => Name);
  expect([...declared, 'Namespace'].sort()).toEqual(Object.keys(rest).sort());
  expect(directive.Metrics).toContainEqual({ Name: 'FlushLagSeconds', Unit: 'Seconds' });
});

it('the line leaves out unknown figures, since no data must not look like nothing pending', async () => {
  const registry = new Registry();
  gauge(registry, 'sluice_pending_updates');
  gauge(registry, 'sluice_quarantined_entries').set(Number.NaN);
  const { _aws, ...rest } = JSON.parse(await emfLine(registry, 'shop', NOW));
  expect(rest).toEqual({ Namespace: 'shop', Workers: 1 });
  expect(_aws.CloudWatchMetrics[0].Metrics).toEqual([{ Name: 'Workers', Unit: 'Count' }]);
});
