/** Reads all rows before a run writes anything: how many there are, their sum, and which cannot be copied. */
import type { Definitions } from '../shared/config/definitions.ts';
import type { Database } from '../shared/mysql/database.ts';
import { countUnnamed, type Place, readPage } from './pages.ts';
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

export async function checkRows(
  database: Database,
  source: Source,
  {
    run,
    spec,
    definitions,
  }: { readonly run: string; readonly spec: Spec; readonly definitions: Definitions },
  onProgress: (rows: number) => void,
  signal?: AbortSignal,
): Promise<Found> {
  const unusable = new Unusable();
  unusable.noteMany(await database.session(connection => countUnnamed(connection, source)), 'UNNAMED_KEY');
  let [rows, copied, empty, amount] = [0, 0, 0, 0n];
  for (let after: Place | undefined; !signal?.aborted; ) {
    const page = await database.session(connection => readPage(connection, source, after, PAGE));
    for (const row of page) {
      const use = useOf(row, run, spec, definitions);
      if ('opening' in use) {
        copied++;
        amount += BigInt(use.opening[1]);
      } else if ('empty' in use) empty++;
      else unusable.note(row, use.unusable);
    }
    rows += page.length;
    onProgress(rows);
    if (page.length < PAGE) break;
    after = page.at(-1)!.place;
  }
  const counts = { ...NOTHING, found: rows, passed: rows, copied, empty, amount: String(amount) };
  return { counts: { ...counts, skipped: unusable.rows }, unusable };
}
