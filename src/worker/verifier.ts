/**
 * Compares a sample of live values with what they should be, every now and then and all of them in turn, so that drift
 * shows in a metric and not only when somebody asks. What is found is looked at again each time until it is mended, so
 * that the metric says what drifts now. Values that are not live cannot drift: a cold read works them out.
 */
import type { Logger } from 'pino';
import { within } from '../shared/clock.ts';
import type { Settings } from '../shared/config/settings.ts';
import { TableUnusableError } from '../shared/errors.ts';
import { SHOWN_KINDS } from '../shared/item.ts';
import type { RedisConnection } from '../shared/redis/connections.ts';
import type { Keys } from '../shared/redis/keys.ts';
import { type LiveKey, liveKeys } from '../shared/redis/live-keys.ts';
import { type ColdReader, type Comparison, drifts } from '../shared/values/cold-read.ts';
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

/** Pages of a round, at most: a Redis may hold much that is not live values. */
const PAGES = 50;
/** Drifting keys that are remembered, and looked at each time, at most. */
const KNOWN = 1000;
/** Longest wait for a page; ioredis would wait for ever. */
const ANSWER_MS = 3000;

export class Verifier {
  readonly #parts: VerifierParts;
  readonly #rounds: Rounds;
  readonly #drifting = new Map<string, LiveKey>();
  #walk: AsyncGenerator<LiveKey[]> | undefined;
  /** What the last page held beyond the sample. */
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
        log[level]({ err: error }, 'a sample could not be verified, will try again');
      },
    });
  }

  start(): void {
    if (this.#parts.settings.verifyIntervalMs > 0) this.#rounds.start();
  }

  /** Resolves when the round at hand has ended. */
  stop(): Promise<void> {
    return this.#rounds.stop();
  }

  /** One round: the next sample, and what is known to drift. */
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

  /** The next live keys of the walk, which begins anew once it has seen all. */
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

  /** Compares keys, those of one partition and table together, and gives how many could be. */
  async #compare(keys: readonly LiveKey[]): Promise<number> {
    const partitionOf = (key: LiveKey) => this.#parts.keys.partitionOf(key.key);
    const groups = Map.groupBy(keys, key => `${key.kind}${key.name}:${partitionOf(key)}`);
    let compared = 0;
    for (const group of groups.values()) {
      if (this.#rounds.stopped) return compared;
      const partition = partitionOf(group[0]!);
      const found = await this.#parts.cold.glance(partition, group).catch(error => {
        // One mapped table that cannot be read keeps no other from being verified.
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
      const { kind, name, key, live, expected } = comparison;
      const item = `${kind}${name}:${key}`;
      if (!drifts(comparison)) this.#drifting.delete(item);
      else if (!this.#drifting.has(item) && this.#drifting.size < KNOWN) {
        this.#drifting.set(item, { kind, name, key });
        fresh++;
        log.debug({ kind, name, key, live, expected }, 'a live value differs from what it should be');
      }
    }
    if (fresh === 0) return;
    const { kind, name } = found[0]!;
    const about = { kind: SHOWN_KINDS[kind], name, partition, keys: fresh };
    if (tables.mapped(kind, name))
      log.info(about, 'live values differ from their mapped column, as after other writers');
    else log.warn(about, 'live values drift; run sluice verify, and sluice verify --repair to mend them');
  }
}
