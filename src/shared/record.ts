/**
 * A pending entry's record in Redis: `time previous amount balance length:item payload`, as apply.lua writes it. Where an
 * operator drops or edits a quarantined update, that is a record too: an amendment, which the flush carries out.
 */
import { splitItem } from './keys.ts';

export interface RecordedEntry {
  readonly program: string;
  readonly account: string;
  /** `program:account` */
  readonly item: string;
  readonly id: string;
  readonly amount: number;
  /** Balance that Redis answered; MySQL's may differ after corrections. */
  readonly balance: number;
  readonly reason: string | null;
  readonly metadata: Record<string, unknown> | null;
  /** Ms of Redis' clock. */
  readonly acceptedAt: number;
  /** The entry as JSON, as the producer sent it. */
  readonly payload: string;
}

/** What the payload of an amendment's record says. */
export type AmendmentContent = {
  /** Number of the quarantined update. */
  readonly quarantine: number;
  /** Number of the operator's run in sluice_operations. */
  readonly operation: number;
} & (
  | { readonly amendment: 'drop' }
  /** `to` is the entry's new payload, or the counter's new amount. */
  | { readonly amendment: 'edit'; readonly to: EntryPayload | { readonly amount: number } }
);

/** [program, account, id, amount, reason, metadata] */
export type EntryPayload = [
  program: string,
  account: string,
  id: string,
  amount: number,
  reason: string | null,
  metadata: Record<string, unknown> | null,
];

export interface Amendment {
  readonly kind: 'c' | 'p';
  readonly name: string;
  readonly key: string;
  readonly item: string;
  /** What it added to the live value when it was accepted. */
  readonly delta: number;
  readonly content: AmendmentContent;
}

/** A counter's amendments stand beside the accounts of programs, which start with a letter. */
const COUNTER_MARK = '!';

export function amendedItem(kind: 'c' | 'p', item: string): string {
  return kind === 'c' ? COUNTER_MARK + item : item;
}

export function parseRecord(record: string): RecordedEntry | Amendment {
  const [time, , amount, balance] = record.split(' ', 4);
  const colon = record.indexOf(':');
  const itemBytes = Number(record.slice(record.lastIndexOf(' ', colon) + 1, colon));
  const payload = withoutBytes(record.slice(colon + 1), itemBytes);
  if (payload.startsWith('{')) {
    const field = record.slice(colon + 1, record.length - payload.length);
    const isCounter = field.startsWith(COUNTER_MARK);
    const item = isCounter ? field.slice(1) : field;
    const kind = isCounter ? 'c' : 'p';
    return { kind, item, ...splitItem(item), delta: Number(amount), content: JSON.parse(payload) };
  }
  const [program, account, id, , reason, metadata] = JSON.parse(payload) as EntryPayload;
  return {
    program,
    account,
    item: `${program}:${account}`,
    id,
    amount: Number(amount),
    balance: Number(balance),
    reason,
    metadata,
    acceptedAt: Number(time),
    payload,
  };
}

export function isAmendment(record: RecordedEntry | Amendment): record is Amendment {
  return 'content' in record;
}

export function isEntry(record: RecordedEntry | Amendment): record is RecordedEntry {
  return !isAmendment(record);
}

/** The length in the record counts bytes, as Lua does; only for pure ASCII are those characters too. */
function withoutBytes(text: string, bytes: number): string {
  if (Buffer.byteLength(text) === text.length) return text.slice(bytes);
  return Buffer.from(text).subarray(bytes).toString();
}
