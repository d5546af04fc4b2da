/** Which other runs forbid that one begins: they would count the same values, or change the same marks. */
import { BackfillError } from './errors.ts';
import { overlaps, type Spec, sharesMark, shownSpec } from './spec.ts';

/** What is known of the runs that there are. */
export interface KnownRun {
  readonly run: string;
  readonly spec: Spec;
  readonly finishedAt: string | null;
}

export interface Beginning {
  readonly run: string;
  readonly spec: Spec;
  /** Whether an operator says that it copies other rows than those that copy the same column. */
  readonly again: boolean;
  /** The database of tables without one in their name. */
  readonly schema: string;
}

/** @throws BackfillError if the run has another spec, or another run is in its way */
export function refuseConflict(runs: readonly KnownRun[], { run, spec, again, schema }: Beginning): void {
  const same = runs.find(one => one.run === run);
  if (same && JSON.stringify(same.spec) !== JSON.stringify(spec))
    throw new BackfillError(
      'BACKFILL_CHANGED',
      `The backfill ${run} was started with other options: ${JSON.stringify(same.spec)}. Start it with these to go on, or give a new backfill another name.`,
    );
  if (same) return;
  const marking = runs.find(one => one.finishedAt === null && sharesMark(one.spec, spec, schema));
  if (marking)
    throw new BackfillError(
      'BACKFILL_MARK_IN_USE',
      `The backfill ${marking.run} is not finished, and marks the rows of ${spec.table} in the column ${spec.mark} too: each would take the other's rows for moved. Finish that one first, or give this one a mark of its own.`,
    );
  if (again) return;
  // Rows move once, whatever run moves them, if all of these runs have the same mark.
  const other = runs.find(one => overlaps(one.spec, spec, schema) && !sharesMark(one.spec, spec, schema));
  if (!other) return;
  throw new BackfillError(
    'BACKFILL_REPEATED',
    `The backfill ${other.run} copies ${shownSpec(other.spec)} as well, and a second copy would count every value twice. Go on with that one; or if the two copy different rows (--where), start this one with --again. Runs that all have the same --mark need no --again: they copy each row once.`,
  );
}
