/** The workers' side: batches on their way into MySQL. */
import { dashboard, mean, once, quantile, rate, series } from './panels.ts';

export const flush = dashboard(
  'flush',
  'MySQL flush',
  'Batches on their way into MySQL: how many, how large, how long, what goes wrong.',
  [
    [
      'Work',
      [
        series('Written', 'Updates and the rows that they came to.', 'ops', [
          [rate('sluice_flushed_updates_total'), 'updates'],
          [rate('sluice_flushed_rows_total'), 'rows'],
        ]),
        series('Coalescing', 'Updates for each row written: what write-behind saves MySQL.', 'short', [
          [
            `${rate('sluice_flushed_updates_total')} / ${rate('sluice_flushed_rows_total')}`,
            'updates by row',
          ],
        ]),
        series(
          'Hot keys',
          'Share of the counter with the most updates in each batch. One key is one row, however hot.',
          'percentunit',
          [
            [
              `${rate('sluice_hottest_key_updates_total')} / ${rate('sluice_flushed_updates_total')}`,
              'hottest',
            ],
          ],
        ),
        series('Transactions', 'From the claim of a batch to the end of its transaction.', 's', [
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
        series('By worker', 'Updates written by each worker: any of them may take any partition.', 'ops', [
          [rate('sluice_flushed_updates_total', 'instance'), '{{instance}}'],
        ]),
        series('MySQL connections', 'From anybody, and the limit.', 'short', [
          ['max(sluice_mysql_connections)', 'connections'],
          ['max(sluice_mysql_connections_limit)', 'limit'],
        ]),
        series(
          'Quarantine',
          'Updates that MySQL refused for their own sake and that wait for an operator.',
          'short',
          [['max(sluice_quarantined_entries)', 'updates']],
        ),
        series('Held', 'Rows that wait for a mapped table which cannot be written.', 'short', [
          [once('sluice_held_rows', 'kind, name'), '{{kind}} {{name}}'],
        ]),
      ],
    ],
    [
      'Trouble',
      [
        series('Errors', 'Failed transactions, by what the error says.', 'ops', [
          [rate('sluice_flush_errors_total', 'class'), '{{class}}'],
        ]),
        series('Retries', 'Flushes to be tried again, by why.', 'ops', [
          [rate('sluice_flush_retries_total', 'class'), '{{class}}'],
        ]),
        series('Breakers open', 'Workers that leave MySQL alone.', 'none', [
          ['sum(sluice_breaker_open)', 'open'],
        ]),
        series(
          'Recognised',
          'Batches written before, entries that were in the ledger, losses of Redis that were found: handled, but worth a look.',
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
          'What claims wait for (workers), and claims that were not confirmed in time.',
          'short',
          [
            ['sum by (durability) (sluice_claim_durability)', '{{durability}}'],
            [rate('sluice_claims_unconfirmed_total'), 'unconfirmed a second'],
          ],
        ),
        series(
          'Consumer restarts',
          'BullMQ consumers that had to be restarted as they started no job.',
          'short',
          [['sum(sluice_consumer_restarts_total)', 'restarts']],
        ),
        series('Verified', 'Live values compared with what they should be.', 'ops', [
          [rate('sluice_verified_keys_total'), 'keys'],
        ]),
        series('Drift', 'Live values that differ; mapped ones may have other writers.', 'none', [
          ['max by (mapped) (sluice_drift_keys)', 'mapped: {{mapped}}'],
        ]),
      ],
    ],
  ],
);
