/** Tells metrics, the log and the database of updates that Redis lost after it had acknowledged them. */
import type { Logger } from 'pino';
import type { Inspector } from '../shared/inspect.ts';
import { declareLost } from '../shared/losses.ts';
import type { Database } from '../shared/mysql.ts';
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
    // The workers write it down as well; but Redis may lose that it knows, and then nobody would.
    void inspector
      .partition(partition)
      .then(status => status && declareLost(database, status))
      .catch(error => lines.warn({ partition, err: error }, 'the loss could not be written down yet'));
  };
}
