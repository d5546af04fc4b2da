/**
 * Finds partitions whose updates have grown old, because a worker died, a wake-up was lost or BullMQ cannot run, and
 * flushes them without BullMQ. Also compares idle partitions with their watermarks and forgets old ids.
 */
import type { Logger } from 'pino';
import type { Clock } from '../shared/clock.ts';
import type { Settings } from '../shared/config/settings.ts';
import { ClaimNotDurableError } from '../shared/errors.ts';
import type { Database } from '../shared/mysql/database.ts';
import type { Aligner } from '../shared/partition/align.ts';
import { declareLost } from '../shared/partition/losses.ts';
import type { Inspector, PartitionStatus } from '../shared/redis/inspect.ts';
import { RepeatedLines } from '../shared/repeated.ts';
import { backoff, type Circuit, isOutage } from './circuit.ts';
import type { Flight } from './flight.ts';
import type { Flusher } from './flush.ts';
import { Rounds, spread } from './rounds.ts';

export interface SweepParts {
  readonly inspector: Inspector;
  readonly flusher: Flusher;
  readonly circuit: Circuit;
  readonly aligner: Aligner;
  readonly flight: Flight;
  readonly database: Database;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  /** Called after a partition that had failed was flushed. */
  readonly onRecovered: (partition: number) => Promise<void>;
}

interface Trouble {
  failures: number;
  triedAt: number;
  notBefore: number;
}

export class Sweep {
  readonly #parts: SweepParts;
  readonly #troubles = new Map<number, Trouble>();
  /** Partitions that wait for a lock and are being tried. */
  readonly #probes = new Set<number>();
  readonly #declared = new Map<number, string>();
  readonly #rounds: Rounds;
  readonly #lines: RepeatedLines;
  #alignedAt: number;

  constructor(parts: SweepParts) {
    const { settings, random, log, clock } = parts;
    this.#parts = parts;
    this.#alignedAt = clock.now();
    this.#lines = new RepeatedLines(log, clock);
    this.#rounds = new Rounds({
      every: () => spread(settings.sweepIntervalMs, random),
      round: () => this.once(),
      onError: error => this.#lines.warn({ err: error }, 'sweep failed, will try again'),
    });
  }

  start(): void {
    this.#rounds.start();
  }

  /** Resolves when the sweep has ended. */
  stop(): Promise<void> {
    return this.#rounds.stop();
  }

  /** One round over all partitions. */
  async once(): Promise<void> {
    const { inspector, clock, settings, circuit, aligner, flusher } = this.#parts;
    const partitions = await inspector.all();
    if (!circuit.isOpen)
      for (const status of partitions) if (status.lost.length > 0) await this.#declare(status);
    for (const status of partitions) if (status.lagSeconds === 0) flusher.unblock(status.partition);
    const old = partitions
      .filter(status => this.#isStuck(status))
      .sort((a, b) => b.lagSeconds - a.lagSeconds);
    this.#probe(old.filter(({ partition }) => flusher.isBlocked(partition)));
    const next = old.filter(({ partition }) => !flusher.isBlocked(partition)).values();
    const flushSome = async () => {
      for (const status of next) await this.#flush(status.partition);
    };
    await Promise.all(Array.from({ length: Math.min(settings.concurrency, old.length) }, flushSome));
    if (clock.now() - this.#alignedAt >= settings.alignIntervalMs && !circuit.isOpen) {
      this.#alignedAt = clock.now();
      await aligner.alignAll((partition, error) =>
        this.#lines.error({ partition, err: error }, 'partition could not be aligned'),
      );
      for (const { partition } of partitions) await this.#parts.flight.trim(partition);
    }
  }

  /**
   * Tries partitions that wait for somebody's lock, beside the round: each may wait for `lockWaitSeconds`, and only that
   * one. Few at a time, those first that were not tried for longest.
   */
  #probe(blocked: readonly PartitionStatus[]): void {
    const { settings } = this.#parts;
    const triedAt = ({ partition }: PartitionStatus) => this.#troubles.get(partition)?.triedAt ?? 0;
    const room = Math.max(1, Math.floor(settings.concurrency / 2)) - this.#probes.size;
    for (const { partition } of blocked
      .toSorted((a, b) => triedAt(a) - triedAt(b))
      .slice(0, Math.max(0, room))) {
      this.#probes.add(partition);
      void this.#flush(partition).finally(() => this.#probes.delete(partition));
    }
  }

  /** Writes down what Redis lost, once for each figure: Redis may lose that too. */
  async #declare(status: PartitionStatus): Promise<void> {
    const { database, log } = this.#parts;
    const told = JSON.stringify(status.lost);
    if (this.#declared.get(status.partition) === told) return;
    await declareLost(database, status);
    this.#declared.set(status.partition, told);
    for (const { updates } of status.lost)
      log.error({ partition: status.partition, updates }, 'Redis lost updates that it had acknowledged');
  }

  #isStuck(status: PartitionStatus): boolean {
    const { clock, flusher, settings } = this.#parts;
    if (flusher.isBusy(status.partition)) return false;
    if ((this.#troubles.get(status.partition)?.notBefore ?? 0) > clock.now()) return false;
    // One that waited for a lock has no job any more: nobody else looks after it.
    const old = flusher.isBlocked(status.partition) ? 0 : settings.stuckAfterMs;
    return status.lagSeconds * 1000 > old;
  }

  async #flush(partition: number): Promise<void> {
    const { circuit, flusher, log } = this.#parts;
    if (this.#rounds.stopped) return;
    // Also while the breaker is open: it closes only when somebody tries, and there may be no job left to do so.
    try {
      await circuit.run(() => flusher.flush(partition));
    } catch (error) {
      this.#failed(partition, error);
      return;
    }
    if (this.#troubles.delete(partition)) {
      log.info({ partition }, 'partition flushes again');
      // The lock that it waited for may be what the others wait for.
      for (const [other, trouble] of this.#troubles) if (flusher.isBlocked(other)) trouble.notBefore = 0;
    }
    await this.#parts.onRecovered(partition).catch(error => {
      log.debug(
        { partition, err: error },
        'failed flush jobs of a partition that flushes again could not be removed',
      );
    });
  }

  /** Leaves the partition alone for a while, unless the cause is not its own. */
  #failed(partition: number, error: unknown): void {
    if (isOutage(error) || error instanceof ClaimNotDurableError) return;
    const { flusher, clock, settings, random } = this.#parts;
    const failures = (this.#troubles.get(partition)?.failures ?? 0) + 1;
    const now = clock.now();
    // A lock ends by itself, so that its end should be noticed as soon as that of an outage.
    const isBlocked = flusher.isBlocked(partition);
    const wait = isBlocked
      ? backoff(failures, settings.breakerBaseMs, settings.breakerCapMs, random)
      : backoff(failures, settings.backoffBaseMs, settings.backoffCapMs, random);
    this.#troubles.set(partition, { failures, triedAt: now, notBefore: now + wait });
    this.#lines[isBlocked ? 'warn' : 'error'](
      { partition, failures, err: error },
      isBlocked ? 'the partition waits for a lock in the database' : 'sweep could not flush the partition',
    );
  }
}
