/** For the workers: batches on their way into MySQL. */
import { dashboard, mean, once, quantile, rate, series } from './panels.ts';

export const flush = dashboard(
  'flush',
  'MySQL flush',
  'Batches on their way into MySQL: how many, how large, how long, what goes wrong.',
  [
    [
      'Work',
      [
        series('Written', 'Updates written, and their rows.', 'ops', [
          [rate('sluice_flushed_updates_total'), 'updates'],
          [rate('sluice_flushed_rows_total'), 'rows'],
        ]),
        series(
          'Coalescing',
          'Updates for each written row: the work that write-behind saves MySQL.',
          'short',
          [
            [
              `${rate('sluice_flushed_updates_total')} / ${rate('sluice_flushed_rows_total')}`,
              'updates by row',
            ],
          ],
        ),
        series(
          'Hot keys',
          'Share of the counter with the most updates in each batch. A key is one row, however hot it is.',
          'percentunit',
          [
            [
              `${rate('sluice_hottest_key_updates_total')} / ${rate('sluice_flushed_updates_total')}`,
              'hottest',
            ],
          ],
        ),
        series('Transactions', 'Time from the claim of a batch to the end of its transaction.', 's', [
          [quantile(0.5, 'sluice_flush_duration_seconds'), 'median'],
          [quantile(0.99, 'sluice_flush_duration_seconds'), '99 %'],
        ]),
        series('Batches', 'Updates in a batch.', 'short', [
          [mean('sluice_batch_updates'), 'mean'],
          [quantile(0.95, 'sluice_batch_updates'), '95 %'],
        ]),
        series(
          'Age at claim',
          'Age of the oldest update of a batch when it is claimed; near the flush interval while workers keep up.',
          's',
          [
            [quantile(0.5, 'sluice_batch_age_seconds'), 'median'],
            [quantile(0.99, 'sluice_batch_age_seconds'), '99 %'],
          ],
        ),
        series('By worker', 'Updates written by each worker; each may take any partition.', 'ops', [
          [rate('sluice_flushed_updates_total', 'instance'), '{{instance}}'],
        ]),
        series('MySQL connections', 'Connections from all clients, and the limit.', 'short', [
          ['max(sluice_mysql_connections)', 'connections'],
          ['max(sluice_mysql_connections_limit)', 'limit'],
        ]),
        series('Quarantine', 'Updates that MySQL refused and that wait for an operator.', 'short', [
          ['max(sluice_quarantined_entries)', 'updates'],
        ]),
        series('Held', 'Rows that wait because their mapped table cannot be written.', 'short', [
          [once('sluice_held_rows', 'kind, name'), '{{kind}} {{name}}'],
        ]),
      ],
    ],
    [
      'Trouble',
      [
        series('Errors', 'Failed transactions, by cause.', 'ops', [
          [rate('sluice_flush_errors_total', 'class'), '{{class}}'],
        ]),
        series('Retries', 'Flushes to retry, by cause.', 'ops', [
          [rate('sluice_flush_retries_total', 'class'), '{{class}}'],
        ]),
        series('Breakers open', 'Workers that leave MySQL alone after an outage.', 'none', [
          ['sum(sluice_breaker_open)', 'open'],
        ]),
        series(
          'Recognised',
          'Batches written before, entries that the ledger had, losses of Redis. Sluice handled them, but look why they happen.',
          'ops',
          [
            [rate('sluice_batches_skipped_total'), 'batches skipped'],
            [rate('sluice_late_duplicates_total'), 'late duplicates'],
            [rate('sluice_rewinds_total'), 'rewinds'],
            [rate('sluice_accounts_below_floor_total'), 'accounts below their floor'],
          ],
        ),
        series(
          'Claims',
          'Workers by the durability that their claims wait for, and claims that were not confirmed in time.',
          'short',
          [
            ['sum by (durability) (sluice_claim_durability)', '{{durability}}'],
            [rate('sluice_claims_unconfirmed_total'), 'unconfirmed a second'],
          ],
        ),
        series(
          'Consumer restarts',
          'Restarts of BullMQ consumers that started no job while jobs waited.',
          'short',
          [['sum(sluice_consumer_restarts_total)', 'restarts']],
        ),
        series('Verified', 'Live values compared with their expected values.', 'ops', [
          [rate('sluice_verified_keys_total'), 'keys'],
        ]),
        series('Drift', 'Live values that differ; mapped values may have other writers.', 'none', [
          ['max by (mapped) (sluice_drift_keys)', 'mapped: {{mapped}}'],
        ]),
      ],
    ],
  ],
);
