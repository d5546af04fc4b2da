/**
 * Decides what to do with a claimed batch, given the watermark: a decision table as one pure function. The
 * journal and Redis are asked only if the sequence numbers do not decide.
 */
import type { Watermark } from './watermark.ts';

/** The compared fields of a batch. */
type Claimed = { readonly sequence: number; readonly token: string };

export type Decision =
  /** The next batch: write it. */
  | 'apply'
  /** Its token is recorded: it was written before. Acknowledge. */
  | 'skip'
  /** Redis went back in time: give the batch the next sequence number, then write it. */
  | 'rewind'
  /** Another worker ended this batch: change nothing. */
  | 'stop'
  /** Redis is an old backup: the journal no longer covers this batch. */
  | 'halt-redis'
  /** The database went back in time. */
  | 'halt-database';

/** Facts that may be needed, each read on demand. */
export interface Facts {
  /** Whether the journal or the watermark has the token. */
  recorded(): Promise<boolean>;
  /** Whether Redis still has this token in flight. */
  inFlight(): Promise<boolean>;
  /** The oldest sequence number in the journal; undefined if it is empty. */
  oldestInJournal(): Promise<number | undefined>;
}

export type Fact = keyof Facts;

/** Whether the batch is the next one of its partition, so that no fact is needed. */
export function isNext(batch: Claimed, watermark: Pick<Watermark, 'sequence'>): boolean {
  return batch.sequence === watermark.sequence + 1;
}

/** Yields the facts that it needs, one at a time, so that callers may be asynchronous or a simulation. */
export function* decideStepwise(
  batch: Claimed,
  watermark: Pick<Watermark, 'sequence' | 'token'>,
): Generator<Fact, Decision, boolean | number | undefined> {
  if (isNext(batch, watermark)) return 'apply';
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
