/**
 * Finds partitions whose updates have grown old, because a worker died, a wake-up was lost or BullMQ cannot run, and
 * flushes them without BullMQ. Also compares idle partitions with their watermarks and forgets old ids.
 */
import type { Logger } from 'pino';
import type { Aligner } from '../shared/align.ts';
import type { Clock } from '../shared/clock.ts';
import { ClaimNotDurableError } from '../shared/errors.ts';
import type { Inspector, PartitionStatus } from '../shared/inspect.ts';
import { declareLost } from '../shared/losses.ts';
import { type Database, queryRows } from '../shared/mysql.ts';
import type { Settings } from '../shared/settings.ts';
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
  notBefore: number;
}

export class Sweep {
  readonly #parts: SweepParts;
  readonly #troubles = new Map<number, Trouble>();
  readonly #declared = new Map<number, string>();
  readonly #rounds: Rounds;
  #alignedAt: number;

  constructor(parts: SweepParts) {
    const { settings, random, log, clock } = parts;
    this.#parts = parts;
    this.#alignedAt = clock.now();
    this.#rounds = new Rounds({
      every: () => spread(settings.sweepIntervalMs, random),
      round: () => this.once(),
      onError: error => log.warn({ err: error }, 'sweep failed, will try again'),
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
    const { inspector, clock, settings, circuit } = this.#parts;
    const partitions = await inspector.all();
    if (!circuit.isOpen)
      for (const status of partitions) if (status.lost.length > 0) await this.#declare(status);
    const old = partitions
      .filter(status => this.#isStuck(status))
      .sort((a, b) => b.lagSeconds - a.lagSeconds);
    const next = old.values();
    const flushSome = async () => {
      for (const status of next) await this.#flush(status.partition);
    };
    await Promise.all(Array.from({ length: Math.min(settings.concurrency, old.length) }, flushSome));
    if (clock.now() - this.#alignedAt >= settings.alignIntervalMs && !circuit.isOpen) {
      this.#alignedAt = clock.now();
      await this.#alignIdle(partitions);
      for (const { partition } of partitions) await this.#parts.flight.trim(partition);
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
    const { settings, clock, flusher } = this.#parts;
    if (flusher.isBusy(status.partition)) return false;
    if ((this.#troubles.get(status.partition)?.notBefore ?? 0) > clock.now()) return false;
    return status.lagSeconds * 1000 > settings.stuckAfterMs;
  }

  async #flush(partition: number): Promise<void> {
    const { circuit, flusher, clock, settings, random, log } = this.#parts;
    if (this.#rounds.stopped) return;
    // Also while the breaker is open: it closes only when somebody tries, and there may be no job left to do so.
    try {
      await circuit.run(() => flusher.flush(partition));
      if (this.#troubles.delete(partition)) log.info({ partition }, 'partition flushes again');
    } catch (error) {
      if (isOutage(error) || error instanceof ClaimNotDurableError) return;
      const failures = (this.#troubles.get(partition)?.failures ?? 0) + 1;
      this.#troubles.set(partition, {
        failures,
        notBefore: clock.now() + backoff(failures, settings.backoffBaseMs, settings.backoffCapMs, random),
      });
      log.error({ partition, failures, err: error }, 'sweep could not flush the partition');
      return;
    }
    await this.#parts.onRecovered(partition).catch(error => {
      log.debug(
        { partition, err: error },
        'failed flush jobs of a partition that flushes again could not be removed',
      );
    });
  }

  /** Compares without locks first; only what differs is looked at under the watermark's lock. */
  async #alignIdle(partitions: readonly PartitionStatus[]): Promise<void> {
    const { database, aligner, log } = this.#parts;
    const rows = await database.session(connection =>
      queryRows(connection, 'SELECT partition_id, sequence, epoch FROM sluice_partitions'),
    );
    const watermarks = new Map(rows.map(row => [Number(row.partition_id), row]));
    for (const { partition, sequence, epoch, token } of partitions) {
      const watermark = watermarks.get(partition);
      if (
        token !== '' ||
        (watermark && Number(watermark.sequence) === sequence && String(watermark.epoch) === epoch)
      )
        continue;
      try {
        await aligner.align(partition);
      } catch (error) {
        log.error({ partition, err: error }, 'partition could not be aligned');
      }
    }
  }
}
