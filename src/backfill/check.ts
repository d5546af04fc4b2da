/** Reads all rows before a run writes anything: how many there are, their sum, and which cannot be copied. */
import type { PoolConnection } from 'mysql2/promise';
import type { Definitions } from '../shared/config/definitions.ts';
import type { Database } from '../shared/mysql/database.ts';
import { countUnnamed, type Place, readPage } from './pages.ts';
import { Patience } from './patience.ts';
import { useOf } from './rows.ts';
import { type Counts, NOTHING } from './runs.ts';
import type { Source } from './source.ts';
import type { Spec } from './spec.ts';
import { Unusable } from './unusable.ts';

export interface Found {
  /** As if the run was done. */
  readonly counts: Counts;
  readonly unusable: Unusable;
}

const PAGE = 5000;

export interface CheckParts {
  readonly database: Database;
  readonly source: Source;
  readonly run: string;
  readonly spec: Spec;
  readonly definitions: Definitions;
}

export interface CheckOptions {
  /** How long the database may be away, ms. */
  readonly patienceMs: number;
  readonly onProgress: (rows: number, state: string) => void;
  /** Ends it after a page; the result is then of the rows so far. */
  readonly signal?: AbortSignal;
}

/** @throws what mysql2 throws */
export async function checkRows(
  { database, source, run, spec, definitions }: CheckParts,
  { patienceMs, onProgress, signal }: CheckOptions,
): Promise<Found> {
  const patience = new Patience(patienceMs, () => onProgress(rows, 'waiting for a server'), signal);
  const read = <Result>(use: (connection: PoolConnection) => Promise<Result>) =>
    patience.try(() => database.session(use));
  const unusable = new Unusable();
  let [rows, copied, empty, amount] = [0, 0, 0, 0n];
  unusable.noteMany(await read(connection => countUnnamed(connection, source)), 'UNNAMED_KEY');
  for (let after: Place | undefined; !signal?.aborted; ) {
    const page = await read(connection => readPage(connection, source, after, PAGE));
    for (const row of page) {
      const use = useOf(row, run, spec, definitions);
      if ('opening' in use) {
        copied++;
        amount += BigInt(use.opening[1]);
      } else if ('empty' in use) empty++;
      else unusable.note(row, use.unusable);
    }
    rows += page.length;
    onProgress(rows, 'checking');
    if (page.length < PAGE) break;
    after = page.at(-1)!.place;
  }
  const counts = { ...NOTHING, found: rows, passed: rows, copied, empty, amount: String(amount) };
  return { counts: { ...counts, skipped: unusable.rows }, unusable };
}
