/**
 * Writes the batches of several partitions in one transaction, if they are plain: each is its partition's
 * next one, and has nothing to look up, to hold or to amend. Every batch is decided by itself, under the lock
 * of its partition's watermark. What is left out, and everything after a failure, is for store.ts, alone.
 */
import type { PoolConnection } from 'mysql2/promise';
import type { Kind } from '../shared/item.ts';
import type { Database } from '../shared/mysql/database.ts';
import { isNext } from '../shared/partition/decision.ts';
import { type LockedWatermark, lockFreeWatermarks, moveWatermarks } from '../shared/partition/watermark.ts';
import { isCredit } from '../shared/updates/record.ts';
import { superseded } from '../shared/values/kept-sql.ts';
import type { ValueTable, ValueTables } from '../shared/values/tables.ts';
import type { Batch } from './batch.ts';
import type { CommitResult, FlightCheck, Seam } from './commit.ts';
import { EntryWriter, ledgerKeys } from './entries.ts';
import type { Failures } from './failures.ts';
import { FloorWatch } from './floors.ts';
import { type HoldPlan, planHolds, writeHolds } from './holds.ts';
import type { BatchRecord, Journal } from './journal.ts';
import { checkLengths } from './lengths.ts';
import type { TableHealth } from './table-health.ts';
import { outgoing, rightfulCredits } from './transfers.ts';

export interface TogetherParts {
  readonly database: Database;
  readonly tables: ValueTables;
  readonly flight: FlightCheck;
  readonly failures: Failures;
  readonly health: TableHealth;
  readonly journal: Journal;
  readonly seam: Seam;
}

type Applied = Extract<CommitResult, { readonly decision: 'apply' | 'rewind' }>;

/** What the transaction of one attempt did. */
interface Done {
  readonly results: Map<Batch, Applied>;
  readonly took: Iterable<ValueTable>;
}

/** Rolls the transaction back: a batch is no longer in flight. */
class NotInFlight extends Error {}

export class Together {
  readonly #parts: TogetherParts;
  readonly #entries: EntryWriter;

  constructor(parts: TogetherParts) {
    this.#parts = parts;
    this.#entries = new EntryWriter(parts.tables);
  }

  /**
   * @param batches of different partitions, claimed for the first time
   * @returns results of those that were written; the others must be committed alone
   * @throws the error of MySQL or Redis. Then nothing is written, or it is not known after a lost connection;
   * all must be committed alone
   */
  async commit(batches: readonly Batch[]): Promise<Map<Batch, CommitResult>> {
    const { database, failures, health, seam } = this.#parts;
    const plain = batches.filter(batch => this.#isPlain(batch));
    // One by itself gains nothing.
    if (plain.length < 2) return new Map();
    const moment = failures.moment();
    let done: Done;
    try {
      done = await database.transaction(connection => this.#attempt(connection, plain));
    } catch (error) {
      if (error instanceof NotInFlight) return new Map();
      // So that those that go alone now hold the updates of the table, instead of failing like this attempt.
      health.noteFailure(error);
      throw error;
    }
    failures.took(done.took, moment);
    health.took(done.took);
    for (const batch of done.results.keys()) failures.ended(batch);
    await seam('committed');
    return done.results;
  }

  /** Whether the batch and what this process knows give no reason to write it alone. */
  #isPlain(batch: Batch): boolean {
    const { tables, health } = this.#parts;
    const { counters, entries, amendments } = batch;
    if (amendments.length > 0) return false;
    const isHeld = (kind: Kind, name: string) => health.problem(tables.of(kind, name)) !== undefined;
    if (
      health.failing.length > 0 &&
      (counters.some(({ kind, name }) => isHeld(kind, name)) ||
        entries.some(({ program }) => isHeld('p', program)))
    )
      return false;
    try {
      checkLengths(batch);
      return true;
    } catch {
      return false;
    }
  }

  async #attempt(connection: PoolConnection, plain: readonly Batch[]): Promise<Done> {
    const { flight, journal, seam } = this.#parts;
    const ofPartitions = plain.map(({ partition }) => partition);
    const watermarks = await lockFreeWatermarks(connection, ofPartitions);
    await seam('locked');
    const next = plain.filter(batch => applies(batch, watermarks.get(batch.partition)));
    const rightful = await this.#rightful(connection, await this.#withoutQuarantined(connection, next));
    const newer = await withoutSuperseded(connection, rightful);
    const plans = await plansOf(connection, newer);
    const batches = [...plans.keys()];
    if (batches.length === 0) return { results: new Map(), took: [] };

    const counterTables = await this.#writeCounters(connection, batches);
    const { accounts, floors, transfers, tables: entryTables } = await this.#writeEntries(connection, plans);
    await seam('written');

    const results = new Map<Batch, Applied>();
    const records: BatchRecord[] = [];
    for (const batch of batches) {
      const { counters, entries, popped } = batch;
      const outcome = { late: [], reload: [], quarantined: 0, held: 0, quarantinedBefore: 0, popped };
      const { ledger, changed } = plans.get(batch)!;
      const rows = counters.length + ledger.length + changed.length + accounts.get(batch)!;
      records.push({ batch, entries: ledger.length, rows, outcome });
      const belowFloor = await floors.get(batch)!.below(connection);
      const nothing = { late: 0, aside: 0, leftOut: 0, unheld: 0 };
      const done = { decision: 'apply', outcome, rows, belowFloor, ...nothing } as const;
      results.set(batch, { ...done, credits: entries.filter(isCredit), outgoing: [] });
    }
    await journal.record(connection, records);
    await moveWatermarks(
      connection,
      batches.map(batch => ({ ...batch, updates: batch.claimed - batch.dropped })),
    );
    const [first] = results;
    const sent = await outgoing(connection, transfers, to => flight.partitionOf(to));
    results.set(first![0], { ...first![1], outgoing: sent });
    await seam('recorded');
    // All calls go out together.
    const inFlight = await Promise.all(batches.map(batch => flight.inFlight(batch)));
    if (!inFlight.every(Boolean)) throw new NotInFlight();
    await seam('checked');
    return { results, took: new Set([...counterTables, ...entryTables]) };
  }

