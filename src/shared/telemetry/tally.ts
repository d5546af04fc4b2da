/**
 * A Prometheus counter whose counting is one addition: prom-client's looks its labels up each time, which at a hundred
 * thousand updates a second costs a producer more than sending them.
 */
import type { Counter } from 'prom-client';

export interface Cell {
  count: number;
}

export class Tally<Label extends string = string> {
  /** Not readonly, as a registry in OpenMetrics format renames it. */
  name: string;
  readonly type = 'counter';
  readonly #help: string;
  readonly #cells = new Map<string, Cell & { readonly labels: Partial<Record<Label, string>> }>();

  constructor(name: string, help: string) {
    this.name = name;
    this.#help = help;
  }

  /** What to count on, to be kept by whoever counts often. */
  cell(labels: Partial<Record<Label, string>> = {}): Cell {
    const id = JSON.stringify(Object.entries(labels).sort());
    let cell = this.#cells.get(id);
    if (!cell) {
      cell = { labels, count: 0 };
      this.#cells.set(id, cell);
    }
    return cell;
  }

  /** What a registry asks of a metric: its name, `get()` and `reset()` (prom-client 15, lib/registry.js). */
  asMetric(): Counter {
    return this as unknown as Counter;
  }

  async get() {
    const values = [...this.#cells.values()].map(({ labels, count }) => ({ labels, value: count }));
    return { name: this.name, help: this.#help, type: this.type, values, aggregator: 'sum' };
  }

  reset(): void {
    for (const cell of this.#cells.values()) cell.count = 0;
  }
}
