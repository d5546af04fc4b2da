/**
 * Remembers failed batches and tables that took rows. A row that fails alone in its batch is to blame if its
 * table took other rows between the first failure of the batch and the next one.
 */
import type { ValueTable } from '../shared/values/tables.ts';
import type { Batch } from './batch.ts';

interface Failing {
  readonly token: string;
  /** Tables whose rows all failed alike, with the moment of the first time. */
  readonly tables: Map<ValueTable, number>;
  failures: number;
  /** Time of its first conflict, ms of `now`; undefined before. */
  conflictSince: number | undefined;
}

type BatchId = Pick<Batch, 'partition' | 'token'>;

export class Failures {
  readonly #patienceMs: number;
  readonly #now: () => number;
  #moment = 0;
  readonly #took = new WeakMap<ValueTable, number>();
  readonly #failing = new Map<number, Failing>();

  /** @param patienceMs how long a batch may meet conflicts before they are doubted */
  constructor(patienceMs: number, now: () => number = () => performance.now()) {
    this.#patienceMs = patienceMs;
    this.#now = now;
  }

  /** A moment for `took`; later ones are greater. */
  moment(): number {
    return ++this.#moment;
  }

  /** Rows of these tables were committed in a transaction that began at this moment. */
  took(tables: Iterable<ValueTable>, moment: number): void {
    for (const table of tables) this.#took.set(table, Math.max(moment, this.#took.get(table) ?? 0));
  }

  /** All rows of the batch in this table failed, with an error that is not known to be about data. */
  tableFailed(batch: BatchId, table: ValueTable): void {
    const { tables } = this.#of(batch);
    if (!tables.has(table)) tables.set(table, this.moment());
  }

  tookOthers(batch: BatchId, table: ValueTable): boolean {
    const failed = this.#find(batch)?.tables.get(table);
    return failed !== undefined && (this.#took.get(table) ?? 0) > failed;
  }

  /** A careful attempt at the batch failed. */
  failed(batch: BatchId): void {
    this.#of(batch).failures++;
  }

  count(batch: BatchId): number {
    return this.#find(batch)?.failures ?? 0;
  }

  conflicted(batch: BatchId): void {
    this.#of(batch).conflictSince ??= this.#now();
  }

  /** Whether the batch met conflicts for so long that they may not be real. */
  doubtsConflicts(batch: BatchId): boolean {
    const since = this.#find(batch)?.conflictSince;
    return since !== undefined && this.#now() - since >= this.#patienceMs;
  }

  /** The batch was committed, or another worker has it. */
  ended({ partition }: BatchId): void {
    this.#failing.delete(partition);
  }

  #find({ partition, token }: BatchId): Failing | undefined {
    const failing = this.#failing.get(partition);
    return failing?.token === token ? failing : undefined;
  }

  #of(batch: BatchId): Failing {
    const known = this.#find(batch);
    if (known) return known;
    const failing = { token: batch.token, tables: new Map(), failures: 0, conflictSince: undefined };
    this.#failing.set(batch.partition, failing);
    return failing;
  }
}
