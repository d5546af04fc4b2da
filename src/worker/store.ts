/**
 * Writes a batch to MySQL in one transaction, under the lock of the partition's watermark:
 *
 * 1. lock the watermark, decide (decision.ts)
 * 2. add counters; add balances and insert ledger entries; put aside what MySQL refuses for its own sake
 * 3. record the batch and its outcome in the journal, move the watermark
 * 4. ask Redis once more that the batch is still in flight; commit
 *
 * The first attempt writes everything at once. Only where MySQL refuses data is the transaction rolled back and
 * run again carefully: rows that a table knows it refuses are put aside first, the others are found by bisecting,
 * with savepoints.
 */
import type { PoolConnection } from 'mysql2/promise';
import { randomToken } from '../shared/clock.ts';
import { type Decision, decide } from '../shared/decision.ts';
import { PartitionHaltedError } from '../shared/errors.ts';
import { declareLoss } from '../shared/losses.ts';
import type { Database } from '../shared/mysql.ts';
import { refuseOutdated } from '../shared/mysql-writable.ts';
import type { RecordedEntry } from '../shared/record.ts';
import type { ValueTables } from '../shared/tables.ts';
import { lockWatermark, moveWatermark, type Watermark } from '../shared/watermark.ts';
import { AmendmentWriter } from './amendments.ts';
import type { Batch, CounterSum } from './batch.ts';
import { bisect } from './bisect.ts';
import { type EntryOutcome, EntryWriter } from './entries.ts';
import { fitsJournal, Journal, type Outcome } from './journal.ts';
import { isRefusal, quarantine, withSavepoint } from './quarantine.ts';

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
  readonly #journal: Journal;
  readonly #seam: Seam;

  constructor(
    database: Database,
    tables: ValueTables,
    flight: FlightCheck,
    journalBatches: number,
    seam: Seam = () => {},
  ) {
    this.#database = database;
    this.#tables = tables;
    this.#flight = flight;
    this.#entries = new EntryWriter(tables);
    this.#amendments = new AmendmentWriter(tables, this.#entries);
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
      if (error instanceof Abandon) return error.result;
      if (!isRefusal(error)) throw error;
    }
    try {
      return await this.#attempt(attempt, true);
    } catch (error) {
      if (error instanceof Abandon) return error.result;
      throw error;
    }
  }

  async #attempt(attempt: Attempt, careful: boolean): Promise<CommitResult> {
    const result = await this.#database.transaction(async connection => {
      const watermark = await lockWatermark(connection, attempt.batch.partition);
      await this.#seam('locked');
      const decision = await this.#decide(connection, attempt.batch, watermark);
      if (decision === 'skip') throw new Abandon(await this.#recorded(connection, attempt.batch, watermark));
      if (decision === 'stop') throw new Abandon({ decision });
      await this.#settle(attempt, watermark, decision);
      const { batch } = attempt;
      // What MySQL took beyond what Redis had claimed before this batch: Redis forgot it, and may bring it once more.
      const forgotten = watermark.updates - (batch.claimed - batch.updates);
      await declareLoss(connection, batch.partition, 'doubled', batch.token, forgotten);

      const counters = await this.#writeCounters(connection, batch, careful);
      const entries = await this.#writeEntries(connection, batch, careful);
      const reload = await this.#amendments.write(connection, batch, careful);
      await this.#seam('written');

      const outcome = await this.#forget(connection, attempt, {
        late: entries.late.map(entry => entry.item),
        reload,
        quarantined: counters.refused + entries.refused,
        popped: batch.popped,
      });
      const rows = counters.written + entries.written + entries.accounts;
      await this.#journal.record(connection, batch, entries.written, rows, outcome);
      const { sequence, token, epoch, claimed: updates } = attempt.batch;
      await moveWatermark(connection, batch.partition, { sequence, token, epoch, updates });
      await this.#seam('recorded');
      if (!(await this.#flight.inFlight(batch))) throw new Abandon({ decision: 'stop' });
      await this.#seam('checked');
      const done = attempt.rewound ? 'rewind' : 'apply';
      return { decision: done, outcome, rows, late: entries.late.length } as const;
    });
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

  async #writeCounters(connection: PoolConnection, batch: Batch, careful: boolean) {
    let refused = 0;
    for (const [table, sums] of Map.groupBy(batch.counters, sum => this.#tables.of('c', sum.name))) {
      const add = (rows: readonly CounterSum[]) => table.add(connection, rows);
      if (!careful) await add(sums);
      else {
        const refuse = async (sum: CounterSum, error: unknown) => {
          refused++;
          const payload = JSON.stringify({ updates: sum.updates });
          await quarantine(
            connection,
            batch.partition,
            batch.sequence,
            { kind: 'counter', ...sum, id: null, payload },
            error,
          );
        };
        const known = await table.refusals(connection, sums);
        for (const [sum, error] of known) await refuse(sum, error);
        await bisect(
          sums.filter(sum => !known.has(sum)),
          rows => withSavepoint(connection, () => add(rows)),
          isRefusal,
          refuse,
        );
      }
    }
    return { written: batch.counters.length - refused, refused };
  }

  async #writeEntries(connection: PoolConnection, batch: Batch, careful: boolean): Promise<EntryOutcome> {
    const { partition, sequence, entries } = batch;
    if (entries.length === 0) return { written: 0, accounts: 0, refused: 0, late: [] };
    // The ledger's unique key finds what is in the ledger; what waits in quarantine has to be looked for.
    const isWary = careful || (await this.#entries.hasQuarantined(connection, partition));
    const { late, fresh } = isWary
      ? await this.#entries.splitLate(connection, entries)
      : { late: [], fresh: entries };
    if (!careful)
      return { ...(await this.#entries.write(connection, partition, sequence, fresh, entries)), late };
    const done = { written: 0, accounts: 0, refused: 0, late };
    const refuse = async (entry: RecordedEntry, error: unknown) => {
      done.refused++;
      const { program, account, amount, id, payload } = entry;
      const row = { kind: 'entry', name: program, key: account, amount, id, payload } as const;
      await quarantine(connection, batch.partition, batch.sequence, row, error);
    };
    const known = await this.#entries.refusals(connection, fresh);
    for (const [entry, error] of known) await refuse(entry, error);
    await bisect(
      fresh.filter(entry => !known.has(entry)),
      rows =>
        withSavepoint(connection, async () => {
          const part = await this.#entries.write(connection, partition, sequence, rows, entries);
          done.written += part.written;
          done.accounts += part.accounts;
        }),
      isRefusal,
      refuse,
    );
    return done;
  }
}
