/** A Prometheus histogram that takes many equal observations at once; prom-client's takes one at a time. */
import type { Histogram } from 'prom-client';

export class WeightedHistogram {
  readonly name: string;
  readonly #help: string;
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  constructor(name: string, help: string, bounds: readonly number[]) {
    this.name = name;
    this.#help = help;
    this.#bounds = bounds;
    this.#counts = new Array(bounds.length + 1).fill(0);
  }

  observe(value: number, weight = 1): void {
    let bucket = 0;
    while (bucket < this.#bounds.length && value > this.#bounds[bucket]!) bucket++;
    this.#counts[bucket]! += weight;
    this.#sum += value * weight;
  }

  /** A registry only uses a metric's name, `get()` and `reset()` (prom-client 15, lib/registry.js). */
  asMetric(): Histogram {
    return this as unknown as Histogram;
  }

  reset(): void {
    this.#counts.fill(0);
    this.#sum = 0;
  }

  async get() {
    let total = 0;
    const values = this.#counts.map((count, bucket) => {
      total += count;
      return {
        metricName: `${this.name}_bucket`,
        labels: { le: this.#bounds[bucket] ?? '+Inf' },
        value: total,
      };
    });
    values.push({ metricName: `${this.name}_sum`, labels: {} as never, value: this.#sum });
    values.push({ metricName: `${this.name}_count`, labels: {} as never, value: total });
    return { name: this.name, help: this.#help, type: 'histogram', values, aggregator: 'sum' };
  }
}
