/** The producer's metrics, on a registry that the caller may pass; never on prom-client's global one. */
import { Counter, Registry } from 'prom-client';

export class ProducerMetrics {
  readonly registry: Registry;
  readonly #accepted: Counter<'duplicate'>;
  readonly #refused: Counter<'code'>;

  constructor(registry = new Registry()) {
    this.registry = registry;
    const registers = [registry];
    this.#accepted = new Counter({
      name: 'sluice_accepted_updates_total',
      help: 'Updates acknowledged to callers; duplicates are those whose id was known.',
      labelNames: ['duplicate'] as const,
      registers,
    });
    this.#refused = new Counter({
      name: 'sluice_refused_updates_total',
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
