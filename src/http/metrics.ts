/** What the HTTP API counts. */
import type { Histogram, Registry } from 'prom-client';
import { histogram, tally } from '../shared/telemetry/metrics.ts';
import type { Cell, Tally } from '../shared/telemetry/tally.ts';

/** Methods by which series are told apart; a client may send any other word. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST']);

export class ApiMetrics {
  readonly #requests: Tally<'route' | 'method' | 'status'>;
  readonly #durations: Histogram<'route'>;
  /** By route, method and status, since to look labels up costs more than to count. */
  readonly #cells = new Map<string, Cell>();
  readonly #observers = new Map<string, { observe(seconds: number): void }>();

  constructor(registry: Registry) {
    this.#requests = tally(registry, 'sluice_http_requests_total');
    this.#durations = histogram(registry, 'sluice_http_request_duration_seconds') as Histogram<'route'>;
  }

  answered(route: string | undefined, method: string, status: number, ms: number): void {
    const path = route?.replace(/:(\w+)/g, '{$1}') ?? 'unknown';
    const verb = METHODS.has(method) ? method : 'other';
    const id = `${status} ${verb} ${path}`;
    let cell = this.#cells.get(id);
    if (!cell) {
      cell = this.#requests.cell({ route: path, method: verb, status: String(status) });
      this.#cells.set(id, cell);
    }
    cell.count++;
    let observer = this.#observers.get(path);
    if (!observer) {
      observer = this.#durations.labels({ route: path });
      this.#observers.set(path, observer);
    }
    observer.observe(ms / 1000);
  }
}
