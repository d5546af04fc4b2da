/**
 * Writes a batch to MySQL in one transaction, under the lock of the partition's watermark:
 *
 * 1. lock the watermark, decide (decision.ts)
 * 2. add counters; add balances and insert ledger entries; put aside what MySQL refuses for its own sake
 * 3. record the batch and its outcome in the journal, move the watermark
 * 4. ask Redis once more that the batch is still in flight; commit
 *
 * The first attempt writes everything at once. Only if it fails, and rows may be to blame, is the transaction rolled back
 * and run again carefully (careful.ts), so that one bad row blocks no other.
 */
import type { PoolConnection } from 'mysql2/promise';
import { randomToken } from '../shared/clock.ts';
import { type Decision, decide } from '../shared/decision.ts';
import { DatabaseFailedError, PartitionHaltedError } from '../shared/errors.ts';
import { declareLoss } from '../shared/losses.ts';
import type { Database } from '../shared/mysql.ts';
import { classifyDatabaseError, databaseErrorCode } from '../shared/mysql-errors.ts';
import { refuseOutdated } from '../shared/mysql-writable.ts';
import type { ValueTables } from '../shared/tables.ts';
import { lockWatermark, moveWatermark, type Watermark } from '../shared/watermark.ts';
import { AmendmentWriter } from './amendments.ts';
import type { Batch } from './batch.ts';
import { blame, RowFailure } from './blame.ts';
import { CarefulWriter, type Written } from './careful.ts';
import { EntryWriter } from './entries.ts';
import { Failures } from './failures.ts';
import { fitsJournal, Journal, type Outcome } from './journal.ts';

export type CommitResult =
  | {
      readonly decision: 'apply' | 'rewind';
      readonly outcome: Outcome;
      readonly rows: number;
      readonly late: number;
    }
  | { readonly decision: 'skip'; readonly outcome: Outcome; readonly rewound: boolean }
  | { readonly decision: 'stop' };

/** What the store asks of Redis while it holds the watermark's lock. */
export interface FlightCheck {
  inFlight(batch: Batch): Promise<boolean>;
  /** Gives the batch in flight another sequence and epoch; false where it is not in flight any more. */
  rewind(batch: Batch, sequence: number, epoch: string): Promise<boolean>;
}

/** Called between any two steps, so that tests can end the process's part there. */
export type Seam = (step: Step) => Promise<void> | void;
export type Step = 'claimed' | 'locked' | 'written' | 'recorded' | 'checked' | 'committed' | 'acknowledged';

/** A batch on its way into MySQL; a rewind changes its sequence and epoch. */
interface Attempt {
  batch: Batch;
  rewound: boolean;
  readonly onRewind: () => void;
}

/** Real conflicts end sooner: longer transactions than this on the same rows are a trouble of their own. */
const CONFLICT_PATIENCE_MS = 60_000;

/** Ends the transaction without a commit, with an answer. */
class Abandon extends Error {
  readonly result: CommitResult;
  constructor(result: CommitResult) {
    super('transaction abandoned');
    this.result = result;
  }
}

export class Store {
  readonly #database: Database;
  readonly #tables: ValueTables;
  readonly #flight: FlightCheck;
  readonly #entries: EntryWriter;
  readonly #amendments: AmendmentWriter;
  readonly #careful: CarefulWriter;
  readonly #failures: Failures;
  readonly #journal: Journal;
  readonly #seam: Seam;

  constructor(
    database: Database,
    tables: ValueTables,
    flight: FlightCheck,
    journalBatches: number,
    seam: Seam = () => {},
    conflictPatienceMs = CONFLICT_PATIENCE_MS,
  ) {
    this.#database = database;
    this.#tables = tables;
    this.#flight = flight;
    this.#entries = new EntryWriter(tables);
    this.#amendments = new AmendmentWriter(tables, this.#entries);
    this.#failures = new Failures(conflictPatienceMs);
    this.#careful = new CarefulWriter(tables, this.#entries, this.#failures);
    this.#journal = new Journal(journalBatches);
    this.#seam = seam;
  }

