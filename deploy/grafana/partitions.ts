/** One line for each partition: is one of them stuck, or much busier than the others? */
import { dashboard, once, series } from './panels.ts';

const perPartition = (title: string, description: string, unit: string, expression: string) =>
  series(title, description, unit, [[expression, '{{partition}}']]);

export const partitions = dashboard(
  'partitions',
  'partitions',
  'What each partition holds and how it moves.',
  [
    [
      'Partitions',
      [
        perPartition(
          'Pending updates',
          'Accepted and not claimed.',
          'short',
          once('sluice_pending_updates', 'partition'),
        ),
        perPartition(
          'Pending keys',
          'Distinct counter keys and accounts among them: what they cost in memory and rows.',
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
          'Batches claimed a second. Zero with a growing lag: stuck.',
          'ops',
          'max by (partition) (rate(sluice_batch_sequence[$__rate_interval]))',
        ),
        series(
          'Skew',
          'Updates of the fullest partition by the mean of all; keys are spread by a hash, so this stays near 1 unless one key is very hot.',
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
