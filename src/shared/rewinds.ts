/** The counter of losses found in Redis, which workers find in a flush and whoever aligns a partition finds there. */
import { Counter, type Registry } from 'prom-client';

const NAME = 'sluice_rewinds_total';

/** The registry's own where it has one: a worker and a producer of one process may share it. */
export function rewindsCounter(registry: Registry): Counter {
  return (
    (registry.getSingleMetric(NAME) as Counter | undefined) ??
    new Counter({
      name: NAME,
      help: 'Times that Redis was found to have gone back in time: behind a batch that MySQL has.',
      registers: [registry],
    })
  );
}
