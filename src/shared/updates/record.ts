/**
 * A pending entry's record in Redis: `time previous amount balance length:item payload`, as apply.lua writes it. Where an
 * operator drops or edits a quarantined update, that is a record too: an amendment, which the flush carries out.
 */
import { parseExact } from '../exact-json.ts';
import { splitItem } from '../item.ts';

/** What a caller says of an entry. */
export interface EntryContent {
  readonly program: string;
  readonly account: string;
  readonly id: string;
  readonly amount: number;
  readonly reason: string | null;
  /** As `metadataText` writes it: never parsed on its way, since that would round numbers. */
  readonly metadata: string | null;
}

export interface RecordedEntry extends EntryContent {
  /** `program:account` */
  readonly item: string;
  /** Balance that Redis answered; MySQL's may differ after corrections. */
  readonly balance: number;
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
  /** `payload` is that of an entry, with the new amount in it. */
  | { readonly amendment: 'edit'; readonly to: { readonly amount: number; readonly payload?: string } }
);

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
const COUNTER_PREFIX = '!';

export function amendedItem(kind: 'c' | 'p', item: string): string {
  return kind === 'c' ? COUNTER_PREFIX + item : item;
}

export function parseRecord(record: string): RecordedEntry | Amendment {
  const [time, , amount, balance] = record.split(' ', 4);
  const colon = record.indexOf(':');
  const itemBytes = Number(record.slice(record.lastIndexOf(' ', colon) + 1, colon));
  const payload = withoutBytes(record.slice(colon + 1), itemBytes);
  if (payload.startsWith('{')) {
    const field = record.slice(colon + 1, record.length - payload.length);
    const isCounter = field.startsWith(COUNTER_PREFIX);
    const item = isCounter ? field.slice(1) : field;
    const kind = isCounter ? 'c' : 'p';
    return { kind, item, ...splitItem(item), delta: Number(amount), content: JSON.parse(payload) };
  }
  const { program, account, id, reason, metadata } = readPayload(payload);
  return {
    program,
    account,
    item: `${program}:${account}`,
    id,
    amount: Number(amount),
    reason,
    metadata,
    balance: Number(balance),
    acceptedAt: Number(time),
    payload,
  };
}

/** An entry as JSON: `[program, account, id, amount, reason, metadata]`. */
export function writePayload({ metadata, ...content }: EntryContent): string {
  return `${headOf(content)}${metadata}]`;
}

/** @throws SyntaxError if it is not JSON */
export function readPayload(payload: string): EntryContent {
  const [program, account, id, amount, reason, metadata] = JSON.parse(payload);
  const content = { program, account, id, amount, reason };
  if (metadata === null || metadata === undefined) return { ...content, metadata: null };
  const head = headOf(content);
  if (payload.startsWith(head)) return { ...content, metadata: payload.slice(head.length, -1) };
  // Somebody wrote it by hand, into the quarantine.
  return { ...content, metadata: JSON.stringify((parseExact(payload) as unknown[])[5]) };
}

/** All that stands before the metadata, which is found again by it. */
function headOf({ program, account, id, amount, reason }: Omit<EntryContent, 'metadata'>): string {
  return `${JSON.stringify([program, account, id, amount, reason]).slice(0, -1)},`;
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
