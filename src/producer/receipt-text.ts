/** A receipt as a text, so that another process, or a client of the HTTP API, can ask about its update later. */
import * as z from 'zod';
import { type Kind, ROW_KINDS } from '../shared/item.ts';
import { LIMITS } from '../shared/limits.ts';
import type { CheckedUpdate, HoldCall } from '../shared/updates/update.ts';
import type { Mark } from './waiting.ts';

/** What a receipt knows of its update. */
export type ReceiptUpdate = Pick<CheckedUpdate, 'kind' | 'name' | 'key' | 'id'> & {
  /** If it begins or ends a hold: what it holds, or posts, 0 for all of it or a void. */
  readonly hold?: { readonly action: HoldCall['action']; readonly amount: number } | undefined;
};

export interface Written {
  readonly update: ReceiptUpdate;
  readonly mark: Mark;
  readonly duplicate: boolean;
}

const count = z.int().min(0);
const text = (limit: number) => z.string().max(limit);
const schema = z.tuple([
  z.literal(1),
  z.enum(Object.keys(ROW_KINDS) as [Kind, ...Kind[]]),
  text(LIMITS.name).min(1),
  text(LIMITS.key).min(1),
  text(LIMITS.id),
  z.boolean(),
  z.strictObject({
    partition: z.int().min(0).max(1023),
    epoch: text(64).min(1),
    pushed: count,
    entries: count,
    quarantined: count,
    sequence: count,
    segmentEnd: count,
    time: z.number(),
    incarnation: text(64),
    updates: count,
  }),
  z.tuple([z.enum(['h', 'p', 'v']), count]).optional(),
]);

export function writeReceipt({ update, mark, duplicate }: Written): string {
  const { kind, name, key, id, hold } = update;
  const { partition, epoch, pushed, entries, quarantined, sequence, segmentEnd, time, incarnation, updates } =
    mark;
  const kept = {
    partition,
    epoch,
    pushed,
    entries,
    quarantined,
    sequence,
    segmentEnd,
    time,
    incarnation,
    updates,
  };
  const parts: unknown[] = [1, kind, name, key, id, duplicate, kept];
  if (hold) parts.push([hold.action, hold.amount]);
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

/** Undefined if the text is no receipt. */
export function readReceipt(given: string): Written | undefined {
  try {
    const parsed = schema.safeParse(JSON.parse(Buffer.from(given, 'base64url').toString()));
    if (!parsed.success) return undefined;
    const [, kind, name, key, id, duplicate, mark, held] = parsed.data;
    const hold = held && { action: held[0], amount: held[1] };
    return { update: { kind, name, key, id, hold }, mark, duplicate };
  } catch {
    return undefined;
  }
}
