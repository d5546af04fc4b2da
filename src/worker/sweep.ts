/**
 * Flushes partitions with old updates, without BullMQ: a worker died, a wake-up was lost, or BullMQ cannot
 * run. It also aligns idle partitions with their watermarks, removes expired ids, and rotates live values.
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
import type { Rotation } from './rotation.ts';
import { Rounds, spread } from './rounds.ts';

export interface SweepParts {
  readonly inspector: Inspector;
  readonly flusher: Flusher;
  readonly circuit: Circuit;
  readonly aligner: Aligner;
  readonly flight: Flight;
  readonly rotation: Rotation;
  readonly database: Database;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  /** Called after each successful flush of the sweep. */
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
  /** Blocked partitions with a flush under way. */
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
      onError: error => this.#lines.warn({ err: error }, 'sweep failed, will retry'),
    });
  }

  start(): void {
    this.#rounds.start();
  }

  /** Resolves when a running round has ended. */
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
      for (const { partition } of partitions) {
        await this.#parts.flight.trim(partition);
        // Not while MySQL is away: no value could become live again.
        await this.#parts.rotation.rotate(partition);
      }
    }
  }

  /**
   * Flushes blocked partitions beside the round, since each flush may wait `lockWaitSeconds` for a lock. Few
   * at a time, the longest untried first.
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

  /** Records in MySQL what Redis lost, once for each number: Redis may lose this knowledge too. */
  async #declare(status: PartitionStatus): Promise<void> {
    const { database, log } = this.#parts;
    const lost = JSON.stringify(status.lost);
    if (this.#declared.get(status.partition) === lost) return;
    try {
      await declareLost(database, status);
    } catch (error) {
      // The flushes of this round do not depend on it.
      this.#lines.warn(
        { partition: status.partition, err: error },
        'a loss could not be declared, will retry',
      );
      return;
    }
    this.#declared.set(status.partition, lost);
    for (const { updates } of status.lost)
      log.error({ partition: status.partition, updates }, 'Redis lost updates that it had acknowledged');
  }

  #isStuck(status: PartitionStatus): boolean {
    const { clock, flusher, settings } = this.#parts;
    if (flusher.isBusy(status.partition)) return false;
    if ((this.#troubles.get(status.partition)?.notBefore ?? 0) > clock.now()) return false;
    // A blocked partition has no job: only the sweep flushes it.
    const old = flusher.isBlocked(status.partition) ? 0 : settings.stuckAfterMs;
    return status.lagSeconds * 1000 > old;
  }

  async #flush(partition: number): Promise<void> {
    const { circuit, flusher, log } = this.#parts;
    if (this.#rounds.stopped) return;
    // Also while the breaker is open: only a flush can close it, and there may be no job left.
    try {
      await circuit.run(() => flusher.flush(partition));
    } catch (error) {
      this.#failed(partition, error);
      return;
    }
    if (this.#troubles.delete(partition)) {
      log.info({ partition }, 'partition flushes again');
      // Other partitions may have waited for the same lock.
      for (const [other, trouble] of this.#troubles) if (flusher.isBlocked(other)) trouble.notBefore = 0;
    }
    await this.#parts.onRecovered(partition).catch(error => {
      log.debug(
        { partition, err: error },
        'could not remove failed flush jobs of a partition that flushes again',
      );
    });
  }

  /** Backs off, unless the failure has a cause beyond the partition. */
  #failed(partition: number, error: unknown): void {
    if (isOutage(error) || error instanceof ClaimNotDurableError) return;
    const { flusher, clock, settings, random } = this.#parts;
    const failures = (this.#troubles.get(partition)?.failures ?? 0) + 1;
    const now = clock.now();
    // The end of a lock should be noticed as soon as that of an outage.
    const isBlocked = flusher.isBlocked(partition);
    const wait = isBlocked
      ? backoff(failures, settings.breakerBaseMs, settings.breakerCapMs, random)
      : backoff(failures, settings.backoffBaseMs, settings.backoffCapMs, random);
    this.#troubles.set(partition, { failures, triedAt: now, notBefore: now + wait });
    this.#lines[isBlocked ? 'warn' : 'error'](
      { partition, failures, err: error },
      isBlocked ? 'the partition waits for a database lock' : 'sweep could not flush the partition',
    );
  }
}
