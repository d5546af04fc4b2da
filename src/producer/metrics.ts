/** The producer's metrics, on a registry that the caller may pass; never on prom-client's global one. */
import { Counter, Registry } from 'prom-client';
import { rewindsCounter } from '../shared/rewinds.ts';

const ACCEPTED = 'sluice_accepted_updates_total';
const REFUSED = 'sluice_refused_updates_total';

export class ProducerMetrics {
  readonly registry: Registry;
  readonly rewinds: Counter;
  readonly #accepted: Counter<'duplicate'>;
  readonly #refused: Counter<'code'>;

  constructor(registry = new Registry()) {
    this.registry = registry;
    this.rewinds = rewindsCounter(registry);
    const registers = [registry];
    // Two producers of one process may share a registry, and then these counters.
    this.#accepted =
      (registry.getSingleMetric(ACCEPTED) as Counter<'duplicate'> | undefined) ??
      new Counter({
        name: ACCEPTED,
        help: 'Updates acknowledged to callers; duplicates are those whose id was known.',
        labelNames: ['duplicate'] as const,
        registers,
      });
    this.#refused =
      (registry.getSingleMetric(REFUSED) as Counter<'code'> | undefined) ??
      new Counter({
        name: REFUSED,
        help: 'Updates answered with an error, by its code.',
        labelNames: ['code'] as const,
        registers,
      });
  }

  accept(duplicate: boolean): void {
    this.#accepted.inc(duplicate ? DUPLICATE : FRESH);
  }

  refuse(code: string): void {
    this.#refused.inc({ code });
  }
}

const DUPLICATE = { duplicate: 'true' } as const;
const FRESH = { duplicate: 'false' } as const;
