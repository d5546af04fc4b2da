/** Reports updates that Redis acknowledged and lost: in a metric, in the log and in MySQL. */
import type { Logger } from 'pino';
import type { Database } from '../shared/mysql/database.ts';
import { declareLost } from '../shared/partition/losses.ts';
import type { Inspector } from '../shared/redis/inspect.ts';
import { RepeatedLines } from '../shared/repeated.ts';
import type { ProducerMetrics } from './metrics.ts';

export function lossReport(
  inspector: Inspector,
  database: Database,
  metrics: ProducerMetrics,
  log: Logger,
): (partition: number, updates: number) => void {
  const lines = new RepeatedLines(log);
  return (partition, updates) => {
    metrics.lost.inc(updates);
    log.error({ partition, updates }, 'Redis lost updates that it had acknowledged');
    // Workers record it too, but only as long as Redis still knows of the loss.
    void inspector
      .partition(partition)
      .then(status => status && declareLost(database, status))
      .catch(error => lines.warn({ partition, err: error }, 'could not record the loss in the database yet'));
  };
}
