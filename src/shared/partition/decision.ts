/**
 * What to do with a batch, given the watermark: the table of the design, as one pure function. The journal and
 * Redis are asked only where the sequence numbers alone do not decide.
 */
import type { Watermark } from './watermark.ts';

/** What is compared of a batch. */
type Claimed = { readonly sequence: number; readonly token: string };

export type Decision =
  /** The next batch: write it. */
  | 'apply'
  /** Its token is recorded: it was written before. Acknowledge. */
  | 'skip'
  /** Redis went back in time: give the batch the next sequence number, then write it. */
  | 'rewind'
  /** Somebody else ended this batch: touch nothing. */
  | 'stop'
  /** Redis is an old backup: the journal no longer knows what this batch was. */
  | 'halt-redis'
  /** The database went back in time. */
  | 'halt-database';

export interface Facts {
  /** Whether the token stands in the journal or in the watermark itself. */
  recorded(): Promise<boolean>;
  /** Whether Redis still has this token in flight. */
  inFlight(): Promise<boolean>;
  /** The oldest sequence number in the journal; undefined where the journal is empty. */
  oldestInJournal(): Promise<number | undefined>;
}

/** What may have to be asked before the decision is clear. */
export type Fact = keyof Facts;

/** The table, one question at a time, so that whoever asks may be slow, or a simulation. */
export function* decideStepwise(
  batch: Claimed,
  watermark: Pick<Watermark, 'sequence' | 'token'>,
): Generator<Fact, Decision, boolean | number | undefined> {
  if (batch.sequence === watermark.sequence + 1) return 'apply';
  if (batch.sequence > watermark.sequence + 1) return 'halt-database';
  if (batch.token === watermark.token || (yield 'recorded')) return 'skip';
  if (!(yield 'inFlight')) return 'stop';
  const oldest = yield 'oldestInJournal';
  return typeof oldest !== 'number' || batch.sequence < oldest ? 'halt-redis' : 'rewind';
}

export async function decide(
  batch: Claimed,
  watermark: Pick<Watermark, 'sequence' | 'token'>,
  facts: Facts,
): Promise<Decision> {
  const steps = decideStepwise(batch, watermark);
  let step = steps.next();
  while (!step.done) step = steps.next(await facts[step.value]());
  return step.value;
}
