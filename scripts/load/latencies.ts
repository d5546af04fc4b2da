// Latencies of calls in a histogram, whose memory does not grow with the length of a run.

import { createHistogram } from 'node:perf_hooks';

const microseconds = 1000;

export class Latencies {
  // Three digits of microseconds, up to ten minutes.
  readonly #histogram = createHistogram({ lowest: 1, highest: 600_000_000, figures: 3 });

  note(ms: number): void {
    this.#histogram.record(Math.max(1, Math.round(ms * microseconds)));
  }

  /** In ms; 0 if nothing was recorded. */
  percentile(share: number): number {
    return this.#histogram.count === 0 ? 0 : this.#histogram.percentile(share * 100) / microseconds;
  }
}
