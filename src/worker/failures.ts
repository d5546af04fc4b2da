/**
 * What this process has seen of batches that fail and tables that work. A row that fails alone in its batch is to blame
 * if its table took other rows after the batch failed and before it failed again.
 */
import type { ValueTable } from '../shared/values/tables.ts';
import type { Batch } from './batch.ts';

interface Failing {
  readonly token: string;
  /** Tables whose rows failed all alike, and the moment at which they first did. */
  readonly tables: Map<ValueTable, number>;
  failures: number;
  /** When its first conflict was, ms; undefined if none was. */
  conflictSince: number | undefined;
}

type Id = Pick<Batch, 'partition' | 'token'>;

export class Failures {
  readonly #patienceMs: number;
  readonly #now: () => number;
  #moment = 0;
  readonly #took = new WeakMap<ValueTable, number>();
  readonly #failing = new Map<number, Failing>();

  /** @param patienceMs how long a batch may meet conflicts before somebody looks whether they are real */
  constructor(patienceMs: number, now: () => number = () => performance.now()) {
    this.#patienceMs = patienceMs;
    this.#now = now;
  }

  /** A moment for `took`; what comes later is greater. */
  moment(): number {
    return ++this.#moment;
  }

  /** Rows of these tables were committed in a transaction that began at this moment. */
  took(tables: Iterable<ValueTable>, moment: number): void {
    for (const table of tables) this.#took.set(table, Math.max(moment, this.#took.get(table) ?? 0));
  }

  /** All rows of the batch in this table failed, with an error that is not known to be about data. */
  tableFailed(batch: Id, table: ValueTable): void {
    const { tables } = this.#of(batch);
    if (!tables.has(table)) tables.set(table, this.moment());
  }

  tookOthers(batch: Id, table: ValueTable): boolean {
    const failed = this.#find(batch)?.tables.get(table);
    return failed !== undefined && (this.#took.get(table) ?? 0) > failed;
  }

  /** A careful attempt at the batch failed. */
  failed(batch: Id): void {
    this.#of(batch).failures++;
  }

  count(batch: Id): number {
    return this.#find(batch)?.failures ?? 0;
  }

  conflicted(batch: Id): void {
    this.#of(batch).conflictSince ??= this.#now();
  }

  /** Whether the batch met conflicts for so long that they may be made up. */
  doubtsConflicts(batch: Id): boolean {
    const since = this.#find(batch)?.conflictSince;
    return since !== undefined && this.#now() - since >= this.#patienceMs;
  }

  /** The partition's batch was committed, or is somebody else's. */
  ended({ partition }: Id): void {
    this.#failing.delete(partition);
  }

  #find({ partition, token }: Id): Failing | undefined {
    const failing = this.#failing.get(partition);
    return failing?.token === token ? failing : undefined;
  }

  #of(batch: Id): Failing {
    const known = this.#find(batch);
    if (known) return known;
    const failing = { token: batch.token, tables: new Map(), failures: 0, conflictSince: undefined };
    this.#failing.set(batch.partition, failing);
    return failing;
  }
}
