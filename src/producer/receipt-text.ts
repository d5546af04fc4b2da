/** A receipt as a text, so that another process, or a client of the HTTP API, can ask about its update later. */
import * as z from 'zod';
import { type Kind, ROW_KINDS } from '../shared/item.ts';
import { LIMITS } from '../shared/limits.ts';
import type { CheckedUpdate } from '../shared/updates/update.ts';
import type { Mark } from './waiting.ts';

/** What a receipt knows of its update. */
export type ReceiptUpdate = Pick<CheckedUpdate, 'kind' | 'name' | 'key' | 'id'>;

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
]);

export function writeReceipt({ update, mark, duplicate }: Written): string {
  const { kind, name, key, id } = update;
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
  return Buffer.from(JSON.stringify([1, kind, name, key, id, duplicate, kept])).toString('base64url');
}

/** Undefined if the text is no receipt. */
export function readReceipt(given: string): Written | undefined {
  try {
    const parsed = schema.safeParse(JSON.parse(Buffer.from(given, 'base64url').toString()));
    if (!parsed.success) return undefined;
    const [, kind, name, key, id, duplicate, mark] = parsed.data;
    return { update: { kind, name, key, id }, mark, duplicate };
  } catch {
    return undefined;
  }
}