  /** Entries whose ids are in quarantine are late, and the first attempt alone finds them. */
  async #withoutQuarantined(
    connection: PoolConnection,
    batches: readonly Batch[],
  ): Promise<readonly Batch[]> {
    const withEntries = batches.filter(({ entries }) => entries.length > 0);
    if (withEntries.length === 0) return batches;
    const found = await this.#entries.withQuarantined(
      connection,
      withEntries.map(({ partition }) => partition),
    );
    return batches.filter(({ partition }) => !found.has(partition));
  }

  /** Batches whose credits all have their rows: what is left out needs the live values deleted, alone. */
  async #rightful(connection: PoolConnection, batches: readonly Batch[]): Promise<readonly Batch[]> {
    const credits = batches.flatMap(({ entries }) => entries.filter(isCredit));
    if (credits.length === 0) return batches;
    const rightful = await rightfulCredits(connection, credits);
    return batches.filter(({ entries }) => entries.every(entry => !isCredit(entry) || rightful.has(entry)));
  }

  async #writeCounters(connection: PoolConnection, batches: readonly Batch[]): Promise<Iterable<ValueTable>> {
    const { tables } = this.#parts;
    const sums = batches.flatMap(({ counters }) => counters);
    const byTable = Map.groupBy(sums, ({ kind, name }) => tables.of(kind, name));
    for (const [table, some] of byTable) await table.add(connection, some);
    return byTable.keys();
  }

  async #writeEntries(connection: PoolConnection, plans: ReadonlyMap<Batch, HoldPlan>) {
    const batches = [...plans.keys()];
    await writeHolds(
      connection,
      [...plans.values()].flatMap(({ changed }) => changed),
    );
    const floors = new Map(batches.map(batch => [batch, new FloorWatch(this.#parts.tables)]));
    const accounts = new Map(batches.map(batch => [batch, 0]));
    const entries = [...plans.values()].flatMap(({ ledger }) => ledger);
    if (entries.length === 0) return { accounts, floors, transfers: [], tables: [] };
    const batchOf = new Map(
      [...plans].flatMap(([batch, { ledger }]) => ledger.map(({ item }) => [item, batch] as const)),
    );
    const { tables, transfers } = await this.#entries.write(connection, entries, ledgerKeys(batches), {
      note: (item, ...balances) => floors.get(batchOf.get(item)!)!.note(item, ...balances),
    });
    for (const batch of batchOf.values()) accounts.set(batch, accounts.get(batch)! + 1);
    return { accounts, floors, transfers, tables };
  }
}

/** Batches whose last values are all newer than those of MySQL: of others the live values are deleted, alone. */
async function withoutSuperseded(
  connection: PoolConnection,
  batches: readonly Batch[],
): Promise<readonly Batch[]> {
  const puts = batches.flatMap(({ counters }) => counters.filter(({ kind }) => kind === '='));
  if (puts.length === 0) return batches;
  const late = await superseded(connection, puts);
  return late.size === 0 ? batches : batches.filter(({ counters }) => !counters.some(sum => late.has(sum)));
}

/** What batches do to holds. One of which something is left out goes alone: its live values are deleted. */
async function plansOf(connection: PoolConnection, batches: readonly Batch[]): Promise<Map<Batch, HoldPlan>> {
  const plans = await planHolds(connection, batches);
  return new Map([...plans].filter(([, { leftOut }]) => leftOut.length === 0));
}

/** Whether the batch can be written as it is. */
function applies(batch: Batch, watermark: LockedWatermark | undefined): boolean {
  if (!watermark || watermark.mayHold || !isNext(batch, watermark)) return false;
  // Another epoch needs a new one; updates that Redis forgot must be declared.
  const before = batch.claimed - batch.dropped - batch.updates;
  return batch.epoch === watermark.epoch && watermark.updates <= before;
}