  /**
   * @throws PartitionHaltedError, NotMigratedError, or what MySQL or Redis threw: then the outcome is unknown and the
   * batch, still in flight, has to be committed again.
   */
  async commit(batch: Batch, onRewind: () => void = () => {}): Promise<CommitResult> {
    const attempt: Attempt = { batch, rewound: false, onRewind };
    try {
      return await this.#attempt(attempt, false);
    } catch (error) {
      if (error instanceof Abandon) return this.#abandoned(batch, error);
      if (!this.#deservesCare(batch, error)) throw error;
    }
    try {
      return await this.#attempt(attempt, true);
    } catch (error) {
      if (error instanceof Abandon) return this.#abandoned(batch, error);
      this.#failures.failed(batch);
      if (!(error instanceof RowFailure)) throw error;
      // Its number would open the circuit breaker, or be tried again at once.
      const code = databaseErrorCode(error.cause);
      throw error.isForged
        ? new DatabaseFailedError(this.#database.place, code, { cause: error.cause })
        : error.cause;
    }
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
      if (decision === 'skip') throw new Abandon(await this.#recorded(connection, attempt.batch, watermark));
      if (decision === 'stop') throw new Abandon({ decision });
      await this.#settle(attempt, watermark, decision);
      const { batch } = attempt;
      // What MySQL took beyond what Redis had claimed before this batch: Redis forgot it, and may bring it once more.
      const updates = batch.claimed - batch.dropped;
      const forgotten = watermark.updates - (updates - batch.updates);
      await declareLoss(connection, batch.partition, 'doubled', batch.token, forgotten);

      const written = await this.#write(connection, batch, careful);
      await this.#seam('written');

      const { late, quarantinedBefore, reload, refused: quarantined, rows, took } = written;
      const outcome = await this.#forget(connection, attempt, {
        late,
        reload,
        quarantined,
        quarantinedBefore,
        popped: batch.popped,
      });
      await this.#journal.record(connection, batch, written.entries, rows, outcome);
      const { sequence, token, epoch } = attempt.batch;
      await moveWatermark(connection, batch.partition, { sequence, token, epoch, updates });
      await this.#seam('recorded');
      if (!(await this.#flight.inFlight(batch))) throw new Abandon({ decision: 'stop' });
      await this.#seam('checked');
      const done = attempt.rewound ? ('rewind' as const) : ('apply' as const);
      return { result: { decision: done, outcome, rows, late: late.length }, took };
    });
    this.#failures.took(took, moment);
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

  async #recorded(connection: PoolConnection, batch: Batch, watermark: Watermark): Promise<CommitResult> {
    const outcome = await this.#journal.find(connection, batch);
    const rewound = batch.sequence < watermark.sequence || batch.epoch !== watermark.epoch;
    return { decision: 'skip', outcome: outcome ?? { late: [], quarantined: 0 }, rewound };
  }

  /** Gives the batch a new sequence and epoch if it needs them. */
  async #settle(attempt: Attempt, watermark: Watermark, decision: 'apply' | 'rewind'): Promise<void> {
    const { batch } = attempt;
    if (decision === 'apply' && batch.epoch === watermark.epoch) return;
    await this.#renumber(attempt, watermark.sequence + 1);
    if (decision !== 'rewind') return;
    // Told at once: should the transaction fail, the next one finds nothing unusual any more.
    attempt.rewound = true;
    attempt.onRewind();
  }

  /**
   * The outcome as the journal takes it. If its list of wrong live values is too long, a new epoch makes all of the
   * partition's be read anew, and the list is empty.
   */
  async #forget(connection: PoolConnection, attempt: Attempt, outcome: Outcome): Promise<Outcome> {
    if (fitsJournal(connection, outcome)) return outcome;
    await this.#renumber(attempt, attempt.batch.sequence);
    return { ...outcome, late: [], reload: [] };
  }

  /** Gives the batch a sequence and a new epoch; Redis is told first. */
  async #renumber(attempt: Attempt, sequence: number): Promise<void> {
    const { batch } = attempt;
    const epoch = randomToken();
    if (!(await this.#flight.rewind(batch, sequence, epoch))) throw new Abandon({ decision: 'stop' });
    attempt.batch = { ...batch, sequence, epoch };
  }

  /** @throws RowFailure if rows may be to blame, or what the server threw */
  async #write(connection: PoolConnection, batch: Batch, careful: boolean): Promise<Written> {
    const written: Written = {
      entries: 0,
      rows: 0,
      refused: 0,
      late: [],
      quarantinedBefore: 0,
      reload: [],
      took: new Set(),
    };
    try {
      await this.#writeCounters(connection, batch, careful, written);
      await this.#writeEntries(connection, batch, careful, written);
      const doubtConflicts = careful && this.#failures.doubtsConflicts(batch);
      written.reload = await this.#amendments.write(connection, batch, careful, doubtConflicts);
    } catch (error) {
      // The careful attempt knows already.
      throw careful ? error : await blame(connection, batch.partition, error);
    }
    return written;
  }

  async #writeCounters(connection: PoolConnection, batch: Batch, careful: boolean, written: Written) {
    if (careful) return this.#careful.counters(connection, batch, written);
    for (const [table, sums] of Map.groupBy(batch.counters, sum => this.#tables.of('c', sum.name))) {
      await table.add(connection, sums);
      written.took.add(table);
    }
    written.rows += batch.counters.length;
  }

  async #writeEntries(connection: PoolConnection, batch: Batch, careful: boolean, written: Written) {
    const { partition, sequence, entries } = batch;
    if (entries.length === 0) return;
    // The ledger's unique key finds what is in the ledger; what waits in quarantine has to be looked for.
    const isWary = careful || (await this.#entries.hasQuarantined(connection, partition));
    const { late, fresh, quarantinedBefore } = isWary
      ? await this.#entries.splitLate(connection, entries)
      : { late: [], fresh: entries, quarantinedBefore: 0 };
    written.late = late.map(entry => entry.item);
    written.quarantinedBefore = quarantinedBefore;
    if (careful) return this.#careful.entries(connection, batch, written, fresh);
    const { accounts } = await this.#entries.write(connection, partition, sequence, fresh, entries);
    written.entries += fresh.length;
    written.rows += fresh.length + accounts;
    for (const { program } of fresh) written.took.add(this.#tables.of('p', program));
  }
}
