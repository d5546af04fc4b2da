/** One line per partition: is one of them stuck, or much busier than the others? */
import { dashboard, once, series } from './panels.ts';

const perPartition = (title: string, description: string, unit: string, expression: string) =>
  series(title, description, unit, [[expression, '{{partition}}']]);

export const partitions = dashboard(
  'partitions',
  'partitions',
  'What each partition holds, and whether it is flushed.',
  [
    [
      'Partitions',
      [
        perPartition(
          'Pending updates',
          'Updates accepted but not claimed yet.',
          'short',
          once('sluice_pending_updates', 'partition'),
        ),
        perPartition(
          'Pending keys',
          'Distinct counter keys and accounts with pending updates; they decide the cost in memory and rows.',
          'short',
          once('sluice_pending_keys', 'partition'),
        ),
        perPartition(
          'In flight',
          'Updates of the batch on its way to MySQL.',
          'short',
          once('sluice_in_flight_updates', 'partition'),
        ),
        perPartition(
          'Lag',
          'Age of the oldest update that is not in MySQL.',
          's',
          once('sluice_flush_lag_seconds', 'partition'),
        ),
        perPartition(
          'Batches',
          'Batches claimed a second. If it is 0 while the lag grows, the partition is stuck.',
          'ops',
          'max by (partition) (rate(sluice_batch_sequence[$__rate_interval]))',
        ),
        series(
          'Skew',
          'Pending updates of the fullest partition divided by the mean of all. A hash spreads keys, so this is near 1 unless a key is very hot.',
          'short',
          [
            [
              `max(${once('sluice_pending_updates', 'partition')}) / (avg(${once('sluice_pending_updates', 'partition')}) > 0) or vector(1)`,
              'fullest by mean',
            ],
          ],
        ),
      ],
    ],
  ],
);
