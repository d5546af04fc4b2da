/**
 * Writes a batch to MySQL in one transaction, under the lock of the partition's watermark:
 *
 * 1. lock the watermark, decide (decision.ts)
 * 2. add counters and balances, insert ledger entries, carry out amendments; put rows that MySQL refuses into
 *    quarantine, and hold rows of mapped tables that cannot be written
 * 3. record the batch and its outcome in the journal, move the watermark
 * 4. ask Redis once more that the batch is still in flight; commit
 *
 * The first attempt writes all rows at once. If it fails and rows may be to blame, a careful attempt follows
 * (careful.ts), so that one bad row blocks no other. If the batch has updates of keys that failed lately, the first
 * attempt is careful already. If a mapped table is to blame, an attempt follows that
 * holds the table's updates (held.ts), so that one table blocks no other.
 */
import type { PoolConnection } from 'mysql2/promise';
import { randomToken } from '../shared/clock.ts';
import { DatabaseFailedError, PartitionHaltedError } from '../shared/errors.ts';
import type { Database } from '../shared/mysql/database.ts';
import { classifyDatabaseError, databaseErrorCode } from '../shared/mysql/errors.ts';
import { refuseOutdated } from '../shared/mysql/writable.ts';
import { type Decision, decide } from '../shared/partition/decision.ts';
import { declareLoss } from '../shared/partition/losses.ts';
import { lockWatermark, moveWatermark, type Watermark } from '../shared/partition/watermark.ts';
import type { ValueTables } from '../shared/values/tables.ts';
import type { Batch } from './batch.ts';
import { BatchWriter } from './batch-writer.ts';
import { RowFailure } from './blame.ts';
import type { CommitResult, FlightCheck, Seam } from './commit.ts';
import { Failures } from './failures.ts';
import { fitsJournal, Journal, type Outcome } from './journal.ts';
import { TableHealth } from './table-health.ts';
import { Together } from './together.ts';
import { outgoing } from './transfers.ts';

/** A batch on its way into MySQL; a rewind changes its sequence and epoch. */
interface Attempt {
  batch: Batch;
  rewound: boolean;
  readonly onRewind: () => void;
}

/** Conflicts that last longer may not be real: no healthy transaction holds these rows so long. */
const CONFLICT_PATIENCE_MS = 60_000;

/** Rolls the transaction back, with a result. */
class Abandon extends Error {
  readonly result: CommitResult;
  constructor(result: CommitResult) {
    super('transaction abandoned');
    this.result = result;
  }
}

export class Store {
  readonly #database: Database;
  readonly #flight: FlightCheck;
  readonly #writer: BatchWriter;
  readonly #failures: Failures;
  readonly #health: TableHealth;
  readonly #journal: Journal;
  readonly #seam: Seam;
  readonly #together: Together;

