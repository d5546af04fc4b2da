/**
 * A drop or an edit is itself an update, called amendment: `apply` changes the live value at once and adds it
 * to pending, and the flush transaction carries it out. So MySQL, quarantine, in flight and pending always
 * add up.
 */
import type { AmendRequest } from '../producer/amend.ts';
import type { Definitions } from '../shared/config/definitions.ts';
import { ConfigurationError, InvalidUpdateError } from '../shared/errors.ts';
import { parseExact } from '../shared/exact-json.ts';
import { KEEPS, kindOfRow } from '../shared/item.ts';
import { LIMITS } from '../shared/limits.ts';
import type { FailedUpdate } from '../shared/updates/failed-update.ts';
import { checkText } from '../shared/updates/key.ts';
import { metadataText } from '../shared/updates/metadata.ts';
import { checkAmount, checkName, checkPoints } from '../shared/updates/update.ts';

/** Changes of an edit. Null removes reason or metadata. Account, key and id cannot be changed. */
export interface Change {
  /** Whole number, not zero. */
  readonly amount?: number | undefined;
  readonly reason?: string | null | undefined;
  readonly metadata?: Record<string, unknown> | null | undefined;
}

const CHANGES = ['amount', 'reason', 'metadata'];

/**
 * Checks a change and normalises its metadata, so that numbers are recorded as they were written.
 * @throws ConfigurationError, InvalidUpdateError
 */
export function checkChange(change: Change): Change {
  const fields = typeof change === 'object' && change !== null ? Object.keys(change) : [];
  const unknown = fields.filter(field => !CHANGES.includes(field));
  if (fields.length === 0 || unknown.length > 0)
    throw new ConfigurationError(
      `A change must be an object with one or more of ${CHANGES.join(', ')}${unknown.length > 0 ? `; it has ${unknown.map(field => JSON.stringify(field)).join(', ')}` : ''}. Account, key and id cannot be changed: drop the update and send another.`,
    );
  const { amount, reason, metadata } = change;
  if (reason !== undefined && reason !== null) checkText(reason, 'INVALID_REASON', 'reason', LIMITS.reason);
  return {
    ...(amount === undefined ? {} : { amount: checkAmount(amount) }),
    ...(reason === undefined ? {} : { reason }),
    ...(metadata === undefined ? {} : { metadata: metadata === null ? null : parsedMetadata(metadata) }),
  };
}

function parsedMetadata(metadata: unknown): Record<string, unknown> {
  return parseExact(metadataText(metadata)) as Record<string, unknown>;
}

export function dropOf(update: FailedUpdate, operation: number): AmendRequest {
  const content = { amendment: 'drop', quarantine: update.id, operation } as const;
  return { ...target(update), delta: update.kind in KEEPS ? 0 : -update.amount, content };
}

/** @throws InvalidUpdateError or UnknownNameError if the result is not a valid update */
export function editOf(
  update: FailedUpdate,
  change: Change,
  operation: number,
  definitions: Definitions,
): AmendRequest {
  const amount = change.amount ?? update.amount;
  const to =
    update.kind === 'entry'
      ? editedEntry(update, change, amount, definitions)
      : editedKeyed(update, change, amount, definitions);
  const delta = update.kind in KEEPS ? 0 : amount - update.amount;
  if (!Number.isSafeInteger(delta))
    throw new InvalidUpdateError(
      'INVALID_AMOUNT',
      'The amount changes by more than 2^53-1; use an amount closer to the old one.',
    );
  const content = { amendment: 'edit', quarantine: update.id, operation, to } as const;
  return { ...target(update), delta, content };
}

function editedKeyed({ kind, name }: FailedUpdate, change: Change, amount: number, definitions: Definitions) {
  const isCounter = kind === 'counter';
  if (change.reason !== undefined || change.metadata !== undefined)
    throw new InvalidUpdateError(
      'INVALID_UPDATE',
      `A ${isCounter ? 'counter' : 'value'} has no reason and no metadata; leave them out.`,
    );
  checkName(isCounter ? 'counter' : 'value', name, definitions);
  return { amount: checkAmount(amount) };
}

function editedEntry(update: FailedUpdate, change: Change, amount: number, definitions: Definitions) {
  if (update.to !== null)
    throw new InvalidUpdateError(
      'TRANSFER_NOT_EDITABLE',
      'The debit of a transfer cannot be edited; replay it, or drop it and send another transfer.',
    );
  // Else the hold's row and the ledger would say two things about the same post.
  if (update.hold !== null)
    throw new InvalidUpdateError(
      'POST_NOT_EDITABLE',
      'The debit of a post cannot be edited, since its hold says what was posted; replay it, or drop it and debit the right amount.',
    );
  const reason = change.reason === undefined ? update.reason : change.reason;
  const metadata = change.metadata === undefined ? update.metadata : change.metadata;
  const { payload } = checkPoints(
    {
      points: update.name,
      account: update.key,
      amount,
      id: update.entryId!,
      reason: reason ?? undefined,
      metadata: metadata ?? undefined,
    },
    definitions,
  );
  return { amount, payload };
}

function target({ kind, name, key, partition }: FailedUpdate) {
  return { partition, kind: kindOfRow(kind), name, key };
}
