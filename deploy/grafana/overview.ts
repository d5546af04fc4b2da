/** For the operator on call: is everything well, and if not, where to look. */
import { all, dashboard, note, once, quantile, rate, series, stat } from './panels.ts';

const late = `1 - ${rate('sluice_update_persist_seconds_bucket{le=~"1|1.0"}')} / ${rate('sluice_update_persist_seconds_count')}`;

export const overview = dashboard(
  'overview',
  'overview',
  'Is everything well? docs/operating.md has a runbook for each alert.',
  [
    [
      'Now',
      [
        stat('Workers', 'Worker processes that are scraped.', 'none', [
          'count(sluice_build_info{component="worker"})',
          'workers',
        ]),
        stat('Backlog', 'Updates accepted but not claimed yet.', 'short', [
          all('sluice_pending_updates'),
          'updates',
        ]),
        stat('Oldest update', 'Age of the oldest update that is not in MySQL.', 's', [
          'max(sluice_flush_lag_seconds)',
          'age',
        ]),
        stat(
          'Late',
          'Share of updates that took more than a second to reach MySQL; the objective is at most 1 %.',
          'percentunit',
          [late, 'late'],
        ),
        stat('Breakers open', 'Workers that leave MySQL alone after an outage.', 'none', [
          'sum(sluice_breaker_open)',
          'open',
        ]),
        stat('Drifting values', 'Live values that differ from their expected values; must be 0.', 'none', [
          'max(sluice_drift_keys{mapped="no"})',
          'keys',
        ]),
        stat('In quarantine', 'Updates that MySQL refused and that wait for an operator.', 'short', [
          'max(sluice_quarantined_entries)',
          'updates',
        ]),
        stat('Oldest in quarantine', 'How long the oldest of them has waited.', 's', [
          'max(sluice_quarantine_oldest_age_seconds)',
          'age',
        ]),
        stat('Lost', 'Updates declared lost by Redis, in total, at most.', 'short', [
          'max(sluice_declared_loss_updates{kind="lost"})',
          'updates',
        ]),
        stat('Doubled', 'Updates declared as possibly counted twice, in total, at most.', 'short', [
          'max(sluice_declared_loss_updates{kind="doubled"})',
          'updates',
        ]),
        stat('Failed jobs', 'Partitions whose flush job failed for good; the sweep keeps retrying.', 'none', [
          'max(sluice_queue_depth{state="failed"})',
          'jobs',
        ]),
        stat('Redis memory', 'Used memory of the fullest primary.', 'bytes', [
          'max(sluice_redis_memory_used_bytes)',
          'used',
        ]),
      ],
    ],
    [
      'Flow',
      [
        series('Updates', 'Updates accepted from callers, written to MySQL, and refused.', 'ops', [
          [rate('sluice_accepted_updates_total{duplicate="false"}'), 'accepted'],
          [rate('sluice_flushed_updates_total'), 'written'],
          [rate('sluice_refused_updates_total'), 'refused'],
        ]),
        series(
          'Backlog',
          'Updates that wait in Redis for a claim, and updates in batches on their way to MySQL.',
          'short',
          [
            [all('sluice_pending_updates'), 'pending'],
            [all('sluice_in_flight_updates'), 'in flight'],
          ],
        ),
        series(
          'Time to MySQL',
          'Time from the acceptance of an update to its commit, and the age of the oldest update that waits.',
          's',
          [
            [quantile(0.5, 'sluice_update_persist_seconds'), 'median'],
            [quantile(0.99, 'sluice_update_persist_seconds'), '99 %'],
            ['max(sluice_flush_lag_seconds)', 'oldest'],
          ],
        ),
        series(
          'Flush jobs',
          'About two for each group of partitions, and for each partition that failed. They are not the backlog, as the note beside explains.',
          'short',
          [[once('sluice_queue_depth', 'state'), '{{state}}']],
        ),
        note(
          'Why the queue stays short',
          'A flush job is a wake-up for a partition and carries no data. Jobs are deduplicated: a partition has at most one that runs and one that waits, however many updates are pending. **Judge the backlog by pending updates.** Look at partitions with jobs in state `failed`.',
        ),
        series('Points at risk', 'Points that only Redis has, by program.', 'short', [
          [once('sluice_value_at_risk', 'program'), '{{program}}'],
        ]),
        series('Transfers', 'Transfers accepted, credited, and credited after a return.', 'ops', [
          [rate('sluice_accepted_transfers_total{duplicate="false"}'), 'accepted'],
          [rate('sluice_credited_transfers_total', 'returned'), 'credited, returned: {{returned}}'],
        ]),
        series(
          'Transfers that wait',
          'Transfers whose debit is in MySQL and whose credit is not: those that workers drive, and those that wait for an operator because MySQL refuses them.',
          'short',
          [
            [once('sluice_transfers_in_transit', 'program'), '{{program}} in transit'],
            [once('sluice_transfers_aside', 'program'), '{{program}} aside'],
          ],
        ),
        series(
          'Oldest transfer',
          'How long the oldest transfer in transit has waited, by program; a few tenths of a second while all is well.',
          's',
          [[once('sluice_transfer_oldest_age_seconds', 'program'), '{{program}}']],
        ),
        series('Open holds', 'Holds that are open in MySQL, by program.', 'short', [
          [once('sluice_holds_open', 'program'), '{{program}}'],
        ]),
        series(
          'Held points',
          'Points that open holds keep, by program: balances count them, and nobody can spend them.',
          'short',
          [[once('sluice_hold_points', 'program'), '{{program}}']],
        ),
        series(
          'Overdue holds',
          'For how long the time of a hold has been over that still keeps points; workers end holds within seconds.',
          's',
          [['max(sluice_hold_overdue_seconds)', 'overdue']],
        ),
        series('Backfills', 'Share of its rows that each unfinished backfill has passed.', 'percentunit', [
          [
            `${once('sluice_backfill_rows_passed', 'run')} / (${once('sluice_backfill_rows', 'run')} > 0)`,
            '{{run}}',
          ],
        ]),
        series(
          'Backfills without progress',
          'How long ago each unfinished backfill has passed rows, and a line at 0 for each that no process carries out.',
          's',
          [
            [once('sluice_backfill_progress_age_seconds', 'run'), '{{run}}'],
            [`${once('sluice_backfill_carried_out', 'run')} == 0`, '{{run}}: no process carries it out'],
          ],
        ),
        series(
          'Ranks that are not exact',
          'Partitions whose ranks are being built or corrected, by name. Above 0 for a moment after trouble, and longer during a build.',
          'short',
          [[once('sluice_ranks_inexact_partitions', 'kind, name'), '{{kind}} {{name}}']],
        ),
      ],
    ],
    [
      'Servers and processes',
      [
        series('Redis memory', 'Used memory and limit (0 for none) of each primary.', 'bytes', [
          [once('sluice_redis_memory_used_bytes', 'server'), '{{server}} used'],
          [once('sluice_redis_memory_limit_bytes', 'server'), '{{server}} limit'],
        ]),
        series(
          'Connections',
          'Connections from all clients to each primary of Redis, and to MySQL with its limit.',
          'short',
          [
            [once('sluice_redis_clients', 'server'), 'Redis {{server}}'],
            ['max(sluice_mysql_connections)', 'MySQL'],
            ['max(sluice_mysql_connections_limit)', 'MySQL limit'],
          ],
        ),
        series(
          'Evicted keys, replicas',
          'Keys evicted a second (must be 0), and the replicas of each primary.',
          'short',
          [
            [
              `max by (server) (rate(sluice_redis_evicted_keys_total[$__rate_interval]))`,
              '{{server}} evicted',
            ],
            [once('sluice_redis_replicas', 'server'), '{{server}} replicas'],
          ],
        ),
        series('Servers that answer', '1 if any worker gets an answer, 0 if none does.', 'none', [
          [once('sluice_server_up', 'server'), '{{server}}'],
        ]),
        series('Event loop', 'Delay of timers, 99 %; above 0.1 s a process has too little CPU.', 's', [
          ['nodejs_eventloop_lag_p99_seconds', '{{instance}}'],
        ]),
        series('Versions', 'Processes by component and version.', 'none', [
          ['count by (component, version) (sluice_build_info)', '{{component}} {{version}}'],
        ]),
      ],
    ],
  ],
);
