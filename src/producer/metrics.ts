/** The producer's metrics, on the caller's registry or a new one; never on prom-client's global one. */
import { type Counter, Registry } from 'prom-client';
import { counter, declareBuild, gauge, tally, weightedHistogram } from '../shared/telemetry/metrics.ts';
import type { Cell } from '../shared/telemetry/tally.ts';
import type { WeightedHistogram } from '../shared/telemetry/weighted-histogram.ts';
import type { CheckedUpdate } from '../shared/updates/update.ts';

/** By registry: gives the buffered updates of each open producer. They share one gauge. */
const buffersOf = new WeakMap<Registry, Set<() => number>>();

export class ProducerMetrics {
  readonly registry: Registry;
  readonly rewinds: Counter;
  readonly lost: Counter;
  readonly #accepted: Cell;
  readonly #duplicates: Cell;
  readonly #transfers: Record<'fresh' | 'known', Cell>;
  readonly #lookups: Record<'update' | 'read', Record<'yes' | 'no', Cell>>;
  readonly #refused: Counter<'code'>;
  readonly #buffers: Set<() => number>;
  readonly #microBatch: WeightedHistogram;
  readonly #applySeconds: WeightedHistogram;

  constructor(registry = new Registry()) {
    this.registry = registry;
    declareBuild(registry, 'producer');
    this.rewinds = counter(registry, 'sluice_rewinds_total');
    this.lost = counter(registry, 'sluice_lost_updates_total');
    const accepted = tally(registry, 'sluice_accepted_updates_total');
    this.#accepted = accepted.cell({ duplicate: 'false' });
    this.#duplicates = accepted.cell({ duplicate: 'true' });
    const transfers = tally(registry, 'sluice_accepted_transfers_total');
    this.#transfers = {
      fresh: transfers.cell({ duplicate: 'false' }),
      known: transfers.cell({ duplicate: 'true' }),
    };
    this.#refused = counter(registry, 'sluice_refused_updates_total');
    // A rate misses the first increment of a series that starts with it.
    for (const code of REFUSALS) this.#refused.inc({ code }, 0);
    const lookups = tally(registry, 'sluice_live_lookups_total');
    const cells = (operation: 'update' | 'read') => ({
      yes: lookups.cell({ operation, live: 'yes' }),
      no: lookups.cell({ operation, live: 'no' }),
    });
    this.#lookups = { update: cells('update'), read: cells('read') };
    const buffers = buffersOf.get(registry) ?? new Set();
    buffersOf.set(registry, buffers);
    this.#buffers = buffers;
    gauge(registry, 'sluice_producer_buffered_updates', made =>
      made.set([...buffers].reduce((sum, buffered) => sum + buffered(), 0)),
    );
    this.#microBatch = weightedHistogram(registry, 'sluice_micro_batch_updates');
    this.#applySeconds = weightedHistogram(registry, 'sluice_apply_duration_seconds');
  }

  /** Called for every update, so it only adds. */
  accept({ to }: Pick<CheckedUpdate, 'to'>, value: number | null, duplicate: boolean): void {
    if (duplicate) this.#duplicates.count++;
    else this.#accepted.count++;
    if (to !== undefined) this.#transfers[duplicate ? 'known' : 'fresh'].count++;
    this.#lookups.update[value === null ? 'no' : 'yes'].count++;
  }

  /** Adds a producer's buffer to the gauge. @returns what takes it out again */
  watchBuffer(buffered: () => number): () => void {
    this.#buffers.add(buffered);
    return () => this.#buffers.delete(buffered);
  }

  refuse(code: string): void {
    this.#refused.inc({ code });
  }

  /** @param cold how many of the values were not live */
  read(values: number, cold: number): void {
    this.#lookups.read.yes.count += values - cold;
    this.#lookups.read.no.count += cold;
  }

  /** Counts one answered call to Redis. */
  apply(updates: number, ms: number): void {
    this.#microBatch.observe(updates);
    this.#applySeconds.observe(ms / 1000);
  }
}

/** Codes of refusals that start at 0. Others, such as those of malformed updates, appear with the first. */
const REFUSALS = [
  'BACKPRESSURE',
  'DATABASE_UNAVAILABLE',
  'INSUFFICIENT_POINTS',
  'NOT_DURABLE',
  'PRODUCER_OVERLOADED',
  'REDIS_OUT_OF_MEMORY',
  'REDIS_UNAVAILABLE',
  'TOO_FEW_REPLICAS',
  'UNKNOWN_OUTCOME',
];
