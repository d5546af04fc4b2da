/** Updates in quarantine as the page gets them: numbers as exact texts, payloads only for who may see them. */
import type { OperationItem } from '../replay/index.ts';
import type { Rows } from '../shared/mysql/database.ts';
import { type FailedUpdate, toFailedUpdate } from '../shared/updates/failed-update.ts';
import type { ShownFailedUpdate } from './answers.ts';

/** A row of `sluice_quarantine`. */
export function shownRow(row: Rows[number], seesPayloads: boolean): ShownFailedUpdate {
  return {
    ...shownUpdate(toFailedUpdate(row), seesPayloads),
    amount: String(row.amount),
    sequence: String(row.sequence),
    version: row.version === null ? null : String(row.version),
  };
}

/** An update as an audit record keeps it, whose numbers may be raw JSON. */
export function shownUpdate(update: FailedUpdate, seesPayloads: boolean): ShownFailedUpdate {
  const { amount, sequence, version, reason, metadata, ...rest } = update;
  return {
    ...rest,
    amount: digits(amount),
    sequence: digits(sequence),
    version: version === null || version === undefined ? null : digits(version),
    reason: seesPayloads ? reason : null,
    metadata: seesPayloads && metadata !== null && metadata !== undefined ? JSON.stringify(metadata) : null,
  };
}

function digits(number: unknown): string {
  return JSON.isRawJSON(number) ? number.rawJSON : String(number);
}

/** Whether an item of the audit record is about an update, and not about a hold. */
export function isOfUpdate({ original }: OperationItem): boolean {
  return typeof original === 'object' && original !== null && 'quarantinedAt' in original;
}
