/** Why a backfill does not start, or stops. Nothing is counted twice or left out in silence. */
import { SluiceError } from '../shared/errors.ts';

export type BackfillCode =
  /** The run exists, with other options. */
  | 'BACKFILL_CHANGED'
  /** Another run copies the same column to the same place. */
  | 'BACKFILL_REPEATED'
  /** Another run that is not finished marks the same rows. */
  | 'BACKFILL_MARK_IN_USE'
  /** Source and destination are the same column. */
  | 'BACKFILL_SAME_COLUMN'
  /** Another process carries this run out. */
  | 'BACKFILL_RUNNING'
  /** Another process has taken this run over. */
  | 'BACKFILL_TAKEN_OVER'
  /** Rows that cannot be copied. */
  | 'BACKFILL_UNUSABLE_ROWS'
  /** Nobody can prove which rows of the page under way were counted. */
  | 'BACKFILL_UNPROVEN'
  /** Redis refused rows for good. */
  | 'BACKFILL_REFUSED'
  /** No worker writes. */
  | 'BACKFILL_STALLED';

export class BackfillError extends SluiceError {
  readonly code: BackfillCode;
  /** Whether the run goes on by itself, from its record. */
  override readonly retryable: boolean;
  constructor(code: BackfillCode, message: string, details: { cause?: unknown; retryable?: boolean } = {}) {
    super(message, details);
    this.code = code;
    this.retryable = details.retryable === true;
  }
}
