/** For API services: what they send, how Redis answers, what is refused. */
import { dashboard, mean, quantile, rate, series } from './panels.ts';

const REQUESTS = 'sluice_http_requests_total';
const SECONDS = 'sluice_http_request_duration_seconds';

const live = (operation: string) =>
  `${rate(`sluice_live_lookups_total{operation="${operation}",live="yes"}`)} / ${rate(`sluice_live_lookups_total{operation="${operation}"}`)}`;

export const producers = dashboard(
  'producers',
  'producers',
  'What the API services send and how Redis answers them.',
  [
    [
      'Calls',
      [
        series('Accepted', 'Updates acknowledged, by process.', 'ops', [
          [rate('sluice_accepted_updates_total{duplicate="false"}', 'instance'), '{{instance}}'],
        ]),
        series('Duplicates', 'Updates whose id was known already, answered as duplicates.', 'ops', [
          [rate('sluice_accepted_updates_total{duplicate="true"}'), 'duplicates'],
        ]),
        series('Refused', 'Updates answered with an error, by its code.', 'ops', [
          [rate('sluice_refused_updates_total', 'code'), '{{code}}'],
        ]),
        series(
          'Buffered',
          'Updates taken from callers and not answered yet, by process. It grows while Redis is slow or away; above SLUICE_BUFFER_LIMIT for a partition, calls fail with PRODUCER_OVERLOADED.',
          'short',
          [['sum by (instance) (sluice_producer_buffered_updates)', '{{instance}}']],
        ),
        series('Time of a call to Redis', 'Duration of a micro-batch, retries included.', 's', [
          [quantile(0.5, 'sluice_apply_duration_seconds'), 'median'],
          [quantile(0.99, 'sluice_apply_duration_seconds'), '99 %'],
        ]),
        series('Micro-batches', 'Updates in one call to Redis; it grows with the load.', 'short', [
          [mean('sluice_micro_batch_updates'), 'mean'],
          [quantile(0.95, 'sluice_micro_batch_updates'), '95 %'],
        ]),
        series(
          'Found live',
          'Share of updates and reads whose value was in Redis. It is low if values end between uses (SLUICE_LIVE_TTL_MS), or keys are used once.',
          'percentunit',
          [
            [live('update'), 'updates'],
            [live('read'), 'reads'],
          ],
        ),
        series('Lost', 'Updates that Redis acknowledged to these processes and then lost.', 'short', [
          ['sum(sluice_lost_updates_total)', 'updates'],
        ]),
        series(
          'Event loop',
          "Delay of timers, 99 %, if the service collects prom-client's default metrics.",
          's',
          [
            [
              'nodejs_eventloop_lag_p99_seconds and on (instance) sluice_build_info{component="producer"}',
              '{{instance}}',
            ],
          ],
        ),
      ],
    ],
    [
      'HTTP API',
      [
        series('Requests', 'Requests that `sluice serve` has answered, by route.', 'reqps', [
          [rate(REQUESTS, 'route'), '{{route}}'],
        ]),
        series('Errors', 'Answers with an error, by status: 4xx are the clients, 5xx are Sluice.', 'reqps', [
          [rate(`${REQUESTS}{status=~"[45].."}`, 'status'), '{{status}}'],
        ]),
        series(
          'Time of a request',
          'From the headers to the end of the answer. A stream of updates takes as long as its client.',
          's',
          [
            [quantile(0.5, SECONDS), 'median'],
            [quantile(0.99, SECONDS), '99 %'],
          ],
        ),
      ],
    ],
  ],
);