  constructor(
    database: Database,
    tables: ValueTables,
    flight: FlightCheck,
    journalBatches: number,
    seam: Seam = () => {},
    conflictPatienceMs = CONFLICT_PATIENCE_MS,
    health = new TableHealth(),
  ) {
    this.#database = database;
    this.#flight = flight;
    this.#failures = new Failures(conflictPatienceMs);
    this.#health = health;
    this.#writer = new BatchWriter(tables, this.#failures, health);
    this.#journal = new Journal(journalBatches);
    this.#seam = seam;
    const [failures, journal] = [this.#failures, this.#journal];
    this.#together = new Together({ database, tables, flight, failures, health, journal, seam });
  }

  /** Writes those of the batches that are plain in one transaction; see `Together.commit`. */
  commitTogether(batches: readonly Batch[]): Promise<Map<Batch, CommitResult>> {
    return this.#together.commit(batches);
  }

  /**
   * @throws PartitionHaltedError, NotMigratedError, or the error of MySQL or Redis: then the outcome is
   * unknown, the batch stays in flight, and it must be committed again
   */
  async commit(batch: Batch, onRewind: () => void = () => {}): Promise<CommitResult> {
    const attempt: Attempt = { batch, rewound: false, onRewind };
    let foreseen = this.#writer.foreseesRefusals(batch);
    for (let careful = foreseen; ; ) {
      try {
        return await this.#attempt(attempt, careful);
      } catch (error) {
        if (error instanceof Abandon) return this.#abandoned(batch, error);
        // True at most once for each mapped table, so the loop ends.
        if (this.#health.noteFailure(error)) continue;
        if (careful && !foreseen) throw this.#failed(batch, error);
        if (!this.#deservesCare(batch, error)) throw error;
        careful = true;
        foreseen = false;
      }
    }
  }

  /** Why a careful attempt failed. */
  #failed(batch: Batch, error: unknown): unknown {
    this.#failures.failed(batch);
    if (!(error instanceof RowFailure)) return error;
    // A forged number would open the circuit breaker or cause a retry at once.
    const code = databaseErrorCode(error.cause);
    return error.isForged
      ? new DatabaseFailedError(this.#database.address, code, { cause: error.cause })
      : error.cause;
  }

  #abandoned(batch: Batch, { result }: Abandon): CommitResult {
    this.#failures.ended(batch);
    return result;
  }

  #deservesCare(batch: Batch, error: unknown): boolean {
    if (error instanceof RowFailure) return true;
    if (classifyDatabaseError(error) !== 'conflict') return false;
    this.#failures.conflicted(batch);
    return this.#failures.doubtsConflicts(batch);
  }

  async #attempt(attempt: Attempt, careful: boolean): Promise<CommitResult> {
    const moment = this.#failures.moment();
    const { result, took } = await this.#database.transaction(async connection => {
      const watermark = await lockWatermark(connection, attempt.batch.partition);
      await this.#seam('locked');
      const decision = await this.#decide(connection, attempt.batch, watermark);
      if (decision === 'skip') throw new Abandon(await this.#skip(connection, attempt.batch, watermark));
      if (decision === 'stop') throw new Abandon({ decision });
      await this.#renumberIfNeeded(attempt, watermark, decision);
      const { batch } = attempt;
      // If MySQL has more updates than Redis claimed before this batch, Redis forgot some and may bring them
      // again.
      const updates = batch.claimed - batch.dropped;
      const forgotten = watermark.updates - (updates - batch.updates);
      await declareLoss(connection, batch.partition, 'doubled', batch.token, forgotten);

      const written = await this.#writer.write(connection, batch, watermark.mayHold, careful);
      await this.#seam('written');

      const { late, quarantinedBefore, reload, refused, held, rows, took, floors } = written;
      const belowFloor = await floors.below(connection);
      const outcome = await this.#fitOutcome(connection, attempt, {
        late,
        reload,
        quarantined: refused + held,
        held,
        quarantinedBefore,
        popped: batch.popped,
      });
      await this.#journal.record(connection, [{ batch, entries: written.entries, rows, outcome }]);
      const { sequence, token, epoch } = attempt.batch;
      await moveWatermark(connection, batch.partition, { sequence, token, epoch, updates });
      const sent = await outgoing(connection, written.transfers, to => this.#flight.partitionOf(to));
      await this.#seam('recorded');
      if (!(await this.#flight.inFlight(batch))) throw new Abandon({ decision: 'stop' });
      await this.#seam('checked');
      const done = attempt.rewound ? ('rewind' as const) : ('apply' as const);
      const { credits, aside, leftOut, unheld } = written;
      const counts = { rows, late: late.length, credits, aside, leftOut, unheld };
      return { result: { decision: done, outcome, ...counts, belowFloor, outgoing: sent }, took };
    });
    this.#failures.took(took, moment);
    this.#health.took(took);
    this.#failures.ended(attempt.batch);
    await this.#seam('committed');
    return result;
  }

  async #decide(
    connection: PoolConnection,
    batch: Batch,
    watermark: Watermark,
  ): Promise<'apply' | 'skip' | 'rewind' | 'stop'> {
    const decision: Decision = await decide(batch, watermark, {
      recorded: async () => (await this.#journal.find(connection, batch)) !== undefined,
      inFlight: () => this.#flight.inFlight(batch),
      oldestInJournal: () => this.#journal.oldest(connection, batch.partition),
    });
    if (decision === 'halt-database') {
      await refuseOutdated(connection);
      throw new PartitionHaltedError(
        'DATABASE_WENT_BACK',
        batch.partition,
        batch.sequence,
        watermark.sequence,
      );
    }
    if (decision === 'halt-redis')
      throw new PartitionHaltedError(
        'REDIS_BACKUP_RESTORED',
        batch.partition,
        batch.sequence,
        watermark.sequence,
      );
    return decision;
  }

  async #skip(connection: PoolConnection, batch: Batch, watermark: Watermark): Promise<CommitResult> {
    const outcome = await this.#journal.find(connection, batch);
    const rewound = batch.sequence < watermark.sequence || batch.epoch !== watermark.epoch;
    return { decision: 'skip', outcome: outcome ?? { late: [], quarantined: 0 }, rewound };
  }

  /** Gives the batch a new sequence and epoch if it needs them. */
  async #renumberIfNeeded(
    attempt: Attempt,
    watermark: Watermark,
    decision: 'apply' | 'rewind',
  ): Promise<void> {
    const { batch } = attempt;
    if (decision === 'apply' && batch.epoch === watermark.epoch) return;
    await this.#renumber(attempt, watermark.sequence + 1);
    if (decision !== 'rewind') return;
    // Reported at once: if this transaction fails, the next one finds nothing unusual.
    attempt.rewound = true;
    attempt.onRewind();
  }

  /**
   * Shortens an outcome that does not fit the journal: a new epoch makes all live values of the partition
   * cold, so its lists of wrong ones can be empty.
   */
  async #fitOutcome(connection: PoolConnection, attempt: Attempt, outcome: Outcome): Promise<Outcome> {
    if (fitsJournal(connection, outcome)) return outcome;
    await this.#renumber(attempt, attempt.batch.sequence);
    return { ...outcome, late: [], reload: [] };
  }

  /** Gives the batch a sequence and a new epoch, in Redis first. */
  async #renumber(attempt: Attempt, sequence: number): Promise<void> {
    const { batch } = attempt;
    const epoch = randomToken();
    if (!(await this.#flight.rewind(batch, sequence, epoch))) throw new Abandon({ decision: 'stop' });
    attempt.batch = { ...batch, sequence, epoch };
  }
}
