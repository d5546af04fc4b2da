/**
 * Compares live values with their right values in the background, a sample in each round, so that a metric
 * shows drift. Known drift is compared again in each round until it is repaired. Values that are not live
 * cannot drift: a cold read computes them.
 */
import type { Logger } from 'pino';
import { within } from '../shared/clock.ts';
import type { Settings } from '../shared/config/settings.ts';
import { TableUnusableError } from '../shared/errors.ts';
import { SHOWN_KINDS } from '../shared/item.ts';
import type { RedisConnection } from '../shared/redis/connections.ts';
import type { Keys } from '../shared/redis/keys.ts';
import { type LiveKey, liveKeys } from '../shared/redis/live-keys.ts';
import type { ColdReader } from '../shared/values/cold-read.ts';
import { type Comparison, drifts, misranks } from '../shared/values/comparison.ts';
import type { ValueTables } from '../shared/values/tables.ts';
import { type Circuit, isOutage } from './circuit.ts';
import type { WorkerMetrics } from './metrics.ts';
import { Rounds, spread } from './rounds.ts';

export interface VerifierParts {
  readonly redis: RedisConnection;
  readonly keys: Keys;
  readonly tables: Pick<ValueTables, 'mapped'>;
  readonly cold: Pick<ColdReader, 'glance'>;
  readonly circuit: Pick<Circuit, 'isOpen'>;
  readonly metrics: Pick<WorkerMetrics, 'driftKeys' | 'verifiedKeys'>;
  readonly settings: Pick<Settings, 'verifyIntervalMs' | 'verifySample'>;
  readonly random: () => number;
  readonly log: Logger;
}

/** Most pages of a round: a Redis may have many keys that are not live values. */
const PAGES = 50;
/** Most drifting keys that are remembered. */
const KNOWN = 1000;
/** Longest wait for a page; ioredis would wait for ever. */
const ANSWER_MS = 3000;

export class Verifier {
  readonly #parts: VerifierParts;
  readonly #rounds: Rounds;
  readonly #drifting = new Map<string, LiveKey>();
  #walk: AsyncGenerator<LiveKey[]> | undefined;
  /** Keys of the last page beyond the sample. */
  #rest: LiveKey[] = [];

  constructor(parts: VerifierParts) {
    const { settings, random, log } = parts;
    this.#parts = parts;
    this.#rounds = new Rounds({
      every: () => spread(settings.verifyIntervalMs, random),
      round: () => this.once(),
      onError: error => {
        this.#walk = undefined;
        const level = isOutage(error) || this.#rounds.stopped ? 'debug' : 'warn';
        log[level]({ err: error }, 'could not verify a sample, will retry');
      },
    });
  }

  start(): void {
    if (this.#parts.settings.verifyIntervalMs > 0) this.#rounds.start();
  }

  /** Resolves when a running round has ended. */
  stop(): Promise<void> {
    return this.#rounds.stop();
  }

  /** One round: the next sample, and keys that are known to drift. */
  async once(): Promise<void> {
    const { circuit, settings, metrics, tables } = this.#parts;
    if (circuit.isOpen) return;
    await this.#compare([...this.#drifting.values()]);
    const sample = await this.#sample(settings.verifySample);
    metrics.verifiedKeys.inc(await this.#compare(sample));
    const mapped = [...this.#drifting.values()].filter(({ kind, name }) => tables.mapped(kind, name)).length;
    metrics.driftKeys.set({ mapped: 'yes' }, mapped);
    metrics.driftKeys.set({ mapped: 'no' }, this.#drifting.size - mapped);
  }

  /** The next live keys of the walk, which starts again after the last key. */
  async #sample(size: number): Promise<LiveKey[]> {
    const { redis, keys } = this.#parts;
    const sample = this.#rest;
    for (let page = 0; page < PAGES && sample.length < size; page++) {
      this.#walk ??= liveKeys(redis, keys, size);
      const next = await within(this.#walk.next(), ANSWER_MS);
      if (!next || next.done) this.#walk = undefined;
      if (!next || next.done) break;
      sample.push(...next.value);
    }
    this.#rest = sample.splice(size);
    return sample;
  }

  /** Compares keys, grouped by partition and table. @returns how many could be compared */
  async #compare(keys: readonly LiveKey[]): Promise<number> {
    const partitionOf = (key: LiveKey) => this.#parts.keys.partitionOf(key.key);
    const groups = Map.groupBy(keys, key => `${key.kind}${key.name}:${partitionOf(key)}`);
    let compared = 0;
    for (const group of groups.values()) {
      if (this.#rounds.stopped) return compared;
      const partition = partitionOf(group[0]!);
      const found = await this.#parts.cold.glance(partition, group).catch(error => {
        // The other tables are compared all the same.
        if (error instanceof TableUnusableError) return undefined;
        throw error;
      });
      if (!found) continue;
      compared += found.length;
      this.#note(partition, found);
    }
    return compared;
  }

  #note(partition: number, found: readonly Comparison[]): void {
    const { log, tables } = this.#parts;
    let fresh = 0;
    for (const comparison of found) {
      const { kind, name, key, live, expected, score } = comparison;
      const item = `${kind}${name}:${key}`;
      if (!drifts(comparison) && !misranks(comparison)) this.#drifting.delete(item);
      else if (!this.#drifting.has(item) && this.#drifting.size < KNOWN) {
        this.#drifting.set(item, { kind, name, key });
        fresh++;
        log.debug(
          { kind, name, key, live, expected, score },
          'a live value or a score differs from the right value',
        );
      }
    }
    if (fresh === 0) return;
    const { kind, name } = found[0]!;
    const about = { kind: SHOWN_KINDS[kind], name, partition, keys: fresh };
    if (tables.mapped(kind, name))
      log.info(about, 'live values differ from their mapped column, as they do if others write to it');
    else log.warn(about, 'live values drift; run sluice verify, and sluice verify --repair to repair them');
  }
}
