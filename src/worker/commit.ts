/** What a commit of batches results in, what it asks of Redis, and its steps for tests. */
import type { RecordedEntry } from '../shared/updates/record.ts';
import type { Batch } from './batch.ts';
import type { Outcome } from './journal.ts';
import type { Outgoing } from './transfers.ts';

export type CommitResult =
  | {
      readonly decision: 'apply' | 'rewind';
      readonly outcome: Outcome;
      readonly rows: number;
      readonly late: number;
      /** Number of accounts by program that the batch took below their floor. */
      readonly belowFloor: ReadonlyMap<string, number>;
      /** Transfers whose debits were written, perhaps of other batches of the transaction too. */
      readonly outgoing: readonly Outgoing[];
      /** Credits of transfers that were written. */
      readonly credits: readonly RecordedEntry[];
      /** Credits of transfers that MySQL refused, and those that had no right to be written. */
      readonly aside: number;
      readonly leftOut: number;
      /** Holds that MySQL had already, and ends of holds that it had ended: they were left out. */
      readonly unheld: number;
    }
  | { readonly decision: 'skip'; readonly outcome: Outcome; readonly rewound: boolean }
  | { readonly decision: 'stop' };

/** The store's calls to Redis while it holds the watermark's lock. */
export interface FlightCheck {
  /** The partition of an account. */
  partitionOf(account: string): number;
  inFlight(batch: Batch): Promise<boolean>;
  /** Gives the batch another sequence and epoch. @returns false if it is no longer in flight */
  rewind(batch: Batch, sequence: number, epoch: string): Promise<boolean>;
}

/** Called between any two steps, so that tests can crash there. */
export type Seam = (step: Step) => Promise<void> | void;
/** In their order. */
export const STEPS = [
  'claimed',
  'locked',
  'written',
  'recorded',
  'checked',
  'committed',
  'acknowledged',
] as const;
export type Step = (typeof STEPS)[number];
